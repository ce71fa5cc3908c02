"""Faults: which there are, and for how long."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from imgd.core.health import QUIET, HealthState


class FaultTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.faults = HealthState()

    def test_news_once(self) -> None:
        """A fault is new when it begins, and not when it is reported again."""
        self.assertTrue(self.faults.report("a", "A.", 0))
        self.assertFalse(self.faults.report("a", "A.", 1))
        self.assertTrue(self.faults.report("b", "B.", 1))
        self.assertEqual(self.faults.reasons(), ["A.", "B."])

    def test_passing(self) -> None:
        """A passing fault is over when it was not reported for a while; a lasting one stays."""
        self.faults.report("passing", "P.", 0)
        self.faults.report("passing", "P.", 5)
        self.faults.report("lasting", "L.", 0, lasts=True)
        self.assertEqual(self.faults.clear_passed(5 + QUIET - 0.1), [])
        [(name, fault)] = self.faults.clear_passed(5 + QUIET)
        self.assertEqual((name, fault.count, fault.since, fault.seen), ("passing", 2, 0, 5))
        self.assertEqual(self.faults.reasons(), ["L."])
        self.assertIn("lasting", self.faults)

    def test_cleared(self) -> None:
        """A fault that is cleared is over, and is new when it comes back."""
        self.faults.report("a", "A.", 0, lasts=True)
        self.assertIsNotNone(self.faults.clear("a"))
        self.assertIsNone(self.faults.clear("a"))
        self.assertEqual(self.faults.reasons(), [])
        self.assertTrue(self.faults.report("a", "A.", 1))
