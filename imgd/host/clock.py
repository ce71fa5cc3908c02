"""A clock that calls back on the reactor's thread, whatever happens to the wall clock.

Twisted's own reactors count wall time (``twisted.python.runtime.seconds``): when it is set back by
an hour, their calls come an hour late.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from threading import Timer
from typing import Any

from twisted.internet.base import DelayedCall, ReactorBase
from twisted.internet.interfaces import IDelayedCall, IReactorFromThreads, IReactorTime
from zope.interface import implementer


def never_set_back(reactor: Any) -> None:
    """Have one of twisted's reactors count monotonic seconds for all its calls.

    To be called before anything waits for one: what waits already was promised wall time.
    """
    if isinstance(reactor, ReactorBase) and not reactor.getDelayedCalls():
        reactor.seconds = time.monotonic


@implementer(IReactorTime)
class MonotonicClock:
    """Time in monotonic seconds. ``twisted.internet.task.Clock`` can take its place.

    Everything but the wait itself happens on the reactor's thread, so that a call which was
    cancelled there never runs, even when its wait is already over. Each waiting call is a thread:
    this is for a few, not for a timeout per connection.

    The wait is the interpreter's timed lock: monotonic on Windows, macOS and with the GNU C
    library (``sem_clockwait``). A C library without that call wakes late after the wall clock was
    set back.
    """

    def __init__(self, reactor: IReactorFromThreads) -> None:
        self._reactor = reactor
        self._waits: dict[DelayedCall, Timer] = {}

    def seconds(self) -> float:
        """Seconds since some moment that never changes."""
        return time.monotonic()

    def callLater(  # type: ignore[override]  # task.Clock gives its arguments other names, too
        self, delay: float, f: Callable[..., object], *args: object, **kwargs: object
    ) -> DelayedCall:
        """Call ``f`` in ``delay`` seconds; what it raises is logged by the reactor."""
        due = self.seconds() + delay
        call = DelayedCall(due, f, args, kwargs, self._disarm, self._arm, self.seconds)
        self._arm(call)
        return call

    def getDelayedCalls(self) -> Sequence[IDelayedCall]:
        """The calls that are still to come."""
        return list(self._waits)

    def _arm(self, call: DelayedCall) -> None:
        self._disarm(call)
        call.activate_delay()  # so that a later reset() compares with the time that is waited for
        left = max(0.0, call.getTime() - self.seconds())
        wait = Timer(left, self._reactor.callFromThread, (self._fire, call))
        wait.daemon = True  # it never keeps a process from ending
        self._waits[call] = wait
        wait.start()

    def _disarm(self, call: DelayedCall) -> None:
        wait = self._waits.pop(call, None)
        if wait is not None:
            wait.cancel()

    def _fire(self, call: DelayedCall) -> None:
        """On the reactor's thread, when a wait is over, be it still wanted or not."""
        if not call.active():
            return
        if call.getTime() > self.seconds():  # put off meanwhile
            self._arm(call)
            return
        self._disarm(call)
        call.called = 1
        call.func(*call.args, **call.kw)
