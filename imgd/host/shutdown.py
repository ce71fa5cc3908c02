"""Signals that end the daemon: the first in good order, the second at once."""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Any, Final

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.defer import TimeoutError as DeferredTimeout

from imgd.logs import Logger

SIGNALS: Final = ("SIGTERM", "SIGINT")


class Shutdown:
    """Handles SIGTERM and SIGINT: the first stops the reactor, whose shutdown drains connections;
    every further one calls ``abort_now``.

    Twisted's own handlers end the process by the signal itself, which a service manager takes for a
    failure, and log an error for the second.
    """

    log = Logger()

    def __init__(self, reactor: Any, abort_now: Callable[[], None]) -> None:
        self._reactor = reactor
        self._abort_now = abort_now
        self._is_stopping = False

    def install(self) -> None:
        """Replace the reactor's handlers once it runs; on the main thread."""
        for name in SIGNALS:
            signal.signal(getattr(signal, name), self._handle)

    def uninstall(self) -> None:
        """Ignore signals after a stop: only the interpreter's end is left, and a signal during it
        would kill the process.
        """
        for name in SIGNALS if self._is_stopping else ():
            signal.signal(getattr(signal, name), signal.SIG_IGN)

    def _handle(self, number: int, _frame: object) -> None:
        self._reactor.callFromThread(self.stop, signal.Signals(number).name)

    def stop(self, name: str) -> None:
        """Stop, or the second time stop at once; ``name`` is the signal's."""
        if self._is_stopping:
            self.log.info("Received {name} again: stopping at once", name=name)
            self._abort_now()
        else:
            self._is_stopping = True
            self.log.info("Received {name}: stopping when transfers under way are done", name=name)
            self._reactor.stop()


async def within(seconds: float, work: Deferred[Any], clock: Any) -> bool:
    """Whether work was done in time; else it is cancelled."""
    try:
        await work.addTimeout(seconds, clock)
    except (CancelledError, DeferredTimeout):
        return False
    return True
