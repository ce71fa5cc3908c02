"""What is done every second: jobs that are overdue are abandoned, and faults begin and end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from twisted.internet.task import LoopingCall

from imgd.core import health
from imgd.host.blocking import BlockingRunner
from imgd.host.health_monitor import HealthMonitor
from imgd.logs import Logger

INTERVAL: Final = 1.0  # seconds


class HealthChecks:
    """Runs every check once a second. ``reactor`` counts monotonic seconds."""

    log = Logger()

    def __init__(self, reactor: Any, runner: BlockingRunner, health_monitor: HealthMonitor) -> None:
        self._runner = runner
        self._health_monitor = health_monitor
        self._checks: dict[str, Callable[[], str]] = {health.DISK: self._unresponsive}
        self._actions: list[Callable[[], object]] = [runner.tick, health_monitor.tick]
        self._loop = LoopingCall(self._tick)
        self._loop.clock = reactor

    def start(self) -> None:
        """Check every second from now on."""
        self._loop.start(INTERVAL, now=False)

    def stop(self) -> None:
        """Check no more."""
        if self._loop.running:
            self._loop.stop()

    def add(self, name: str, check: Callable[[], str]) -> None:
        """Check for the fault ``name``: the detail for the log if there is one, else ""."""
        self._checks[name] = check

    def each_second(self, act: Callable[[], object]) -> None:
        """Call this every second."""
        self._actions.append(act)

    def _unresponsive(self) -> str:
        return ", ".join(self._runner.unresponsive())

    def _tick(self) -> None:
        for act in self._actions:
            self._guard(act)
        for name, check in self._checks.items():
            self._guard(self._check, name, check)

    def _guard(self, f: Callable[..., object], *args: Any) -> None:
        try:
            f(*args)
        except Exception:
            self.log.failure("A check of the machine failed; it is tried again in a second")

    def _check(self, name: str, check: Callable[[], str]) -> None:
        if detail := check():
            self._health_monitor.report(name, detail=detail, lasts=True)
        else:
            self._health_monitor.clear(name)
