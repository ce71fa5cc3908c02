"""Threads for what may wait for a disk: few, and never all of them for one that does not answer."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any, Final, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorFromThreads
from twisted.python.failure import Failure

from imgd.core import health
from imgd.errors import Unavailable

SLOW: Final = 10.0  # seconds, after which a running job degrades health
STALLED: Final = 1.0  # seconds without a step, after which a job counts as waiting for its disk

T = TypeVar("T")


class JobCancelled(Exception):
    """Nobody waits for this job any more."""


class JobProgress:
    """An argument of a long job: the job calls ``step`` every few milliseconds."""

    def __init__(self) -> None:
        self.steps = 0
        self.is_wanted = True

    def step(self) -> None:
        """Note that the job goes on; JobCancelled if nobody waits for it any more."""
        self.steps += 1
        if not self.is_wanted:
            raise JobCancelled


@dataclass(slots=True, eq=False)
class _Job:
    resource: str
    key: Hashable
    work: Callable[[], Any]
    deadline: float
    progress: JobProgress
    done: Deferred[Any] | None = None  # None once nobody waits for it
    started: float = 0.0
    steps_seen: int = -1  # at the last tick
    is_stalled: bool = False

    def check_progress(self, now: float) -> None:
        is_idle = self.steps_seen == self.progress.steps
        self.steps_seen = self.progress.steps
        self.is_stalled = is_idle and now - self.started >= STALLED


class Workers:
    """Runs blocking jobs on threads. To be called on the reactor's thread.

    Each job waits for a resource: a directory, or any name. Of one ``key`` (the resource, if none
    is given) one job runs at a time, of one resource ``max_per_resource``. The others wait in
    order, and the resources take turns. ``max_active`` jobs run at once; one that makes no step
    waits for its disk and not for the interpreter, and leaves its turn to others, up to
    ``max_running`` jobs in all.

    A job that is not done in ``timeout`` seconds fails with Unavailable. Its thread cannot be ended
    from outside: it is abandoned, and another takes its turn. Until it comes back its key is
    refused at once, and it counts for its resource; while ``max_abandoned`` are, every job is
    refused. Threads never keep the process from ending.

    Who cancels a Deferred takes the job back: it is not begun, or, if it has a JobProgress and no
    other of its key waits, it ends with its next step. ``seconds`` is a monotonic clock.
    """

    def __init__(
        self,
        reactor: IReactorFromThreads,
        seconds: Callable[[], float],
        timeout: float,
        *,
        max_active: int = 8,
        max_per_resource: int = 4,
        max_running: int = 16,
        max_abandoned: int = 16,
    ) -> None:
        self._reactor = reactor
        self._seconds = seconds
        self._timeout = timeout
        self._max_active, self._max_running = max_active, max_running
        self._max_per_resource, self._max_abandoned = max_per_resource, max_abandoned
        self._waiting: dict[str, deque[_Job]] = {}
        self._running: set[_Job] = set()
        self._abandoned: set[_Job] = set()
        self._inbox: SimpleQueue[_Job | None] = SimpleQueue()
        self._threads = 0

    def run(
        self, resource: str, f: Callable[..., T], *args: Any, key: Hashable | None = None
    ) -> Deferred[T]:
        """The result of ``f(*args)``, called on another thread."""
        progress = next((arg for arg in args if isinstance(arg, JobProgress)), JobProgress())
        deadline = self._seconds() + self._timeout
        job = _Job(resource, resource if key is None else key, lambda: f(*args), deadline, progress)
        done: Deferred[Any] = Deferred(lambda _: self._cancel(job))
        job.done = done
        if self._is_refused(job):
            done.errback(_no_answer())
        else:
            self._waiting.setdefault(resource, deque()).append(job)
            self._start_jobs()
        return done

    def unresponsive(self) -> set[str]:
        """The resources that have not answered for a while."""
        now = self._seconds()
        late = {job for job in self._running if now - job.started >= SLOW}
        return {job.resource for job in late | self._abandoned}

    def tick(self) -> None:
        """Abandon the jobs that are overdue. Called every second or so."""
        now = self._seconds()
        for queue in self._waiting.values():
            while queue and now >= queue[0].deadline:
                self._fail(queue.popleft())
        for job in [job for job in self._running if now >= job.deadline]:
            self._running.remove(job)
            self._abandoned.add(job)
            self._fail(job)
        for job in self._running:
            job.check_progress(now)
        self._start_jobs()

    def close(self) -> None:
        """No more jobs: threads end when they are free."""
        for _ in range(self._threads):
            self._inbox.put(None)

    def _is_refused(self, job: _Job) -> bool:
        return (
            len(self._abandoned) >= self._max_abandoned
            or any(other.key == job.key for other in self._abandoned)
            or self._count(self._abandoned, job.resource) >= self._max_per_resource
        )

    @staticmethod
    def _count(jobs: set[_Job], resource: str) -> int:
        return sum(job.resource == resource for job in jobs)

    @staticmethod
    def _fail(job: _Job) -> None:
        job.progress.is_wanted = False
        done, job.done = job.done, None
        if done is not None:
            done.errback(_no_answer())

    def _cancel(self, job: _Job) -> None:
        """Nobody waits for this job any more; others may wait for what it prepares."""
        job.done = None
        queue = self._waiting.get(job.resource, deque())
        if job in queue:
            queue.remove(job)
        keys = {waiting.key for waiting in queue}
        for running in self._running:
            if running.done is None and running.resource == job.resource:
                running.progress.is_wanted = running.key in keys

    def _start_jobs(self) -> None:
        while any(self._start_one(resource) for resource in list(self._waiting)):
            pass

    def _start_one(self, resource: str) -> bool:
        """Start the next job of a resource, which is then the last in line."""
        queue = self._waiting[resource]
        job = self._next_job(resource, queue)
        if job is not None:
            queue.remove(job)
            self._start(job)
        if job is not None or not queue:
            del self._waiting[resource]
            if queue:
                self._waiting[resource] = queue
        return job is not None

    def _next_job(self, resource: str, queue: deque[_Job]) -> _Job | None:
        active = sum(not job.is_stalled for job in self._running)
        if active >= self._max_active or len(self._running) >= self._max_running:
            return None
        held = self._running | self._abandoned
        if self._count(held, resource) >= self._max_per_resource:
            return None
        keys = {job.key for job in held}
        return next((job for job in queue if job.key not in keys), None)

    def _start(self, job: _Job) -> None:
        self._running.add(job)
        job.started = self._seconds()
        self._inbox.put(job)
        if self._threads < len(self._running) + len(self._abandoned):
            self._threads += 1
            threading.Thread(target=self._serve, name="imgd disk", daemon=True).start()

    def _serve(self) -> None:
        while (job := self._inbox.get()) is not None:
            try:
                result: Any = job.work()
            except BaseException:
                result = Failure()
            self._reactor.callFromThread(self._finish, job, result)
            del job, result  # or else it lives until the next one

    def _finish(self, job: _Job, result: Any) -> None:
        if job in self._abandoned:  # it came back: there is a thread too many now
            self._abandoned.remove(job)
            if self._threads > self._max_running:
                self._threads -= 1
                self._inbox.put(None)
        self._running.discard(job)
        done, job.done = job.done, None
        self._start_jobs()
        if done is not None:
            done.callback(result)  # a Failure becomes an errback


def _no_answer() -> Unavailable:
    return Unavailable("A disk does not answer. Try again later.", health.DISK)
