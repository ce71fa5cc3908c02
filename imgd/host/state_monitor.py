"""Whether what outlives a restart can be stored, and when it can be again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from imgd.core import health
from imgd.errors import Unavailable
from imgd.host import write_check
from imgd.host.blocking import BlockingRunner
from imgd.host.health_monitor import HealthMonitor

TRIAL_INTERVAL: Final = 10.0  # seconds between two trial writes while changes cannot be stored
_KEY: Final = "the state folder"

T = TypeVar("T")


class StateMonitor:
    """Runs changes of the state folder on a thread, one at a time, and reports if they fail.

    ``seconds`` is a monotonic clock.
    """

    def __init__(
        self,
        state_dir: str,
        runner: BlockingRunner,
        health_monitor: HealthMonitor,
        seconds: Callable[[], float],
    ) -> None:
        self._state_dir = state_dir
        self._runner = runner
        self._health_monitor = health_monitor
        self._seconds = seconds
        self._check_path: Callable[[], None] | None = None
        self._last_trial = 0.0
        self._is_checking = False

    def watch(self, check_path: Callable[[], None]) -> None:
        """Call this every second on a thread: it raises Unavailable if the store's file is not at
        its path any more.
        """
        self._check_path = check_path

    def run(self, f: Callable[..., T], *args: Any) -> Deferred[T]:
        """The result of ``f(*args)``, which changes the store."""
        return self._runner.run_internal(_KEY, f, *args).addCallbacks(self._stored, self._failed)

    def run_beside(self, f: Callable[..., T], *args: Any) -> Deferred[T]:
        """The result of ``f(*args)``, which changes another file of the folder; Unavailable if the
        store's file is not at its path, before or after that: then the folder is another one.
        """
        return self.run(self._between_checks, f, *args)

    def tick(self) -> None:
        """Check the store's path, or if the last change failed, whether one could be stored now.

        One check at a time, on a thread: the state folder's disk may hang like any other.
        """
        check = None if self._is_checking else self._next_check()
        if check is not None:
            self._is_checking = True
            check.addErrback(self._failed).addBoth(self._checked)

    def _next_check(self) -> Deferred[None] | None:
        now = self._seconds()
        if health.STATE in self._health_monitor and now - self._last_trial >= TRIAL_INTERVAL:
            self._last_trial = now
            return self.run_beside(write_check.check_writable, self._state_dir)
        if self._check_path is not None:
            return self._runner.run_internal(_KEY, self._check_path)
        return None

    def _checked(self, _: object) -> None:
        self._is_checking = False

    def _between_checks(self, f: Callable[..., T], *args: Any) -> T:
        check_path = self._check_path or (lambda: None)
        check_path()
        result = f(*args)
        check_path()
        return result

    def _stored(self, result: T) -> T:
        self._health_monitor.clear(health.STATE)
        return result

    def _failed(self, failure: Failure) -> Failure:
        if failure.check(Unavailable):
            self._health_monitor.report(health.STATE, detail=failure.value, lasts=True)
        return failure
