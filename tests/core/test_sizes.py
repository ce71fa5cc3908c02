"""Sizes as a person can read them."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from imgd.core.sizes import counted, human_size


class SizeTests(SynchronousTestCase):
    def test_sizes(self) -> None:
        """Sizes are in powers of 1000, with at most one decimal."""
        for size, expected in [
            (0, "0 B"),
            (999, "999 B"),
            (1_000, "1.0 kB"),
            (99_949, "99.9 kB"),
            (99_950, "100 kB"),
            (999_499, "999 kB"),
            (999_500, "1.0 MB"),
            (1_500_000_000, "1.5 GB"),
            (2**63, "9.2 EB"),
            (2**73, "9445 EB"),
        ]:
            self.assertEqual(human_size(size), expected)

    def test_counted(self) -> None:
        """A number comes with its noun, in the singular or the plural."""
        for number, expected in ((0, "0 studies"), (1, "1 study"), (12_345, "12,345 studies")):
            self.assertEqual(counted(number, "study", "studies"), expected)
