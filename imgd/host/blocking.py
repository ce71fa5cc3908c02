"""What may wait for a disk, run on threads: the caller says which directory it waits for."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, Final, Protocol, TypeVar

from twisted.internet.defer import Deferred

from imgd.host.workers import Workers

# Threads that read directories, sort and write lists: each is a rival of the reactor's own for the
# interpreter's lock. More of them run if some wait for a disk.
READERS: Final = 2
# Threads for questions whether a directory is there: those that run, and in all with those that
# wait for their disk. What is asked takes microseconds, so that many of them are no rival.
QUESTIONS: Final = 32
MAX_QUESTIONS: Final = 64

T = TypeVar("T")


class RunBlocking(Protocol):
    """``BlockingRunner.run`` and ``ask``: the result of ``f(*args)``, called on a thread.

    Of one ``key`` (the directory that the call waits for, if none is given) one call runs at a
    time. Unavailable if the directory does not answer.
    """

    def __call__(
        self, directory: str, f: Callable[..., T], *args: Any, key: Hashable | None = None
    ) -> Deferred[T]: ...


class RunOwn(Protocol):
    """Runs ``f(*args)`` on a thread for work that waits for the daemon's own files."""

    def __call__(self, f: Callable[..., T], *args: Any) -> Deferred[T]: ...


class BlockingRunner:
    """Four lanes of threads, so that a directory which does not answer holds up neither another nor
    what the daemon itself stores. ``reactor`` counts monotonic seconds, as ``timeout`` does.
    """

    def __init__(self, reactor: Any, timeout: float) -> None:
        def workers(**limits: int) -> Workers:
            return Workers(reactor, reactor.seconds, timeout, **limits)

        self._readers = workers(max_active=READERS)
        self._questions = workers(
            max_active=QUESTIONS, max_running=MAX_QUESTIONS, max_abandoned=MAX_QUESTIONS
        )
        self._internal = workers(max_active=4, max_per_resource=1, max_abandoned=4)
        self._unawaited = workers(max_active=1, max_per_resource=1, max_running=1, max_abandoned=1)
        self._lanes = (self._readers, self._questions, self._internal, self._unawaited)

    def run(
        self, directory: str, f: Callable[..., T], *args: Any, key: Hashable | None = None
    ) -> Deferred[T]:
        """Run what reads this directory, however long that takes."""
        return self._readers.run(directory, f, *args, key=key)

    def ask(
        self, directory: str, f: Callable[..., T], *args: Any, key: Hashable | None = None
    ) -> Deferred[T]:
        """Run a quick question about this directory: is it there, has it changed?"""
        return self._questions.run(directory, f, *args, key=key)

    def run_internal(self, key: str, f: Callable[..., T], *args: Any) -> Deferred[T]:
        """Run what waits for the daemon's own files; of one ``key`` one at a time."""
        return self._internal.run(key, f, *args)

    def run_unawaited(self, f: Callable[..., T], *args: Any) -> Deferred[T]:
        """Run what nobody waits for: one piece at a time, and no fault if it is slow."""
        return self._unawaited.run("", f, *args)

    def unresponsive(self) -> list[str]:
        """The directories, and keys of internal work, that have not answered for a while."""
        lanes = (self._readers, self._questions, self._internal)
        return sorted(set().union(*(lane.unresponsive() for lane in lanes)))

    def tick(self) -> None:
        """Abandon what is overdue. Called every second."""
        for lane in self._lanes:
            lane.tick()

    def close(self) -> None:
        """No more work; what is under way is done, or abandoned."""
        for lane in self._lanes:
            lane.close()
