"""Threads for what may wait for a disk: few, and never all of them for one that does not answer."""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorFromThreads
from twisted.python.failure import Failure

from imgd.core import faults
from imgd.errors import Unavailable

SLOW: Final = 10.0  # seconds, after which a piece of work is worth a line in the log


@dataclass(slots=True, eq=False)
class _Job:
    place: str
    work: Callable[[], Any]
    until: float
    started: float = 0.0
    done: Deferred[Any] | None = field(default_factory=Deferred)  # None once it was given up


class Workers:
    """Runs blocking work for places (paths, or any name), ``at_once`` pieces and ``each`` of one
    place; the others wait in order. What is not done after ``patience`` seconds fails with
    Unavailable.

    A thread cannot be ended from outside: one that is overdue is left behind with its work, and
    another takes its turn; while it hangs, its place is refused at once. At most ``behind`` are
    left, then everything is refused. Threads never keep the process from ending. To be called on
    the reactor's thread; ``seconds`` is monotonic.
    """

    def __init__(
        self,
        reactor: IReactorFromThreads,
        seconds: Callable[[], float],
        patience: float,
        *,
        at_once: int = 8,
        each: int = 2,
        behind: int = 16,
    ) -> None:
        self._reactor = reactor
        self._seconds = seconds
        self._patience = patience
        self._at_once, self._each, self._behind = at_once, each, behind
        self._waiting: dict[str, deque[_Job]] = {}
        self._busy: Counter[str] = Counter()
        self._running: set[_Job] = set()
        self._hanging: set[_Job] = set()
        self._inbox: SimpleQueue[_Job | None] = SimpleQueue()
        self._threads = 0

    def run(self, place: str, f: Callable[..., Any], *args: Any) -> Deferred[Any]:
        """The result of ``f(*args)``, called on another thread."""
        job = _Job(place, lambda: f(*args), self._seconds() + self._patience)
        assert job.done is not None
        done = job.done
        if len(self._hanging) >= self._behind or any(j.place == place for j in self._hanging):
            done.errback(_gave_up())
        else:
            self._waiting.setdefault(place, deque()).append(job)
            self._begin()
        return done

    def slow(self) -> list[str]:
        """The places that have not answered for a while."""
        now = self._seconds()
        late = [job for job in self._running if now - job.started >= SLOW]
        return sorted({job.place for job in (*late, *self._hanging)})

    def tick(self) -> None:
        """Give up what is overdue. Called every second or so."""
        now = self._seconds()
        for queue in list(self._waiting.values()):
            while queue and now >= queue[0].until:
                self._give_up(queue.popleft())
        for job in [job for job in self._running if now >= job.until]:
            self._stop_counting(job)
            self._hanging.add(job)
            self._give_up(job)
        self._begin()

    def close(self) -> None:
        """No more work: threads end when they are free."""
        for _ in range(self._threads):
            self._inbox.put(None)

    @staticmethod
    def _give_up(job: _Job) -> None:
        done, job.done = job.done, None
        if done is not None:
            done.errback(_gave_up())

    def _begin(self) -> None:
        """Give threads what may run."""
        for place, queue in list(self._waiting.items()):
            while queue and len(self._running) < self._at_once and self._busy[place] < self._each:
                job = queue.popleft()
                self._running.add(job)
                self._busy[place] += 1
                job.started = self._seconds()
                self._inbox.put(job)
                self._keep_threads()
            if not queue:
                del self._waiting[place]

    def _stop_counting(self, job: _Job) -> None:
        if job in self._running:
            self._running.remove(job)
            self._busy[job.place] -= 1
            if not self._busy[job.place]:
                del self._busy[job.place]

    def _keep_threads(self) -> None:
        """As many threads as pieces of work that hold one."""
        if self._threads < len(self._running) + len(self._hanging):
            self._threads += 1
            threading.Thread(target=self._serve, name="imgd disk", daemon=True).start()

    def _serve(self) -> None:
        while (job := self._inbox.get()) is not None:
            try:
                result: Any = job.work()
            except BaseException:
                result = Failure()
            self._reactor.callFromThread(self._end, job, result)
            del job, result  # or else it lives until the next one

    def _end(self, job: _Job, result: Any) -> None:
        if job in self._hanging:  # it came back: there is a thread too many now
            self._hanging.remove(job)
            if self._threads > self._at_once:
                self._threads -= 1
                self._inbox.put(None)
        self._stop_counting(job)
        done, job.done = job.done, None
        self._begin()
        if done is not None:
            done.callback(result)  # a Failure becomes an errback


def _gave_up() -> Unavailable:
    return Unavailable("A disk does not answer. Try again later.", faults.DISK)
