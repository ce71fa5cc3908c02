"""One delayed call for the next deadline, and the wall clock compared with the monotonic one."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from imgd.collections.deadline_timer import DRIFT, DRIFT_CHECK, RETRY, ClockDrift, DeadlineTimer


class TimerTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.deadline: float | None = None
        self.calls: list[float] = []
        self.timer = DeadlineTimer(self.clock, lambda: self.deadline, self.on_due)

    def on_due(self) -> None:
        self.calls.append(self.clock.seconds())
        if self.deadline is not None and self.clock.seconds() >= self.deadline:
            self.deadline = None

    def test_due(self) -> None:
        """It calls when the deadline has come, once, and is then still."""
        self.deadline = 5.0
        self.timer.schedule()
        self.clock.pump([1] * 10)
        self.assertEqual(self.calls, [5.0])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_far_away(self) -> None:
        """Until a deadline that is far away, it calls every now and then."""
        self.deadline = 2.5 * DRIFT_CHECK
        self.timer.schedule()
        self.clock.pump([DRIFT_CHECK / 2] * 10)
        self.assertEqual(self.calls, [DRIFT_CHECK, 2 * DRIFT_CHECK, 2.5 * DRIFT_CHECK])

    def test_schedule_again(self) -> None:
        """A deadline that moved counts as it is now, and no other."""
        self.deadline = 5.0
        self.timer.schedule()
        self.deadline = 3.0
        self.timer.schedule()
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)
        self.clock.pump([1] * 10)
        self.assertEqual(self.calls, [3.0])

    def test_failure(self) -> None:
        """What it calls may fail: that is logged, and it is called again, not at once."""
        self.deadline = 5.0
        failing = DeadlineTimer(self.clock, lambda: self.deadline, lambda: 1 // 0)
        failing.schedule()
        self.clock.pump([5, RETRY / 2, RETRY / 2])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 2)
        failing.stop()

    def test_stop(self) -> None:
        """Once stopped, it calls no more, whatever is scheduled."""
        self.deadline = 5.0
        self.timer.schedule()
        self.timer.stop()
        self.timer.schedule()
        self.assertEqual(self.clock.getDelayedCalls(), [])


class DriftTests(SynchronousTestCase):
    def test_drift(self) -> None:
        """A wall clock that somebody set is noticed, until the new drift is settled."""
        clock = Clock()
        wall = [1_700_000_000.0]
        drift = ClockDrift(clock, lambda: wall[0])
        wall[0] += DRIFT
        self.assertFalse(drift.is_noticeable())
        wall[0] += 1
        self.assertTrue(drift.is_noticeable())
        drift.settle(drift.now())
        self.assertFalse(drift.is_noticeable())
