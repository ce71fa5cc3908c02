"""How long a thing may take, and what calling it off means."""

from __future__ import annotations

from typing import Generic, TypeVar

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from imgd.client.errors import TimedOut

T = TypeVar("T")


class Watch(Generic[T]):
    """Ends what takes too long: ``result`` fails as TimedOut, or as CancelledError if called off.

    It does so whatever the watched Deferred makes of being cancelled: twisted's HostnameEndpoint,
    for one, reports it as a name that cannot be found, which looks like worth another try.
    """

    def __init__(self, seconds: float, clock: IReactorTime) -> None:
        self._seconds = seconds
        self._late = clock.callLater(seconds, self._too_late)
        self._reason: Exception | None = None
        self._watched: Deferred[T] | None = None
        self.result: Deferred[T] = Deferred(lambda _: self._give_up(CancelledError()))

    def over(self, watched: Deferred[T]) -> Deferred[T]:
        """Watch this; ``result`` is its result in time."""
        self._watched = watched
        watched.addBoth(self._done)
        return self.result

    def came(self) -> None:
        """Something has come: the time starts anew."""
        if self._late.active():
            self._late.reset(self._seconds)

    def _done(self, outcome: T | Failure) -> None:
        if self._late.active():
            self._late.cancel()
        if not self.result.called:
            self.result.callback(outcome if self._reason is None else Failure(self._reason))

    def _too_late(self) -> None:
        self._give_up(TimedOut(f"No whole answer within {self._seconds:g} seconds."))

    def _give_up(self, reason: Exception) -> None:
        self._reason = reason
        if self._watched is not None:
            self._watched.cancel()


def within(seconds: float, asked: Deferred[T], clock: IReactorTime) -> Deferred[T]:
    """The result of ``asked``, which gets so many seconds."""
    return Watch[T](seconds, clock).over(asked)
