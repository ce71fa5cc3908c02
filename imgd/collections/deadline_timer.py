"""The one timer of the collections, and how it notices that the wall clock was set."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

from twisted.internet.interfaces import IDelayedCall

from imgd.logs import Logger

# How often the wall clock is held against the monotonic one while timers run, in seconds.
DRIFT_CHECK: Final = 60.0
# A wall clock that moved this far against the monotonic one was set by someone, in seconds.
DRIFT: Final = 2.0


class Clock(Protocol):
    """A monotonic clock, in seconds, that calls back."""

    def seconds(self) -> float:
        """Seconds since some moment that never changes."""

    def callLater(self, delay: float, f: Callable[..., object], /) -> IDelayedCall:
        """Call ``f`` on the reactor's thread in ``delay`` seconds."""


class DeadlineTimer:
    """One armed call for the next of many deadlines.

    ``ring`` is called when ``next_deadline()`` (monotonic seconds, None for none) has come, and
    every ``DRIFT_CHECK`` seconds until then. What it raises is logged, and never stops the clock.
    """

    log = Logger()

    def __init__(
        self, clock: Clock, next_deadline: Callable[[], float | None], ring: Callable[[], object]
    ) -> None:
        self._clock = clock
        self._next_deadline = next_deadline
        self._ring = ring
        self._armed: IDelayedCall | None = None
        self._stopped = False

    def arm(self) -> None:
        """Wait for the next deadline as it is now, and for no other."""
        self._disarm()
        deadline = self._next_deadline()
        if deadline is not None and not self._stopped:
            left = max(0.0, deadline - self._clock.seconds())
            self._armed = self._clock.callLater(min(left, DRIFT_CHECK), self._tick)

    def stop(self) -> None:
        """Ring no more, whatever is armed afterwards."""
        self._stopped = True
        self._disarm()

    def _disarm(self) -> None:
        if self._armed is not None:
            self._armed.cancel()
            self._armed = None

    def _tick(self) -> None:
        self._armed = None
        try:
            self._ring()
        except Exception:
            self.log.failure("The timer of collections failed, and goes on")
        finally:
            self.arm()


class ClockDrift:
    """How far the wall clock moved against the monotonic one since deadlines were last stored."""

    def __init__(self, clock: Clock, wall: Callable[[], float]) -> None:
        self._clock = clock
        self._wall = wall
        self._settled = self.now()

    def now(self) -> float:
        """What the wall clock is ahead, in seconds."""
        return self._wall() - self._clock.seconds()

    def is_noticeable(self) -> bool:
        """Whether somebody set the wall clock."""
        return abs(self.now() - self._settled) > DRIFT

    def settle(self, drift: float) -> None:
        """Deadlines are now stored as this drift has them."""
        self._settled = drift
