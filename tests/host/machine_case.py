"""Lanes of threads and the checks of every second, with time and threads in the test's hands."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from queue import Queue
from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from imgd.host.blocking import BlockingRunner
from imgd.host.health_checks import HealthChecks
from imgd.host.health_monitor import HealthMonitor
from imgd.host.state_monitor import StateMonitor
from tests.fakes import log_lines

PATIENCE = 60  # seconds: far beyond what anything here takes


class Loop:
    """Where threads call back to: the test's own thread, when the test lets it."""

    def __init__(self) -> None:
        self._calls: Queue[tuple[Callable[..., Any], tuple[Any, ...]]] = Queue()

    def callFromThread(self, f: Callable[..., Any], *args: Any) -> None:
        self._calls.put((f, args))

    def turn(self, count: int = 1) -> None:
        """Wait for so many calls, and make them."""
        for _ in range(count):
            f, args = self._calls.get(timeout=PATIENCE)
            f(*args)


class Reactor(Loop, Clock):
    """Time and threads, both in the test's hands."""

    def __init__(self) -> None:
        Loop.__init__(self)
        Clock.__init__(self)


class Stall:
    """Blocking work that begins, and goes on when it is let go."""

    def __init__(self) -> None:
        self.began = threading.Semaphore(0)
        self.go = threading.Event()

    def __call__(self, result: str = "done") -> str:
        self.began.release()
        self.go.wait(PATIENCE)
        return result

    def wait(self, count: int = 1) -> None:
        """Until so many pieces of work have begun."""
        for _ in range(count):
            assert self.began.acquire(timeout=PATIENCE)


class MachineCase(SynchronousTestCase):
    """A runner, its health checks, and the state folder ``folder``."""

    def setUp(self) -> None:
        self.folder = os.path.realpath(self.mktemp())
        os.makedirs(self.folder)
        self.reactor, self.stall = Reactor(), Stall()
        self.addCleanup(self.stall.go.set)
        self.health_monitor = HealthMonitor(self.reactor.seconds)
        self.runner = BlockingRunner(self.reactor, 30)
        self.addCleanup(self.runner.close)
        self.checks = HealthChecks(self.reactor, self.runner, self.health_monitor)
        self.state = StateMonitor(
            self.folder, self.runner, self.health_monitor, self.reactor.seconds
        )
        self.checks.each_second(self.state.tick)
        self.checks.start()
        self.addCleanup(self.checks.stop)
        self._lines = log_lines(self, "imgd.host.health_monitor")

    @property
    def reported(self) -> list[str]:
        """The first words of the log's lines about faults."""
        return [line.split()[0] for line in self._lines]

    @property
    def reasons(self) -> list[str]:
        return self.health_monitor.reasons()

    def pass_seconds(self, count: float) -> None:
        self.reactor.pump([1] * round(count))
