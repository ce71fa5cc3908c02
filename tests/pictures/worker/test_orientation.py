from __future__ import annotations

import nibabel
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray
from twisted.trial.unittest import SynchronousTestCase

from imgd.pictures.worker.orientation import Orientation, orientation
from imgd.pictures.worker.source import SourceFile
from imgd.pictures.worker.volume import Data, Volume

SHAPE = (3, 4, 5)


def lies(columns: NDArray[np.float64]) -> Orientation:
    affine = np.eye(4)
    affine[:3, :3] = columns
    data = Data(SourceFile(-1, "a.nii", 0))
    return orientation(Volume("NIfTI-1", SHAPE, "xyz", np.dtype("u1"), affine, data))


class OrientationTests(SynchronousTestCase):
    @settings(max_examples=400, deadline=None, derandomize=True)
    @given(arrays.arrays("f8", (3, 3), elements=st.floats(-1e6, 1e6)))
    def test_any(self, columns: NDArray[np.float64]) -> None:
        """However axes lie, each gets one of RAS; nibabel's, if it has one for each."""
        found = lies(columns)
        self.assertEqual(sorted(found.axes), [0, 1, 2])
        self.assertTrue(min(found.voxel) > 0)
        self.assertEqual(len(found.code), 3)

    def test_ties(self) -> None:
        """Axes halfway between two lie as nibabel has it."""
        rng = np.random.default_rng(1)
        for _ in range(500):
            columns = rng.integers(-2, 3, (3, 3)).astype(float)
            if abs(np.linalg.det(columns)) < 0.5:
                continue
            affine = np.eye(4)
            affine[:3, :3] = columns
            self.assertEqual(lies(columns).code, "".join(nibabel.aff2axcodes(affine)))

    def test_degenerate(self) -> None:
        """Axes that are none, or the same, do not keep a volume from being shown."""
        for columns in (
            np.zeros((3, 3)),
            np.ones((3, 3)),
            np.diag([1.0, 0, 0]),
            np.full((3, 3), 1e-300),
        ):
            self.assertEqual(sorted(lies(columns).axes), [0, 1, 2])

    def test_oblique(self) -> None:
        """Axes that deviate by a tenth of a degree are oblique, by rounding they are not."""
        for degrees, is_oblique in ((0, False), (0.01, False), (0.1, True), (30, True)):
            turn = np.radians(degrees)
            columns = np.array(
                [[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, 1]]
            )
            self.assertEqual(lies(2.5 * columns).is_oblique, is_oblique, degrees)
