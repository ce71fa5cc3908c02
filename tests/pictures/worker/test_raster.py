"""Pictures that Pillow reads: thumbnails, pages, mosaics and facts."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
from itertools import pairwise
from pathlib import Path
from typing import Any
from unittest import SkipTest

import numpy as np
from PIL import Image, ImageCms, ImageOps
from twisted.trial.unittest import SynchronousTestCase

from tests.pictures.worker.decoded import body, failure, image, made, pixels, saved, values
from tests.samples import picture

FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP", "AVIF", "JPEG2000")


def scene(size: tuple[int, int] = (640, 480)) -> Image.Image:
    """A picture with smooth parts and no symmetry."""
    red = Image.linear_gradient("L").resize(size)
    green = Image.radial_gradient("L").resize(size)
    return Image.merge("RGB", (red, green, red.transpose(Image.Transpose.ROTATE_180)))


def difference(one: Image.Image, other: Image.Image) -> float:
    """The mean difference of two pictures of one size, of 255."""
    assert one.size == other.size, (one.size, other.size)
    left, right = (np.asarray(i.convert("RGB"), np.int16) for i in (one, other))
    return float(np.abs(left - right).mean())


def tool(*command: str) -> str:
    if shutil.which(command[0]) is None:
        raise SkipTest(f"no {command[0]} here")
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    return done.stdout + done.stderr


class ThumbnailTests(SynchronousTestCase):
    def test_formats(self) -> None:
        """Each format becomes a JPEG that fits the square and looks like it."""
        expected = scene().resize((256, 192), Image.Resampling.LANCZOS)
        for name in FORMATS:
            small = image(saved(scene(), name), "thumb")
            self.assertEqual(small.format, "JPEG", name)
            self.assertLess(difference(small, expected), 3.0, name)

    def test_other_programs(self) -> None:
        """vipsthumbnail and ImageMagick make nearly the same of a picture."""
        folder = Path(self.mktemp())
        folder.mkdir()
        source = picture(folder / "a.jpg", 3, (1920, 1080))
        ours = image(source.read_bytes(), "thumb=512")
        ours.save(folder / "ours.png")
        tool("vipsthumbnail", str(source), "--size", "512x512", "-o", "vips.png")
        self.assertLess(difference(ours, Image.open(folder / "vips.png")), 1.5)
        tool("convert", str(source), "-resize", "512x512", str(folder / "magick.png"))
        args = ("-metric", "MAE", str(folder / "ours.png"), str(folder / "magick.png"), "null:")
        told = tool("compare", *args)  # 65535 would be all of it
        self.assertLess(float(told.split()[0]) / 65535 * 255, 1.5)

    def test_orientation(self) -> None:
        """A photograph is turned by its EXIF as Pillow turns it, for each of the eight."""
        for orientation in range(1, 9):
            exif = Image.Exif()
            exif[0x0112] = orientation
            for name in ("JPEG", "PNG", "WEBP", "TIFF", "AVIF"):
                data = saved(scene(), name, exif=exif)
                expected = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
                expected.thumbnail((256, 256))
                small, facts = made(data, "thumb", "info")
                shown = Image.open(io.BytesIO(small.body))
                self.assertLess(difference(shown, expected), 3.0, (name, orientation))
                width, height = json.loads(facts.body)["size"]
                self.assertEqual((width > height), (shown.width > shown.height), name)

    def test_broken_exif(self) -> None:
        """EXIF that cannot be read turns nothing."""
        data = saved(scene(), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
        self.assertEqual(image(data, "thumb").size, (256, 192))

    def test_never_enlarged(self) -> None:
        """A picture that is smaller than what is asked stays as it is; one row stays one row."""
        self.assertEqual(image(saved(scene((40, 30)), "PNG"), "thumb").size, (40, 30))
        self.assertEqual(image(saved(scene((4000, 2)), "JPEG"), "thumb").size, (256, 1))

    def test_modes(self) -> None:
        """Pictures of every mode look like themselves."""
        grey = scene().convert("L")
        cases: list[tuple[str, Image.Image, dict[str, Any]]] = [
            ("TIFF", scene().convert("CMYK"), {}),
            ("JPEG", scene().convert("CMYK"), {}),
            ("TIFF", scene().convert("YCbCr"), {"compression": "jpeg"}),
            ("PNG", scene().quantize(200), {}),
            ("GIF", scene(), {}),
            ("TIFF", scene(), {"compression": "tiff_lzw"}),
            ("TIFF", scene(), {"compression": "tiff_adobe_deflate"}),
            ("JPEG", scene(), {"progressive": True}),
            ("PNG", grey.convert("LA"), {}),
            ("JPEG", grey, {}),
        ]
        for name, original, options in cases:
            small = image(saved(original, name, **options), "thumb")
            expected = original.convert("RGB").resize((256, 192))
            self.assertEqual(small.format, "JPEG")
            self.assertLess(difference(small, expected), 6.0, (name, original.mode))

    def test_transparency(self) -> None:
        """Pictures with something transparent stay transparent, as PNG; opaque ones are JPEG."""
        opaque = scene().convert("RGBA")
        self.assertEqual(image(saved(opaque, "PNG"), "thumb").format, "JPEG")
        half = opaque.copy()
        half.putalpha(Image.linear_gradient("L").resize(half.size))
        for name in ("PNG", "WEBP", "TIFF", "AVIF"):
            small = image(saved(half, name), "thumb")
            self.assertEqual((small.format, small.mode), ("PNG", "RGBA"), name)
            self.assertLess(np.asarray(small)[0, 0, 3], 20)
        palette = scene().quantize(100)
        small = image(saved(palette, "PNG", transparency=palette.getpixel((0, 0))), "thumb")
        self.assertEqual(small.mode, "RGBA")
        self.assertEqual(np.asarray(small)[0, 0, 3], 0)

    def test_label_maps(self) -> None:
        """Masks are shown without new values between theirs, as PNG, and so that they are seen."""
        labels = np.zeros((700, 900), np.uint8)
        labels[100:300, 200:500], labels[400:600, 300:800] = 1, 2
        grey = image(saved(Image.fromarray(labels), "PNG"), "thumb")
        self.assertEqual((grey.format, grey.size), ("PNG", (256, 199)))
        self.assertEqual(sorted(np.unique(np.asarray(grey))), [0, 128, 255])
        deep = pixels(saved(Image.fromarray(labels.astype(np.uint16) * 1000), "PNG"), "thumb")
        self.assertEqual(sorted(np.unique(deep)), [0, 128, 255])
        paletted = Image.fromarray(labels, "P")
        paletted.putpalette([9, 9, 9, 200, 30, 40, 50, 60, 220])
        colours = pixels(saved(paletted, "PNG"), "thumb").reshape(-1, 3)
        self.assertEqual(
            {tuple(map(int, colour)) for colour in colours},
            {(9, 9, 9), (200, 30, 40), (50, 60, 220)},
        )
        two = Image.fromarray(labels > 0)
        self.assertEqual(sorted(np.unique(pixels(saved(two, "PNG"), "thumb"))), [0, 255])

    def test_scanned_page(self) -> None:
        """A TIFF of two levels is a scanned page: its letters are smooth when they are small."""
        page = scene((1600, 1200)).convert("1")
        small = image(saved(page, "TIFF", compression="group4"), "thumb")
        self.assertEqual(small.format, "JPEG")
        self.assertGreater(len(np.unique(np.asarray(small))), 50)

    def test_deep_grey(self) -> None:
        """Grey of 16 or 32 bits is windowed by its own range, without values that are none."""
        ramp = np.linspace(1000, 3000, 500 * 400).reshape(400, 500)
        for name, kind in (("PNG", "u2"), ("TIFF", "u2"), ("TIFF", "i4"), ("TIFF", "f4")):
            values = ramp.astype(kind)
            if kind == "f4":
                values[:20, :20] = np.nan
            small = pixels(saved(Image.fromarray(values), name), "thumb")
            self.assertEqual(small.shape, (205, 256))
            self.assertLess(small[3, 30], 12, (name, kind))
            self.assertGreater(small[-3, -3], 243)
            self.assertLess(abs(float(small.mean()) - 127.5), 4)

    def test_colour_profile(self) -> None:
        """Colours of a wide profile are turned to those of sRGB; a broken one is ignored."""
        profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
        swapped = profile.replace("sRGB".encode("utf-16-be"), "mine".encode("utf-16-be"))
        swapped = swapped.replace(b"rXYZ", b"?XYZ").replace(b"gXYZ", b"rXYZ")
        data = saved(scene(), "PNG", icc_profile=swapped.replace(b"?XYZ", b"gXYZ"))
        plain = image(saved(scene(), "PNG"), "thumb")
        self.assertGreater(difference(image(data, "thumb"), plain), 10)
        same = saved(scene(), "PNG", icc_profile=profile)
        self.assertEqual(difference(image(same, "thumb"), plain), 0)
        broken = saved(scene(), "PNG", icc_profile=b"no profile" * 20)
        self.assertEqual(body(broken, "thumb"), body(saved(scene(), "PNG"), "thumb"))

    def test_no_metadata(self) -> None:
        """A thumbnail carries nothing of what the picture says of its place and time."""
        exif = Image.Exif()
        exif[0x010E] = "Jane Roe, 7 Elm Street"
        small = body(saved(scene(), "JPEG", exif=exif, comment=b"Jane Roe"), "thumb")
        self.assertNotIn(b"Jane", small)
        self.assertNotIn(b"Exif", small)


class PageTests(SynchronousTestCase):
    def stack(self, name: str = "TIFF") -> bytes:
        """Five pages, each of one grey, lighter from page to page."""
        pages = [Image.new("RGB", (60, 40), (40 * i, 40 * i, 40 * i)) for i in range(5)]
        return saved(pages[0], name, save_all=True, append_images=pages[1:], loop=0)

    def test_slices(self) -> None:
        """A slice of a picture is its page, without loss; of a single one, the picture itself."""
        for name in ("TIFF", "GIF", "WEBP"):
            for number in range(5):
                page = pixels(self.stack(name), f"slice=axial:{number}")
                self.assertLess(abs(int(page[20, 30, 0]) - 40 * number), 3, (name, number))
        middle = pixels(self.stack(), "slice=axial")
        self.assertEqual(int(middle[0, 0, 0]), 80)
        data = saved(scene(), "PNG")
        self.assertTrue((pixels(data, "slice=axial:0") == np.asarray(scene())).all())

    def test_outside(self) -> None:
        """What is not there is refused with the range."""
        status, detail = failure(self.stack(), "slice=axial:5")
        self.assertEqual((status, detail), (400, "It has pages 0 to 4."))
        for query in ("slice=coronal", "slice=axial:0&t=1", "mosaic&axis=sagittal"):
            self.assertEqual(failure(self.stack(), query)[0], 400, query)

    def test_values(self) -> None:
        """With ``depth=16``, grey pictures give back their very values."""
        random = np.random.default_rng(7)
        for kind, name in (("u1", "PNG"), ("u2", "PNG"), ("u2", "TIFF")):
            original = random.integers(0, np.iinfo(kind).max, (30, 40), kind, endpoint=True)
            data = saved(Image.fromarray(original), name)
            self.assertTrue((values(data, "slice=axial:0") == original).all(), (kind, name))
        floats = random.normal(0, 100, (30, 40)).astype("f4")
        error = values(saved(Image.fromarray(floats), "TIFF"), "slice=axial") - floats
        self.assertLess(np.abs(error).max(), np.ptp(floats) / 65535)
        constant = saved(Image.fromarray(np.full((3, 3), 2.5, "f4")), "TIFF")
        self.assertEqual(values(constant, "slice=axial").tolist(), [[2.5] * 3] * 3)

    def test_values_reduced(self) -> None:
        """With ``depth=16`` and a size, no value is mixed."""
        original = np.random.default_rng(7).integers(0, 65535, (500, 600), "u2")
        small = values(saved(Image.fromarray(original), "PNG"), "slice=axial&size=256")
        self.assertEqual(small.shape, (213, 256))
        self.assertTrue(np.isin(small, original).all())

    def test_window(self) -> None:
        """A window of the request is that of grey of 8 bits, too."""
        ramp = np.tile(np.arange(256, dtype=np.uint8), (4, 1))
        grey = pixels(saved(Image.fromarray(ramp), "PNG"), "slice=axial&window=100,100")
        self.assertEqual([int(value) for value in grey[0, [50, 100, 150, 200]]], [0, 128, 255, 255])
        plain = pixels(saved(Image.fromarray(ramp), "PNG"), "slice=axial")
        self.assertTrue((plain == ramp).all())

    def test_mosaic(self) -> None:
        """A mosaic shows the pages evenly apart, the first and the last among them."""
        whole = pixels(self.stack(), "mosaic=3x1&size=256")
        self.assertEqual(whole.shape, (40, 180, 3))
        means = [float(whole[:, start : start + 60].mean()) for start in (0, 60, 120)]
        self.assertTrue(all(a < b for a, b in pairwise(means)))
        self.assertLess(abs(means[2] - 160), 3)
        fewer = pixels(self.stack(), "mosaic=3x2&size=256")
        self.assertLess(float(fewer[40:, 120:].mean()), 2)  # the sixth is none
        self.assertEqual(failure(saved(scene(), "PNG"), "mosaic")[0], 400)


class InfoTests(SynchronousTestCase):
    def test_facts(self) -> None:
        """The facts of a picture."""
        cases = (
            (saved(scene(), "JPEG"), ("JPEG", [640, 480], "rgb24", True, 1)),
            (saved(scene().convert("L"), "PNG"), ("PNG", [640, 480], "uint8", False, 1)),
            (saved(scene(), "JPEG2000"), ("JPEG 2000", [640, 480], "rgb24", True, 1)),
            (PageTests().stack("WEBP"), ("WebP", [60, 40], "rgb24", True, 5)),
            (PageTests().stack("TIFF"), ("TIFF", [60, 40], "rgb24", True, 5)),
        )
        for data, expected in cases:
            facts = json.loads(body(data, "info"))
            self.assertEqual(facts.pop("kind"), "picture")
            keys = ("format", "size", "type", "is_colour", "pages")
            self.assertEqual(facts, dict(zip(keys, expected, strict=True)))

    def test_deep_grey(self) -> None:
        """Grey of 16 bits also tells its range, and the window that opens best."""
        ramp = np.linspace(1000, 3000, 100 * 100).reshape(100, 100).astype("u2")
        facts = json.loads(body(saved(Image.fromarray(ramp), "PNG"), "info"))
        self.assertEqual((facts["type"], facts["is_colour"]), ("uint16", False))
        self.assertEqual((facts["range"]["min"], facts["range"]["max"]), (1000, 3000))
        self.assertLess(abs(facts["window"][0] - 2000), 2)
        self.assertLess(abs(facts["window"][1] - 1920), 2)

    def test_companions(self) -> None:
        """A picture holds its data itself."""
        from imgd.pictures.views import View, ViewKind
        from imgd.pictures.worker.frames import no_companions

        answer = no_companions(View(ViewKind.COMPANION))
        self.assertEqual(answer.body, b'{"names":[]}')
