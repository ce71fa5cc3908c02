"""One piece of work for all who wait for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Generic, TypeVar

from twisted.internet.defer import Deferred, FirstError, fail, gatherResults
from twisted.internet.interfaces import IReactorTime

SOON: Final = 1.0  # seconds

T = TypeVar("T")


async def gather(*work: Deferred[Any]) -> list[Any]:
    """The results of all, or the first error as it is. Cancelled together."""
    try:
        return await gatherResults(work, consumeErrors=True)
    except FirstError as error:
        error.subFailure.raiseException()


class StillRunning(Exception):
    """The work is not done yet; it goes on."""


class SingleFlight(Generic[T]):
    """Runs the same work once for all who ask before it begins; who asks later gets what began
    later, so that nobody gets what was true before the question.

    A waiter's Deferred may be cancelled; the last one cancels the work.
    """

    def __init__(self) -> None:
        self._running: list[Deferred[T]] = []  # those who get the result of the present work
        self._next: list[Deferred[T]] = []
        self._work: Deferred[T] | None = None
        self._start: Callable[[], Deferred[T]] | None = None
        self._is_late = False

    def wait(
        self, start: Callable[[], Deferred[T]], in_time: IReactorTime | None = None
    ) -> Deferred[T]:
        """The result of work that begins now or later. The ``start`` given last begins it.

        With ``in_time``: StillRunning after ``SOON`` seconds of this clock, and at once while the
        present work is known to take that long.
        """
        if in_time is None:
            return self._wait(start)
        return fail(StillRunning()) if self._is_late else self._wait_briefly(start, in_time)

    def _wait(self, start: Callable[[], Deferred[T]]) -> Deferred[T]:
        waiter: Deferred[T] = Deferred(self._leave)
        self._next.append(waiter)
        self._start = start
        if self._work is None:
            self._begin()
        return waiter

    def _wait_briefly(self, start: Callable[[], Deferred[T]], clock: IReactorTime) -> Deferred[T]:
        work = self._wait(start)
        answer: Deferred[T] = Deferred(lambda _: work.cancel())
        call = clock.callLater(SOON, self._give_up, answer)

        def done(result: Any) -> None:
            if call.active():
                call.cancel()
                if not answer.called:
                    answer.callback(result)

        work.addBoth(done)
        return answer

    def _give_up(self, answer: Deferred[T]) -> None:
        self._is_late = True
        if not answer.called:
            answer.errback(StillRunning())

    def _begin(self) -> None:
        assert self._start is not None
        self._running, self._next = self._next, []
        self._work = self._start()
        self._work.addBoth(self._end)

    def _end(self, result: Any) -> None:
        waiters, self._running = self._running, []
        self._work, self._is_late = None, False
        if self._next:
            self._begin()
        for waiter in waiters:
            waiter.callback(result)  # a Failure becomes an errback

    def _leave(self, waiter: Deferred[T]) -> None:
        for waiters in (self._running, self._next):
            if waiter in waiters:
                waiters.remove(waiter)
        if not self._running and self._work is not None:
            self._work.cancel()
