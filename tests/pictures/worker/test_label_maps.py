from __future__ import annotations

import numpy as np
from twisted.trial.unittest import SynchronousTestCase

from imgd.pictures.worker import label_maps

RNG = np.random.default_rng(6)
REGIONS = np.kron(RNG.integers(0, 14000, (8, 8)), np.ones((12, 12), int))


class LabelMapTests(SynchronousTestCase):
    def test_label_maps(self) -> None:
        """Regions, masks and empty slices are label maps, of any type of integers."""
        for pixels in (REGIONS, REGIONS > 7000, np.zeros((9, 9)), np.eye(60), np.ones((1, 1))):
            for dtype in ("u2", "i4", ">i2", "i8"):
                if pixels.shape != (60, 60):
                    self.assertTrue(label_maps.is_one(pixels.astype(dtype)))

    def test_images(self) -> None:
        """Images are none: their values are many, or differ from voxel to voxel."""
        for pixels in (
            RNG.normal(0, 300, (200, 200)).astype("i2"),
            RNG.integers(0, 50, (200, 200), np.uint8),
            REGIONS.astype("f4"),
            np.zeros((5, 5, 3), "u1"),
            np.sort(RNG.integers(0, 60000, 200 * 200)).reshape(200, 200).astype("u2"),
        ):
            self.assertFalse(label_maps.is_one(pixels))

    def test_numbers(self) -> None:
        """0 is black, another label is never, and always has the same colour."""
        labels = np.array([[0, 1, 2, 255, 256, -1, 14175]], "i4")
        numbers = label_maps.numbered(labels)
        self.assertEqual(numbers[0, 0], 0)
        self.assertTrue((numbers[0, 1:] > 0).all())
        self.assertEqual(numbers[0, 1], numbers[0, 4])
        self.assertTrue((label_maps.PALETTE[1:].max(axis=1) > 120).all())
        self.assertEqual(len(np.unique(label_maps.PALETTE, axis=0)), 256)
