from __future__ import annotations

import tempfile
from pathlib import Path

import nibabel
import numpy as np
from numpy.typing import NDArray
from twisted.trial.unittest import SynchronousTestCase

from tests.pictures.worker.asking import ask, one, shown

ARRAY = np.random.default_rng(8).integers(0, 1000, (12, 14, 16)).astype("<i2")


class DisplayCase(SynchronousTestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = Path(folder.name, "a.nii.gz")

    def save(self, array: NDArray[np.generic], *sides: float) -> Path:
        """A volume in RAS, whose voxels have these sides in mm (1)."""
        affine = np.diag([*(sides or (1, 1, 1)), 1])
        nibabel.save(nibabel.Nifti1Image(array, affine, dtype=array.dtype), self.path)
        return self.path


class UprightTests(DisplayCase):
    def test_radiological(self) -> None:
        """Superior and anterior are up, the patient's right and front at the left."""
        array = np.zeros((12, 14, 16), "<i2")
        array[10, 12, 14] = 1  # right, anterior, superior of the middle
        path = self.save(array)
        for query, row, column in (
            ("axial:14", 1, 1), ("coronal:12", 1, 1), ("sagittal:10", 1, 1),
            ("axial:14&convention=neuro", 1, 10), ("coronal:12&convention=neuro", 1, 10),
            ("sagittal:10&convention=neuro", 1, 12),
        ):  # fmt: skip
            [[found_row, found_column]] = np.argwhere(one(path, f"slice={query}").pixels())
            self.assertEqual((found_row, found_column), (row, column), query)

    def test_neurological(self) -> None:
        """The other convention is the same from left to right, of all pictures."""
        path = self.save(ARRAY)
        for query in ("slice=axial", "slice=coronal:3", "slice=sagittal&depth=16"):
            radiological, neurological = ask(path, query, query + "&convention=neuro")
            np.testing.assert_array_equal(radiological.pixels(), neurological.pixels()[:, ::-1])


class ProportionTests(DisplayCase):
    def test_voxels(self) -> None:
        """Pixels are square: the longer side of a voxel becomes more pixels."""
        path = self.save(ARRAY, 0.5, 1, 2)
        for query, size in (
            ("axial", (12, 28)), ("coronal", (12, 64)), ("sagittal", (14, 32)),
            ("axial&size=256", (12, 28)), ("coronal&depth=16", (12, 16)),
        ):  # fmt: skip
            self.assertEqual(one(path, f"slice={query}").image().size, size, query)

    def test_size(self) -> None:
        """Large slices are made to fit; both sides keep their proportion."""
        path = self.save(np.zeros((40, 600, 1200), "<i2"), 1, 1, 0.5)
        for query, size in (
            ("sagittal&size=256", (256, 256)), ("coronal&size=512", (34, 512)),
            ("axial&size=256", (17, 256)), ("sagittal", (1200, 1200)),
            ("sagittal&size=512&depth=16", (512, 512)),
        ):  # fmt: skip
            self.assertEqual(one(path, f"slice={query}").image().size, size, query)
        self.assertEqual(one(path, "thumb").image().size, (17, 256))

    def test_absurd(self) -> None:
        """Absurd proportions are cut to the size, or refused without one."""
        path = self.save(ARRAY, 1e-9, 1, 1e9)
        for query, status in (
            ("thumb", 200), ("slice=coronal&size=256", 200), ("mosaic=2x2", 200), ("info", 200),
            ("slice=coronal", 413), ("slice=coronal&depth=16", 200),
        ):  # fmt: skip
            self.assertEqual(one(path, query).status, status, query)


class ChoiceTests(DisplayCase):
    def test_index(self) -> None:
        """A slice or frame that is not there is refused with the range."""
        path = self.save(ARRAY)
        for query, detail in (
            ("slice=axial:16", "'slice' must be from 0 to 15 for axial."),
            ("slice=coronal:14", "'slice' must be from 0 to 13 for coronal."),
            ("slice=sagittal:1000000", "'slice' must be from 0 to 11 for sagittal."),
            ("slice=axial&t=1", "'t' must be 0: there is one frame."),
            ("mosaic=2x2&t=1", "'t' must be 0: there is one frame."),
        ):
            reply = one(path, query)
            self.assertEqual((reply.status, reply.detail), (400, detail))
        path = self.save(np.zeros((3, 4, 5, 6), "<i2"))
        self.assertEqual(one(path, "slice=axial&t=6").detail, "'t' must be from 0 to 5.")

    def test_others_are_made(self) -> None:
        """A slice that is not there does not spoil others of the job."""
        replies = ask(self.save(ARRAY), "slice=axial:99", "slice=axial:3", "info")
        self.assertEqual([reply.status for reply in replies], [400, 200, 200])

    def test_middle(self) -> None:
        """Without an index it is the middle."""
        path = self.save(ARRAY)
        for query in ("slice=axial&depth=16", "slice=axial:mid&depth=16"):
            np.testing.assert_array_equal(one(path, query).values(), shown(ARRAY, "axial", 8))

    def test_pixels(self) -> None:
        """Slices of too many voxels are refused, but not what is known of the volume."""
        path = self.save(ARRAY)
        for query, status in (
            ("slice=axial", 200), ("slice=coronal", 413), ("thumb", 200), ("info", 200),
            ("mosaic=2x2&axis=sagittal", 413),
        ):  # fmt: skip
            reply = one(path, query, max_pixels=12 * 14)
            self.assertEqual(reply.status, status, query)
        self.assertIn("224 voxels, more than 168", reply.detail)


class MosaicTests(DisplayCase):
    def tiles(self, query: str, slices: int, columns: int) -> list[int]:
        """The indices of slices of a volume whose slices are as bright as their index."""
        array = np.broadcast_to(np.arange(slices, dtype="<f4"), (8, 8, slices))
        mosaic = one(self.save(array), query + "&window=min-max").pixels()[..., 0]
        side = mosaic.shape[1] // columns
        middles = mosaic[side // 2 :: side, side // 2 :: side].astype(int).ravel()
        return [int(grey) for grey in middles]

    def test_spread(self) -> None:
        """Slices are evenly apart, without the ends; with more places than slices, all."""
        greys = self.tiles("mosaic=3x2", 101, 3)
        self.assertEqual(greys[0], 0)
        self.assertEqual(greys[-1], 255)
        apart = np.diff(greys)
        self.assertLess(apart.max() - apart.min(), 6)
        self.assertEqual(len(self.tiles("mosaic=3x3", 7, 3)), 9)
        self.assertEqual(self.tiles("mosaic=3x3", 7, 3)[7:], [0, 0])

    def test_size(self) -> None:
        """The mosaic fits its square; tiles are never enlarged."""
        path = self.save(np.random.default_rng(1).normal(size=(300, 300, 30)).astype("<f4"))
        for query, size in (
            ("mosaic=5x5", (1020, 1020)), ("mosaic=2x4", (512, 1024)), ("mosaic=1x1", (300, 300)),
            ("mosaic=5x5&size=256", (255, 255)), ("mosaic=10x10&axis=sagittal&size=512", (510, 50)),
        ):  # fmt: skip
            reply = one(path, query)
            self.assertEqual((reply.media_type, reply.image().size), ("image/jpeg", size), query)
