"""The reactor's clock is monotonic, for what waits already too."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.base import ReactorBase
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from imgd.host.clock import make_monotonic
from tests.fakes import log_lines

HOUR = 3600.0
DAY = 86_400.0


@implementer(IReactorTime)
class TimedReactor(ReactorBase):
    """Twisted's own timed calls over a wall clock in the test's hands, without a loop."""

    def __init__(self, seconds: Callable[[], float]) -> None:
        self.seconds = seconds
        super().__init__()

    def installWaker(self) -> None:
        """Nothing waits."""


class MonotonicTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.wall = 1_800_000_000.0
        self.monotonic = 50.0
        self.reactor = TimedReactor(lambda: self.wall)
        self.calls: list[str] = []
        self.logged = log_lines(self, "imgd.host.clock")

    def later(self, delay: float, name: str) -> None:
        self.reactor.callLater(delay, self.calls.append, name)

    def pass_time(self, seconds: float) -> None:
        self.wall += seconds
        self.monotonic += seconds
        self.reactor.runUntilCurrent()

    def make_monotonic(self) -> None:
        make_monotonic(self.reactor, lambda: self.monotonic)

    def test_wall_clock_is_set(self) -> None:
        """A call comes in its time though the wall clock is set back or forward meanwhile."""
        self.make_monotonic()
        for jump in (-DAY, DAY):
            self.calls.clear()
            self.later(HOUR, "due")
            self.wall += jump
            self.pass_time(HOUR - 1)
            self.assertEqual(self.calls, [])
            self.pass_time(1)
            self.assertEqual(self.calls, ["due"])

    def test_call_that_waits_already(self) -> None:
        """A call made before comes in its time, too; be it reset, or another one cancelled."""
        self.later(HOUR, "due")
        put_off = self.reactor.callLater(1, self.calls.append, "put off")
        cancelled = self.reactor.callLater(2, self.calls.append, "cancelled")
        self.pass_time(0)
        cancelled.cancel()
        self.make_monotonic()
        self.wall -= DAY
        put_off.reset(2 * HOUR)
        self.pass_time(HOUR)
        self.assertEqual(self.calls, ["due"])
        self.pass_time(HOUR)
        self.assertEqual(self.calls, ["due", "put off"])
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_another_reactor(self) -> None:
        """A reactor whose clock cannot be replaced gets one line in the log, and works on."""
        clock = Clock()
        make_monotonic(clock)
        self.assertEqual(len(self.logged), 1)
        self.assertIn("Timers follow the wall clock", self.logged[0])
        self.assertEqual(clock.seconds(), 0)

    def test_no_line(self) -> None:
        """One whose clock is replaced gets none, whatever waits."""
        self.later(1, "waits")
        self.make_monotonic()
        self.assertEqual(self.logged, [])
