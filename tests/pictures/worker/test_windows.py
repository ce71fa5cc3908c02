from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from twisted.trial.unittest import SynchronousTestCase

from imgd.pictures.worker import windows

NUMBERS = st.sampled_from(("u1", "i1", "u2", "i2", "u4", "i4", "i8", "f4", "f8")).flatmap(
    lambda dtype: arrays.arrays(dtype, st.integers(1, 200))
)


class WindowTests(SynchronousTestCase):
    @settings(max_examples=300, deadline=None, derandomize=True)
    @given(NUMBERS)
    def test_percentiles(self, values: np.ndarray[tuple[int], np.dtype[np.float64]]) -> None:
        """Of values of any type they are numpy's, of those that are numbers."""
        finite = values[np.isfinite(values)].astype(float)
        if not finite.size:
            self.assertEqual(windows.percentiles(values), (0.0, 1.0))
        elif np.abs(finite).max() < 1e30:
            np.testing.assert_allclose(
                windows.percentiles(values), np.percentile(finite, (2, 98)), rtol=1e-5, atol=1e-9
            )

    def test_limits(self) -> None:
        """Windows by name and by numbers."""
        values = np.arange(101, dtype="i2") - 50
        self.assertEqual(windows.limits(values, "40,400"), (-160, 240))
        self.assertEqual(windows.limits(values, "min-max"), (-50, 50))
        self.assertEqual(windows.limits(values, "p2-98"), (-48, 48))
        self.assertEqual(windows.limits(values, ""), (-48, 48))

    def test_mostly_background(self) -> None:
        """If nearly all is background, the rest is not all white."""
        values = np.zeros(1000, "u1")
        values[:5] = 9
        self.assertEqual(windows.limits(values, "p2-98"), (0, 9))

    def test_no_numbers(self) -> None:
        """Values that are no numbers do not count."""
        values = np.array([np.nan, np.inf, -np.inf, 1, 2], "f4")
        self.assertEqual(windows.limits(values, "min-max"), (1, 2))
        self.assertEqual(windows.limits(values[:3], "min-max"), (0, 1))
        self.assertEqual(list(windows.to_8_bits(values, 1, 2)), [0, 255, 0, 0, 255])

    def test_grey(self) -> None:
        """Values become grey levels from black to white; without a width all is black."""
        values = np.array([-9, 0, 50, 100, 200], "i2")
        self.assertEqual(list(windows.to_8_bits(values, 0, 100)), [0, 0, 128, 255, 255])
        self.assertEqual(list(windows.to_8_bits(values, 7, 7)), [0] * 5)
        large = np.array([2**31 - 3, 2**31 - 2, 2**31 - 1], "u4")
        self.assertEqual(list(windows.to_8_bits(large, 2**31 - 3, 2**31 - 1)), [0, 128, 255])
