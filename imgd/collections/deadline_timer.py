"""The one timer of the collections, and how it notices that the wall clock was set."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from imgd.logs import Logger

# How often the wall clock is compared with the monotonic one while timers run, in seconds.
DRIFT_CHECK: Final = 60.0
# A wall clock that moved this far against the monotonic one was set by someone, in seconds.
DRIFT: Final = 2.0
RETRY: Final = 1.0  # seconds after a failure, or else a deadline that stays due would spin


class DeadlineTimer:
    """One delayed call for the next of many deadlines.

    ``on_due`` is called when ``next_deadline()`` (monotonic seconds, None for none) has come, and
    every ``DRIFT_CHECK`` seconds until then. What it raises is logged, and never stops the timer.
    """

    log = Logger()

    def __init__(
        self,
        clock: IReactorTime,
        next_deadline: Callable[[], float | None],
        on_due: Callable[[], object],
    ) -> None:
        self._clock = clock
        self._next_deadline = next_deadline
        self._on_due = on_due
        self._call: IDelayedCall | None = None
        self._is_stopped = False

    def schedule(self) -> None:
        """Wait for the next deadline as it is now, and for no other."""
        self._schedule(at_least=0.0)

    def _schedule(self, at_least: float) -> None:
        self._cancel()
        deadline = self._next_deadline()
        if deadline is not None and not self._is_stopped:
            delay = max(at_least, deadline - self._clock.seconds())
            self._call = self._clock.callLater(min(delay, DRIFT_CHECK), self._tick)

    def stop(self) -> None:
        """Call no more, whatever is scheduled afterwards."""
        self._is_stopped = True
        self._cancel()

    def _cancel(self) -> None:
        if self._call is not None:
            self._call.cancel()
            self._call = None

    def _tick(self) -> None:
        self._call = None
        pause = RETRY
        try:
            self._on_due()
            pause = 0.0
        except Exception:
            self.log.failure("The timer of collections failed; it is set again")
        finally:
            self._schedule(at_least=pause)


class ClockDrift:
    """How far the wall clock moved against the monotonic one since deadlines were last stored."""

    def __init__(self, clock: IReactorTime, wall: Callable[[], float]) -> None:
        self._clock = clock
        self._wall = wall
        self._settled = self.now()

    def now(self) -> float:
        """Seconds by which the wall clock is ahead of the monotonic one."""
        return self._wall() - self._clock.seconds()

    def is_noticeable(self) -> bool:
        """Whether somebody set the wall clock."""
        return abs(self.now() - self._settled) > DRIFT

    def settle(self, drift: float) -> None:
        """Deadlines are now stored with this drift."""
        self._settled = drift
