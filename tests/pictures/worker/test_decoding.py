"""What a file is, by its content alone; and what broken and hostile files get."""

from __future__ import annotations

import random
import struct
import tracemalloc
import zlib
from collections.abc import Iterator

import numpy as np
from PIL import Image
from twisted.trial.unittest import SynchronousTestCase

from imgd.pictures.worker import samples
from imgd.pictures.worker.decoding import warm
from tests.pictures.worker.decoded import MAX_PIXELS, body, failure, made, saved
from tests.samples import dicom

SORRY = "Not a picture that can be shown: "
QUERIES = ("thumb", "slice=axial&depth=16", "mosaic=2x2", "info")


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, data: bytes, interlaced: bool = False) -> bytes:
    """A PNG of RGBA with these compressed rows."""
    header = struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, interlaced)
    chunks = ((b"IHDR", header), (b"IDAT", data), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*each) for each in chunks)


def tiff(entries: list[tuple[int, int, int, int]], following: int = 0) -> bytes:
    """A TIFF of one folder of entries (tag, type, count, value), and the offset of the next."""
    folder = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    return struct.pack("<2sHIH", b"II", 42, 8, len(entries)) + folder + struct.pack("<I", following)


def files() -> Iterator[bytes]:
    yield from samples.pictures()
    yield from samples.dicom_files()


class ContentTests(SynchronousTestCase):
    def test_names(self) -> None:
        """The name of a file decides nothing."""
        picture = saved(Image.effect_noise((30, 20), 50), "PNG")
        for name in ("brain.nii", "brain.nii.gz", "a.dcm", "a.svg", "a"):
            self.assertEqual(body(picture, "thumb", name=name)[:2], b"\xff\xd8")
        scan = dicom("CT_small.dcm").read_bytes()
        self.assertEqual(body(scan, "thumb", name="holiday.jpg")[:2], b"\xff\xd8")

    def test_never(self) -> None:
        """Formats that are programs or films are refused by name."""
        cases = (
            (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "SVG"),
            (b"\xef\xbb\xbf <?xml version='1.0'?>\n<!-- hi --><svg width='4'/>", "SVG"),
            (b"<!DOCTYPE html><svg/>", "HTML"),
            (b"%PDF-1.7\n", "PDF"),
            (b"%!PS-Adobe-3.0 EPSF-3.0", "PostScript"),
            (b"\0\0\0\x20ftypisom\0\0\2\0isomiso2", "video"),
            (b"\x1aE\xdf\xa3\x9fB\x86\x81", "video"),
            (b"RIFF\0\0\0\0AVI LIST", "video"),
            (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "HEIC"),
            (b"\xff\x0a\xfa\x7f", "JPEG XL"),
        )
        for data, name in cases:
            expected = (415, f"{SORRY}{name} is not decoded.")
            self.assertEqual(failure(data + bytes(200), "thumb"), expected)

    def test_unknown(self) -> None:
        """What is no picture is said to be none, whatever is asked of it."""
        for data in (b"hello", bytes(2000), b"BM is how this text begins, and how it ends" * 40):
            for query in QUERIES:
                self.assertEqual(failure(data, query)[0], 415)
        self.assertEqual(failure(b"", "thumb"), (415, f"{SORRY}it is empty."))

    def test_warm(self) -> None:
        """Every format can be decoded once before there is anything to decode."""
        warm()
        for data in files():
            for item in made(data, "thumb", "slice=axial:0&depth=16", "info"):
                self.assertEqual(item.answer.status, 200, item.answer)


class BrokenTests(SynchronousTestCase):
    def test_cut(self) -> None:
        """A file that is cut short says so, and gives no half of a picture."""
        pictures = [Image.effect_noise((100, 80), 60).convert("RGB")]
        formats = ("JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP", "AVIF", "JPEG2000")
        whole = [saved(picture, name) for picture in pictures for name in formats]
        names = ("CT_small.dcm", "MR_small_RLE.dcm", "JPEG2000.dcm", "examples_ybr_color.dcm")
        whole += [dicom(name).read_bytes() for name in names]
        for data in whole:
            for twentieth in range(20):
                part = data[: len(data) * twentieth // 20]
                (answer,) = (item.answer for item in made(part, "thumb"))
                if answer.status == 200:  # the frame that is shown may lie before the cut
                    self.assertTrue(data[128:132] == b"DICM", data[:10])
                    continue
                self.assertEqual(answer.status, 415)
                self.assertRegex(answer.detail, f"^{SORRY}.*(cut short|broken|empty|knows it)")

    def test_mutations(self) -> None:
        """Whatever bytes a file has, it gets an answer of the contract, without its own words."""
        chance = random.Random(11)
        for data in files():
            for _ in range(25):
                broken = bytearray(data)
                for _ in range(chance.randrange(1, 12)):
                    broken[chance.randrange(len(broken))] = chance.randrange(256)
                for item in made(bytes(broken), *QUERIES):
                    self.assertIn(item.answer.status, (200, 400, 413, 415, 422))
                    self.assertNotRegex(item.answer.detail, "/|0x|Error|line")
                    self.assertEqual(item.answer.status == 200, bool(item.body))


class BombTests(SynchronousTestCase):
    def refused(self, data: bytes, *expected: int, max_pixels: int = MAX_PIXELS) -> None:
        """Answered with one of these, without memory for what is claimed."""
        tracemalloc.start()
        try:
            for item in made(data, *QUERIES, max_pixels=max_pixels):
                self.assertIn(item.answer.status, expected)
            self.assertLess(tracemalloc.get_traced_memory()[1], 20e6)
        finally:
            tracemalloc.stop()

    def test_png(self) -> None:
        """20,000 by 20,000 pixels of nothing in some 400 kB."""
        rows = zlib.compress(bytes(20_000 * 4 + 1) * 500, 9) * 2
        self.refused(png(20_000, 20_000, rows), 413)
        self.refused(png(2**31 - 1, 2**31 - 1, rows, interlaced=True), 413)

    def test_others(self) -> None:
        """Too many pixels are told by the header in every format."""
        for name in ("JPEG", "GIF", "WEBP", "BMP", "AVIF", "TIFF", "JPEG2000"):
            data = saved(Image.new("L", (300, 300)), name)
            self.refused(data, 413, max_pixels=89_999)
            self.assertEqual(made(data, "info", max_pixels=90_000)[0].answer.status, 200, name)

    def test_tiff_pages(self) -> None:
        """A page that is larger than the first is judged by its own size."""
        pages = [Image.new("L", (10, 10)), Image.new("L", (400, 400))]
        data = saved(pages[0], "TIFF", save_all=True, append_images=pages[1:])
        self.assertEqual(failure(data, "slice=axial:1", max_pixels=50_000)[0], 413)
        self.assertTrue(body(data, "slice=axial:0", max_pixels=50_000))

    def test_tiff_loop(self) -> None:
        """Folders that follow each other for ever are followed once."""
        data = saved(Image.new("L", (16, 16)), "TIFF")
        (folder,) = struct.unpack_from("<I", data, 4)
        (entries,) = struct.unpack_from("<H", data, folder)
        loop = bytearray(data)
        struct.pack_into("<I", loop, folder + 2 + 12 * entries, folder)
        self.assertEqual(made(bytes(loop), "info")[0].answer.status, 200)
        self.assertEqual(failure(bytes(loop), "slice=axial:1"), (400, "It has pages 0 to 0."))

    def test_tiff_tags(self) -> None:
        """Tags that claim gigabytes take none."""
        for kind, count in ((1, 2**32 - 1), (5, 2**29), (16, 2**30), (12, 2**28)):
            entries = [(256, 3, 1, 10), (257, 3, 1, 10), (273, 4, 1, 8), (700, kind, count, 8)]
            self.refused(tiff(entries), 200, 400, 415)

    def test_decoy(self) -> None:
        """A second, greater picture behind a small header is not decoded beyond the first."""
        small = saved(Image.new("L", (16, 16)), "JPEG")
        large = bytearray(saved(Image.new("L", (16, 16)), "JPEG"))
        frame = large.index(b"\xff\xc0")
        struct.pack_into(">HH", large, frame + 5, 65500, 65500)
        for data in (small[:-2] + bytes(large[2:]), bytes(large)):
            for item in made(data, "thumb", "info"):
                self.assertIn(item.answer.status, (200, 413, 415))

    def test_values(self) -> None:
        """Values that are no numbers, or not finite, break no window."""
        for value in (np.nan, np.inf, -np.inf, 3e38):
            data = saved(Image.fromarray(np.full((9, 9), value, "f4")), "TIFF")
            for item in made(data, *QUERIES[:2], "info"):
                self.assertEqual(item.answer.status, 200, (value, item.answer))
