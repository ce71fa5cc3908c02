"""How the daemon is told to end: once in good order, twice at once."""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Any, Final

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.defer import TimeoutError as DeferredTimeout

from imgd.logs import Logger

SIGNALS: Final = ("SIGTERM", "SIGINT")


class Shutdown:
    """Hears SIGTERM and SIGINT: the first stops the reactor, whose shutdown drains; every further
    one calls ``abort_now``.

    Twisted's own handlers end the process by the signal itself, which a service manager takes for a
    failure, and log an error for the second.
    """

    log = Logger()

    def __init__(self, reactor: Any, abort_now: Callable[[], None]) -> None:
        self._reactor = reactor
        self._hurry = abort_now
        self._asked = False

    def listen(self) -> None:
        """Take the place of the reactor's handlers once it runs; on the main thread."""
        for name in SIGNALS:
            signal.signal(getattr(signal, name), self._hear)

    def uninstall(self) -> None:
        """Everything is done, and only the interpreter's end is left, during which a signal would
        kill it: hear none any more.
        """
        for name in SIGNALS if self._asked else ():
            signal.signal(getattr(signal, name), signal.SIG_IGN)

    def _hear(self, number: int, _frame: object) -> None:
        self._reactor.callFromThread(self.ask, signal.Signals(number).name)

    def ask(self, name: str) -> None:
        """Stop, or stop at once."""
        if self._asked:
            self.log.info("Received {name} again: ending at once", name=name)
            self._hurry()
        else:
            self._asked = True
            self.log.info("Received {name}: ending when what is under way is done", name=name)
            self._reactor.stop()


async def within(seconds: float, work: Deferred[Any], clock: Any) -> bool:
    """Whether work was done in time; else it is left behind."""
    try:
        await work.addTimeout(seconds, clock)
    except (CancelledError, DeferredTimeout):
        return False
    return True
