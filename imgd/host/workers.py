"""Threads for what may wait for a disk: few, and never all of them for one that does not answer."""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorFromThreads
from twisted.python.failure import Failure

from imgd.core import health
from imgd.errors import Unavailable

SLOW: Final = 10.0  # seconds, after which a piece of work is worth a line in the log
STALLED: Final = 1.0  # seconds without a step, after which work counts as waiting for its disk


class Dropped(Exception):
    """Nobody waits for this work any more."""


class JobProgress:
    """Given to long work as an argument: it says with each step that it goes on, and hears that it
    need not.
    """

    def __init__(self) -> None:
        self.steps = 0
        self.is_wanted = True

    def step(self) -> None:
        """Every few milliseconds of work. Dropped where nobody waits for it."""
        self.steps += 1
        if not self.is_wanted:
            raise Dropped


@dataclass(slots=True, eq=False)
class _Job:
    place: str
    key: Hashable | None
    work: Callable[[], Any]
    until: float
    progress: JobProgress
    done: Deferred[Any] | None = None  # None once it was given up
    started: float = 0.0
    steps: int = field(default=-1)  # at the last tick
    is_stalled: bool = False

    def look(self, now: float) -> None:
        """Note whether it goes on."""
        steps, self.steps = self.steps, self.progress.steps
        self.is_stalled = steps == self.steps and now - self.started >= STALLED


class Workers:
    """Runs blocking work for places (paths, or any name), ``at_once`` pieces and ``each`` of one
    place; of one ``key`` one. The others wait in order, and the places take turns. What is not
    done after ``patience`` seconds fails with Unavailable.

    What makes no step waits for its disk and not for the interpreter: it leaves its turn to others,
    up to ``most`` pieces in all. A Deferred that is cancelled takes its work away: it is not begun,
    or, where it has a Progress and no other of its key waits, it ends with its next step.

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
        most: int = 8,
        behind: int = 16,
    ) -> None:
        self._reactor = reactor
        self._seconds = seconds
        self._patience = patience
        self._at_once, self._each, self._most, self._behind = at_once, each, most, behind
        self._waiting: dict[str, deque[_Job]] = {}
        self._busy: Counter[str] = Counter()
        self._running: set[_Job] = set()
        self._hanging: set[_Job] = set()
        self._inbox: SimpleQueue[_Job | None] = SimpleQueue()
        self._threads = 0

    def run(
        self, place: str, f: Callable[..., Any], *args: Any, key: Hashable | None = None
    ) -> Deferred[Any]:
        """The result of ``f(*args)``, called on another thread."""
        progress = next((arg for arg in args if isinstance(arg, JobProgress)), JobProgress())
        until = self._seconds() + self._patience
        job = _Job(place, key, lambda: f(*args), until, progress)
        done: Deferred[Any] = Deferred(lambda _: self._drop(job))
        job.done = done
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
        for job in self._running:
            job.look(now)
        self._begin()

    def close(self) -> None:
        """No more work: threads end when they are free."""
        for _ in range(self._threads):
            self._inbox.put(None)

    @staticmethod
    def _give_up(job: _Job) -> None:
        job.progress.is_wanted = False
        done, job.done = job.done, None
        if done is not None:
            done.errback(_gave_up())

    def _drop(self, job: _Job) -> None:
        """Nobody waits for this piece of work any more; others may wait for what it makes."""
        job.done = None
        queue = self._waiting.get(job.place, deque())
        if job in queue:
            queue.remove(job)
        for other in self._running:
            if other.done is None and other.place == job.place:
                keys = {waiting.key for waiting in queue} - {None}
                other.progress.is_wanted = other.key in keys

    def _begin(self) -> None:
        """Give threads what may run."""
        while any(self._begin_one(place) for place in list(self._waiting)):
            pass

    def _begin_one(self, place: str) -> bool:
        """The next piece of work of a place, which is then the last in line."""
        queue = self._waiting[place]
        job = self._next(place, queue)
        if job is not None:
            queue.remove(job)
            self._start(job)
        if job is not None or not queue:
            del self._waiting[place]
            if queue:
                self._waiting[place] = queue
        return job is not None

    def _next(self, place: str, queue: deque[_Job]) -> _Job | None:
        active = sum(not job.is_stalled for job in self._running)
        if active >= self._at_once or len(self._running) >= self._most:
            return None
        if self._busy[place] >= self._each:
            return None
        keys = {job.key for job in self._running} - {None}
        return next((job for job in queue if job.key not in keys), None)

    def _start(self, job: _Job) -> None:
        self._running.add(job)
        self._busy[job.place] += 1
        job.started = self._seconds()
        self._inbox.put(job)
        self._keep_threads()

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
            if self._threads > self._most:
                self._threads -= 1
                self._inbox.put(None)
        self._stop_counting(job)
        done, job.done = job.done, None
        self._begin()
        if done is not None:
            done.callback(result)  # a Failure becomes an errback


def _gave_up() -> Unavailable:
    return Unavailable("A disk does not answer. Try again later.", health.DISK)
