from __future__ import annotations

import gzip
from typing import Any

import nibabel
import numpy as np
from numpy.typing import NDArray

from imgd.pictures.worker import windows
from tests.pictures.worker.asking import one, shown
from tests.pictures.worker.test_volume_display import ARRAY, DisplayCase

LABELS = np.kron(np.arange(27).reshape(3, 3, 3), np.ones((5, 5, 5), int)).astype("<i2")


class GreyTests(DisplayCase):
    def test_windows(self) -> None:
        """Values become grey levels by the window: the percentiles of the slice without one."""
        path = self.save(ARRAY)
        middle = shown(ARRAY, "axial", 8).astype(float)
        low, high = np.percentile(middle, (2, 98))
        for query, limits in (
            ("", (low, high)), ("&window=p2-98", (low, high)), ("&window=400,200", (300, 500)),
            ("&window=min-max", (middle.min(), middle.max())),
        ):  # fmt: skip
            reply = one(path, "slice=axial" + query)
            expected = windows.to_8_bits(middle, *limits).astype(int)
            self.assertEqual(reply.media_type, "image/png")
            self.assertLessEqual(np.abs(reply.pixels() - expected).max(), 1)

    def test_scaled(self) -> None:
        """A window is of scaled values."""
        image = nibabel.Nifti1Image(ARRAY, np.eye(4))
        image.header.set_slope_inter(2, -1000)
        nibabel.save(image, self.path)
        stored = np.asarray(nibabel.load(self.path).dataobj)  # type: ignore[attr-defined]
        expected = windows.to_8_bits(shown(stored, "axial", 8), -500, 500).astype(int)
        pixels = one(self.path, "slice=axial&window=0,1000").pixels()
        self.assertLessEqual(np.abs(pixels - expected).max(), 1)

    def test_no_numbers(self) -> None:
        """NaN and infinities are shown as black and white, not as an error."""
        array = ARRAY.astype("<f4")
        array[2:5], array[5:7], array[7:8] = np.nan, np.inf, -np.inf
        for volume in (array, np.full_like(array, np.nan)):
            path = self.save(volume)
            for query in ("slice=axial", "slice=axial&depth=16", "thumb", "mosaic=2x2", "info"):
                self.assertEqual(one(path, query).status, 200, query)
            self.assertEqual(one(path, "slice=sagittal:3").pixels().max(), 0)

    def test_large_numbers(self) -> None:
        """The largest numbers of every type are shown."""
        for dtype, low, high in (
            ("f8", -1.7e308, 1.7e308), ("f4", -3e38, 3e38), ("f8", 5e-324, 1e-323),
            ("i8", -(2**63), 2**63 - 1), ("u8", 0, 2**64 - 1),
        ):  # fmt: skip
            array = np.full((4, 4, 4), low, dtype)
            array[:2] = high
            path = self.save(array)
            for query in (
                "slice=axial",
                "slice=axial&window=min-max",
                "slice=axial&depth=16",
                "info",
                "thumb",
            ):
                self.assertEqual(one(path, query).status, 200, (dtype, query))


class DepthTests(DisplayCase):
    def check(self, array: NDArray[Any], tolerance: float = 0) -> None:
        values = one(self.save(array), "slice=axial:2&depth=16").values()
        np.testing.assert_allclose(values, shown(array, "axial", 2), rtol=0, atol=tolerance)

    def test_exact(self) -> None:
        """Integers of 16 bits are exact, and longer ones in a slice with no more of them."""
        rng = np.random.default_rng(7)
        for dtype in ("u1", "i1", "u2", "i2"):
            limits = np.iinfo(dtype)
            array = rng.integers(limits.min, limits.max, (5, 6, 7), endpoint=True).astype(dtype)
            array[0, 0, :], array[1, 0, :] = limits.min, limits.max
            self.check(array)
        for offset in (0, -(2**30), 2**31 - 70000):
            self.check((rng.integers(0, 65536, (5, 6, 7)) + offset).astype("i4"))

    def test_quantised(self) -> None:
        """Other values are within one step of 65535."""
        rng = np.random.default_rng(7)
        self.check(rng.normal(0, 100, (9, 9, 9)).astype("f8"), 1000 / 65535)
        self.check(rng.integers(0, 10**6, (9, 9, 9)).astype("i4"), 10**6 / 65535)
        self.check(np.full((5, 5, 5), 3.25, "f4"))

    def test_resized(self) -> None:
        """With a size, the values are mixed, but those of label maps are not."""
        ramp = np.broadcast_to(np.arange(1000, dtype="<i2"), (1000, 1000))[..., np.newaxis]
        noise = np.random.default_rng(0).integers(0, 3, ramp.shape)
        values = one(
            self.save((ramp + noise).astype("<i2")), "slice=axial&depth=16&size=256"
        ).values()
        self.assertEqual(values.shape, (256, 256))
        self.assertLess(np.abs(values[10] - np.full(256, values[10].mean())).max(), 3)
        labels = np.kron(LABELS[:, :, :1], np.ones((64, 64, 1), int)).astype("<i2") * 7
        values = one(self.save(labels), "slice=axial&depth=16&size=256").values()
        self.assertEqual(set(values.ravel()) - set(labels.ravel()), set())


class LabelMapTests(DisplayCase):
    def test_thumb(self) -> None:
        """The thumbnail of a label map is a PNG in colours, black if it is empty."""
        reply = one(self.save(LABELS), "thumb")
        self.assertEqual((reply.media_type, reply.image().mode), ("image/png", "RGB"))
        self.assertEqual(len(np.unique(reply.pixels().reshape(-1, 3), axis=0)), 9)
        self.assertEqual(one(self.save(LABELS * 0), "thumb").pixels().max(), 0)

    def test_slice(self) -> None:
        """A slice of one has every label, also where voxels are no cubes."""
        path = self.save(LABELS, 1, 1, 2.5)
        pixels = one(path, "slice=coronal").pixels()
        self.assertEqual(pixels.shape, (38, 15))
        self.assertEqual(len(np.unique(pixels)), 9)
        self.assertTrue(one(path, "info").json()["is_label_map"])

    def test_mosaic(self) -> None:
        """A mosaic of one is in the same colours."""
        pixels = one(self.save(LABELS), "mosaic=2x2").pixels().astype(int)
        self.assertGreater(np.abs(pixels[..., 0] - pixels[..., 2]).max(), 60)


class ThumbTests(DisplayCase):
    def test_jpeg(self) -> None:
        """A thumbnail is a JPEG of the middle axial slice, radiologically, in proportion."""
        array = np.random.default_rng(1).normal(size=(64, 64, 9)).astype("<f4")
        array[40:, :, 4] += 100  # at the patient's right: at the left of the picture
        reply = one(self.save(array, 1, 2, 9), "thumb")
        self.assertEqual((reply.media_type, reply.image().size), ("image/jpeg", (64, 128)))
        pixels = reply.pixels()
        self.assertGreater(pixels[:, :20].mean(), pixels[:, 30:].mean() + 100)

    def test_named_wrongly(self) -> None:
        """The content decides: gzip without .gz, and a volume named as a picture."""
        plain = self.path.with_name("a.jpg")
        plain.write_bytes(gzip.decompress(self.save(ARRAY).read_bytes()))
        packed = self.path.rename(self.path.with_name("a.nii"))
        for path in (plain, packed):
            self.assertEqual(one(path, "thumb").status, 200)
