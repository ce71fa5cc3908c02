"""When a request is tried again, after how long, and when it has taken too long."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from itertools import count
from typing import Generic, TypeVar

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

from imgd.client.errors import ClientError, TimedOut
from imgd.core.conditional import parse_date

T = TypeVar("T")
OnRetry = Callable[[ClientError, float], None]


@dataclass(frozen=True, slots=True)
class Retrier:
    """Tries again on this clock; ``on_retry`` is called with each error that is tried again.

    Times are in seconds. ``longest_wait`` bounds what a server may ask for in ``Retry-After``: more
    is a failure, as the server asked us not to come back sooner. ``chance`` gives the jitter, from
    0 to 1: clients that failed together come back apart.
    """

    clock: IReactorTime
    on_retry: OnRetry = lambda error, pause: None
    tries: int = 4
    first_pause: float = 0.25
    longest_pause: float = 8.0
    longest_wait: float = 60.0
    chance: Callable[[], float] = random.random

    def pause(self, failures: int, error: ClientError) -> float | None:
        """Seconds until the next try after this many failures, or None: give up."""
        if not error.retryable or failures >= self.tries:
            return None
        pause = min(self.longest_pause, self.first_pause * 2.0 ** (failures - 1))
        jittered = pause * (0.5 + self.chance() / 2)
        if error.retry_after is None:
            return jittered
        return error.retry_after + jittered if error.retry_after <= self.longest_wait else None

    async def call(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """The attempt's result from as many tries as are allowed, else its last error."""
        for failures in count(1):
            try:
                return await attempt()
            except ClientError as error:
                pause = self.pause(failures, error)
                if pause is None:
                    raise
                self.on_retry(error, pause)
                await deferLater(self.clock, pause)
        raise AssertionError("unreachable")  # pragma: no cover


def parse_retry_after(value: str, now: float) -> float | None:
    """``Retry-After`` in seconds from ``now`` (since the epoch), RFC 9110 section 10.2.3.

    Delay-seconds or a date; a date that has passed is 0, what cannot be read is None.
    """
    text = value.strip()
    if text.isascii() and text.isdigit():
        return float(text[:12])
    date = parse_date(text.encode("utf-8"))
    return None if date is None else max(0.0, date - now)


class RequestTimeout(Generic[T]):
    """Makes what takes too long fail as TimedOut, and what is cancelled as CancelledError.

    It does so whatever the watched Deferred makes of being cancelled: twisted's HostnameEndpoint
    reports it as an unknown name, which would be tried again.
    """

    def __init__(self, seconds: float, clock: IReactorTime) -> None:
        self._seconds = seconds
        self._timer = clock.callLater(seconds, self._time_out)
        self._reason: Exception | None = None
        self._watched: Deferred[T] | None = None
        self._result: Deferred[T] = Deferred(lambda _: self._cancel(CancelledError()))

    def watch(self, watched: Deferred[T]) -> Deferred[T]:
        """The result of this Deferred, in time."""
        self._watched = watched
        watched.addBoth(self._finish)
        return self._result

    def reset(self) -> None:
        """Start the time anew: something has come."""
        if self._timer.active():
            self._timer.reset(self._seconds)

    def _finish(self, outcome: T | Failure) -> None:
        if self._timer.active():
            self._timer.cancel()
        if not self._result.called:
            self._result.callback(outcome if self._reason is None else Failure(self._reason))

    def _time_out(self) -> None:
        self._cancel(TimedOut(f"No whole answer within {self._seconds:g} seconds."))

    def _cancel(self, reason: Exception) -> None:
        self._reason = reason
        if self._watched is not None:
            self._watched.cancel()
