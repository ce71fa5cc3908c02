"""Faults are logged when they begin and when they are over."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from imgd.core import health
from imgd.host.health_monitor import HealthMonitor
from tests.fakes import log_lines


class MonitorTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.monitor = HealthMonitor(self.clock.seconds)
        self.lines = log_lines(self, "imgd.host.health_monitor")

    def test_passing(self) -> None:
        """A fault that is met now and then is over ten seconds after the last time."""
        for _ in range(20):
            self.monitor.report(health.DESCRIPTORS, detail="EMFILE")
            self.clock.advance(1)
            self.monitor.tick()
        self.assertEqual(self.lines, [f"Degraded (descriptors): {self.reason} [EMFILE]"])
        self.assertEqual(self.monitor.reasons(), [self.reason])
        self.clock.advance(9)
        self.monitor.tick()
        self.assertEqual(self.lines[1:], ["Recovered (descriptors): met 20 times in 29 s"])
        self.assertEqual(self.monitor.reasons(), [])

    reason = "There is no file descriptor left."

    def test_lasting(self) -> None:
        """A fault that lasts is over when it is cleared."""
        self.monitor.report(health.STATE, lasts=True)
        self.clock.advance(100)
        self.monitor.tick()
        self.assertIn(health.STATE, self.monitor)
        self.monitor.clear(health.STATE)
        self.monitor.clear(health.STATE)
        self.assertEqual([line.split()[0] for line in self.lines], ["Degraded", "Recovered"])

    def test_unexpected(self) -> None:
        """Errors that nobody foresaw are logged once a second, with how many were not."""
        for _ in range(3):
            self.monitor.unexpected("Could not answer", Failure(ZeroDivisionError()))
        self.clock.advance(1)
        self.monitor.unexpected("Could not answer", Failure(ZeroDivisionError()))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 2)
        self.assertIn("and 2 more that were not logged", self.lines[1])
