"""Every format in a real worker, which may open nothing; and bombs that only its limits hold."""

from __future__ import annotations

import hashlib
import io
import os
import struct
import zlib
from collections.abc import Iterator
from typing import Any

import pydicom
from PIL import Image
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import JPEG2000, UID, JPEGBaseline8Bit, JPEGLSLossless
from twisted.internet import reactor
from twisted.internet.defer import inlineCallbacks
from twisted.trial.unittest import TestCase

from imgd.errors import ImgdError
from imgd.files.disk import Root, open_file
from imgd.host.health_monitor import HealthMonitor
from imgd.pictures.pool import PicturePool
from imgd.pictures.worker import samples
from tests.fakes import write
from tests.pictures.worker.decoded import MAX_PIXELS, body, saved, view
from tests.pictures.worker.test_decoding import png
from tests.pictures.worker.test_dicom import FILES, several, written

# Each by another decoder.
DICOM = (
    *("CT_small.dcm", "MR_small_RLE.dcm", "JPEG2000.dcm", "SC_rgb_jpeg_dcmtk.dcm", "image_dfl.dcm"),
    *("MR_small_jpeg_ls_lossless.dcm", "examples_palette.dcm", "examples_ybr_color.dcm"),
    *("GDCMJ2K_TextGBR.dcm", "liver_1frame.dcm", "rtdose_rle.dcm", "SC_rgb_jls_lossy_line.dcm"),
)
QUERIES = ("thumb", "slice=axial:0&depth=16", "slice=axial:0&size=256", "info")


def shown(picture: bytes) -> object:
    """What a picture shows, and the texts in it: of PNG, two packings may show the same."""
    if not picture.startswith(b"\x89PNG"):
        return picture
    with Image.open(io.BytesIO(picture)) as image:
        return image.mode, image.size, image.info, image.tobytes()


class SandboxedFormatTests(TestCase):
    timeout = 120

    def setUp(self) -> None:
        self.folder = os.path.realpath(self.mktemp())
        clock: Any = reactor
        self.workers = PicturePool(
            clock,
            workers=1,
            max_pixels=MAX_PIXELS,
            timeout=60.0,
            health_monitor=HealthMonitor(clock.seconds),
        )
        self.addCleanup(self.workers.stop)

    @inlineCallbacks
    def shown(self, data: bytes, query: str) -> Any:
        """What the worker makes of a file of this content."""
        name = hashlib.sha256(data).hexdigest()
        write(os.path.join(self.folder, name), data)
        file = open_file(Root(self.folder), (name,))
        self.addCleanup(file.close)
        picture = yield self.workers.make(name.encode(), [file], view(query))
        return picture.body

    @inlineCallbacks
    def test_formats(self) -> Any:
        """In the sandbox, every format gives the very picture that it gives outside."""
        for data in (*samples.pictures(), *samples.dicom_files()):
            for query in QUERIES:
                sandboxed = yield self.shown(data, query)
                self.assertEqual(shown(sandboxed), shown(body(data, query)), (data[:12], query))

    @inlineCallbacks
    def test_dicom(self) -> Any:
        """So does every decoder of DICOM."""
        for name in DICOM:
            data = (FILES / name).read_bytes()
            for query in QUERIES:
                sandboxed = yield self.shown(data, query)
                self.assertEqual(shown(sandboxed), shown(body(data, query)), (name, query))

    @inlineCallbacks
    def test_lies(self) -> Any:
        """Frames that claim other sizes than their header, or a header without end, are broken."""
        for lie in lies():
            try:
                yield self.shown(lie, "thumb")
            except ImgdError as error:
                self.assertEqual(error.status, 415, error.detail)
                self.assertRegex(error.detail, "another size|broken")
            else:
                self.fail(f"It was shown: {lie[:999]!r}")

    @inlineCallbacks
    def test_bombs(self) -> Any:
        """Bombs below the limit of pixels are shown, or refused for their memory; and then the next
        picture is made.
        """
        row = bytes(7000 * 4 + 1)
        bombs = [
            saved(Image.new("RGB", (7000, 7000)), "WEBP"),
            saved(Image.new("RGB", (7000, 6900)), "AVIF", speed=10),
            png(7000, 7000, _squeezed(row, 7000 * 2), interlaced=True),
            saved(Image.new("1", (7000, 7000)), "TIFF", compression="group4"),
            _gif(7000, 7000),
        ]
        for bomb in bombs:
            try:
                small = yield self.shown(bomb, "thumb")
            except ImgdError as error:
                self.assertIn(error.status, (415, 422))
            else:
                self.assertEqual(max(Image.open(io.BytesIO(small)).size), 256)
            good = yield self.shown(saved(Image.effect_noise((99, 99), 9), "PNG"), "thumb")
            self.assertTrue(good)


def lies() -> Iterator[bytes]:
    """DICOM files whose frames claim 65,000 by 65,000 pixels; one of 20,000 nested sequences."""
    black = Image.new("L", (64, 64))
    wide = struct.pack(">HH", 65000, 65000)
    jpeg = bytearray(saved(black, "JPEG"))
    _put(jpeg, jpeg.index(b"\xff\xc0") + 5, wide)
    yield encapsulated(JPEGBaseline8Bit, bytes(jpeg))
    jpeg2000 = bytearray(saved(black, "JPEG2000", no_jp2=True))
    for place in (6, 22):  # of the picture, of a tile
        _put(jpeg2000, jpeg2000.index(b"\xff\x51") + place, struct.pack(">II", 65000, 65000))
    yield encapsulated(JPEG2000, bytes(jpeg2000))
    dataset = pydicom.dcmread(FILES / "MR_small_jpeg_ls_lossless.dcm")
    jpeg_ls = bytearray(next(generate_frames(dataset.PixelData, number_of_frames=1)))
    _put(jpeg_ls, jpeg_ls.index(b"\xff\xf7") + 5, wide)
    yield encapsulated(JPEGLSLossless, bytes(jpeg_ls))
    whole = written(several(1))
    rows = whole.index(b"\x28\0\x02\0US")
    item = b"\x28\0\x02\x91SQ\0\0\xff\xff\xff\xff\xfe\xff\0\xe0\xff\xff\xff\xff"
    yield whole[:rows] + item * 20_000 + whole[rows:]


def encapsulated(syntax: UID, frame: bytes) -> bytes:
    """A DICOM file of this compressed frame, which says that it is 10 by 10 pixels of 8 bits."""
    dataset = several(1, 10, 10)
    dataset.BitsAllocated = dataset.BitsStored = 8
    dataset.HighBit, dataset.PixelRepresentation = 7, 0
    dataset.PixelData = encapsulate([frame])
    dataset["PixelData"].is_undefined_length = True
    return written(dataset, syntax)


def _put(data: bytearray, place: int, value: bytes) -> None:
    data[place : place + len(value)] = value


def _squeezed(row: bytes, count: int) -> bytes:
    deflater = zlib.compressobj(9)
    return b"".join((*(deflater.compress(row) for _ in range(count)), deflater.flush()))


def _gif(width: int, height: int) -> bytes:
    """A screen of this size with a picture of one pixel."""
    small = bytearray(saved(Image.new("P", (1, 1)), "GIF"))
    struct.pack_into("<HH", small, 6, width, height)
    return bytes(small)
