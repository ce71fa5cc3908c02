"""One piece of work for all who wait for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from twisted.internet.defer import Deferred, FirstError, fail, gatherResults
from twisted.internet.interfaces import IReactorTime

SOON: Final = 1.0  # seconds

Start = Callable[[], "Deferred[Any]"]


async def gather(*work: Deferred[Any]) -> list[Any]:
    """The results of all, or the first error as it is. Taken back, all are."""
    try:
        return await gatherResults(work, consumeErrors=True)
    except FirstError as error:
        error.subFailure.raiseException()


class StillRunning(Exception):
    """The work is not done yet; it goes on."""


class SingleFlight:
    """Runs the same work once for all who ask before it begins; who asks later gets what began
    later, so that nobody is told what was true before the question.

    A waiter's Deferred may be cancelled; the last one to go cancels the work.
    """

    def __init__(self) -> None:
        self._now: list[Deferred[Any]] = []
        self._next: list[Deferred[Any]] = []
        self._work: Deferred[Any] | None = None
        self._start: Start | None = None
        self._is_late = False

    def wait(self, start: Start) -> Deferred[Any]:
        """The result of work that begins now or later. The ``start`` given last begins it."""
        waiter: Deferred[Any] = Deferred(self._leave)
        self._next.append(waiter)
        self._start = start
        if self._work is None:
            self._begin()
        return waiter

    def wait_briefly(self, start: Start, clock: IReactorTime) -> Deferred[Any]:
        """The same, or Late after ``SOON``, and at once while it is known to be late."""
        if self._is_late:
            return fail(StillRunning())
        work = self.wait(start)
        answer: Deferred[Any] = Deferred(lambda _: work.cancel())
        call = clock.callLater(SOON, self._be_late, answer)

        def done(result: Any) -> None:
            if call.active():
                call.cancel()
                if not answer.called:
                    answer.callback(result)

        work.addBoth(done)
        return answer

    def _be_late(self, answer: Deferred[Any]) -> None:
        self._is_late = True
        if not answer.called:
            answer.errback(StillRunning())

    def _begin(self) -> None:
        assert self._start is not None
        self._now, self._next = self._next, []
        self._work = self._start()
        self._work.addBoth(self._end)

    def _end(self, result: Any) -> None:
        now, self._now = self._now, []
        self._work, self._is_late = None, False
        if self._next:
            self._begin()
        for waiter in now:
            waiter.callback(result)  # a Failure becomes an errback

    def _leave(self, waiter: Deferred[Any]) -> None:
        for waiters in (self._now, self._next):
            if waiter in waiters:
                waiters.remove(waiter)
        if not self._now and self._work is not None:
            self._work.cancel()
