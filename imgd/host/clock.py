"""The reactor's clock, made monotonic: it goes on whatever happens to the wall clock.

Twisted's own reactors count wall time (``twisted.python.runtime.seconds``): when it is set back by
an hour, their calls come an hour late.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from twisted.internet.base import DelayedCall, ReactorBase

from imgd.logs import Logger

log = Logger()


def make_monotonic(reactor: Any, monotonic: Callable[[], float] = time.monotonic) -> None:
    """Have one of Twisted's reactors count monotonic seconds, from what it counts now on.

    So what waits already keeps its time. One warning is logged if the reactor is of another kind.
    """
    if not isinstance(reactor, ReactorBase):
        kind = type(reactor).__name__
        message = "Timers follow the wall clock: the clock of the reactor {kind} cannot be replaced"
        log.warn(message, kind=kind)
        return
    start = reactor.seconds() - monotonic()

    def seconds() -> float:
        return start + monotonic()

    reactor.seconds = seconds
    for call in reactor.getDelayedCalls():
        if isinstance(call, DelayedCall):
            call.seconds = seconds  # which ``reset`` counts from
