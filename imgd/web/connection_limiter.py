"""The door of a site: who is let in, who was too slow, and how everybody leaves in the end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress, IDelayedCall, IReactorTime
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.task import LoopingCall
from twisted.python.failure import Failure

from imgd.core import health
from imgd.core.connections import SWEEP, Connection, ConnectionTable, Phase
from imgd.core.forwarded import NONE, TrustedProxies
from imgd.core.http_rules import HeadError
from imgd.host.health_monitor import HealthMonitor
from imgd.logs import Logger
from imgd.web import early_errors
from imgd.web.response_headers import EVERY_ANSWER, RETRY_AFTER

TELL_EVERY: Final = 60  # seconds: slow clients are told of together, not one by one
# Sweeps while the last requests are answered, so that the end is not a second late.
DRAIN_SWEEP: Final = 0.1
FULL: Final = HeadError(503, "imgd has as many connections as it takes. Try again in a moment.")
# Those told so at once, and how long each may take to ask: more are closed without a word.
MAX_REFUSED: Final = 64
REFUSED_PATIENCE: Final = 5

_TOLD: Final = {
    Phase.HANDSHAKE: "in the TLS handshake",
    Phase.HEAD: "with the head of a request",
    Phase.BODY: "with the body of a request",
    Phase.STALLED: "to read an answer",
    Phase.CLOSING: "to close",
    Phase.SLOW: "to read an answer while others waited to come in",
}


class ConnectionLimiter:
    """Keeps the crowd of a site. ``clock`` is monotonic, or tells of time as if it were.

    ``look`` is called with True when connections that become idle are to be noted, and with False
    when they need not be any more. Whoever is in ``proxies`` counts for whom it speaks.
    """

    log = Logger()

    def __init__(
        self,
        table: ConnectionTable,
        clock: IReactorTime,
        health_monitor: HealthMonitor,
        look: Callable[[bool], None],
        proxies: TrustedProxies = NONE,
    ) -> None:
        self._look_for_idle = look
        self._proxies = proxies
        self._is_looking = False
        self._table = table
        self._clock = clock
        self._health_monitor = health_monitor
        self._rounds = LoopingCall(self._sweep)
        self._rounds.clock = clock
        self._slow: Counter[Phase] = Counter()
        self._tell_at = 0.0
        self._refused = 0
        self._gone: Deferred[None] | None = None
        self._until: float | None = None
        self.is_draining = False

    # In

    def enter(self, connection: Connection, address: str) -> None:
        """A connection was made."""
        self._table.enter(connection, self._counted(address), self._clock.seconds())

    def leave(self, connection: Connection) -> None:
        """A connection is gone."""
        self._table.leave(connection)
        if self._gone is not None and not len(self._table):
            self._finish()

    def admits(self, address: IAddress | None) -> bool:
        """Whether a connection of this address may come in."""
        is_admitted = self._table.admits(self._counted(getattr(address, "host", "")))
        self._look_on()
        if not is_admitted:
            self._health_monitor.report(health.CONNECTIONS)
        return is_admitted

    def _counted(self, address: str) -> str:
        """The address that a connection counts for: nobody's, until a proxy says whose it is."""
        return "" if address in self._proxies else address

    def assign(self, connection: Connection, address: str) -> bool:
        """A proxy's connection carries a request of this address: whether it may."""
        is_admitted = self._table.assign(connection, address)
        if not is_admitted:
            self._health_monitor.report(health.CONNECTIONS)
        return is_admitted

    def release(self, connection: Connection) -> None:
        """What a proxy's connection carried is answered."""
        self._table.release(connection)

    def note(self, connection: Connection) -> None:
        """An answer was given: that connection may make room at once."""
        if self._is_looking:
            self._table.note(connection, self._clock.seconds())

    def _look_on(self) -> None:
        if self._table.is_looking != self._is_looking:
            self._is_looking = self._table.is_looking
            self._look_for_idle(self._is_looking)

    def refusal(self) -> Protocol | None:
        """What tells one that may not: None where too many are told already."""
        return Refused(self) if self._refused < MAX_REFUSED else None

    def count_refused(self, change: int) -> None:
        """One more, or one less, is being told."""
        self._refused += change

    def arm(self, refused: Refused) -> None:
        """Do not wait for ever to be asked."""
        refused.timer = self._clock.callLater(REFUSED_PATIENCE, refused.abort)

    # While it lasts

    def start(self) -> None:
        """Look at everybody from now on."""
        self._rounds.start(SWEEP, now=False)

    def stop(self) -> None:
        """Look no more."""
        if self._rounds.running:
            self._rounds.stop()

    def _sweep(self) -> None:
        try:
            self._look()
        except Exception:
            self.log.failure("Looking at the connections failed, and goes on")

    def _look(self) -> None:
        now = self._clock.seconds()
        slow, held_up = self._table.sweep(now)
        self._look_on()
        self._slow += slow
        if held_up:
            self._health_monitor.report(health.STANDSTILL, detail=f"{held_up:.1f} s")
        self._health_monitor.tick()
        self._tell_of_slow(now)
        if self._gone is not None and (now >= (self._until or 0) or not self._table.is_busy()):
            self._finish()

    def _tell_of_slow(self, now: float) -> None:
        del self._slow[Phase.IDLE]  # nothing is wrong with it
        if not self._slow or now < self._tell_at:
            return
        told = ", ".join(f"{count} {_TOLD[phase]}" for phase, count in self._slow.items())
        self.log.info("Closed connections that were too slow: {told}", told=told)
        self._slow.clear()
        self._tell_at = now + TELL_EVERY

    # Out

    def drain(self, grace: float) -> Deferred[None]:
        """See everybody out: done when nobody is at anything, or ``grace`` seconds later."""
        self.is_draining = True
        if self._until is None:  # nobody hurries already
            self._until = self._clock.seconds() + grace
        self._gone = gone = Deferred[None]()
        self.stop()
        self._table.close_when_idle()
        if not self._table.is_busy():
            self._clock.callLater(DRAIN_SWEEP, self._sweep)  # what is written now goes out first
        self._rounds.start(DRAIN_SWEEP, now=False)
        return gone

    def abort_now(self) -> None:
        """Wait for nobody any more."""
        self._until = self._clock.seconds()
        if self._gone is not None:
            self._finish()

    def _finish(self) -> None:
        gone, self._gone = self._gone, None
        self.stop()
        if lost := self._table.abort_all():
            self.log.warn("Ended {count} requests that were not done", count=lost)
        if gone is not None:
            gone.callback(None)


class Refused(Protocol):
    """A connection too many: its first bytes are answered with 503, and it is closed.

    The bytes are awaited, for a socket that is closed while something is unread in it takes back
    what it said (RFC 9112 section 9.6).
    """

    transport: Any
    timer: IDelayedCall | None = None

    def __init__(self, limiter: ConnectionLimiter) -> None:
        self._limiter = limiter

    def connectionMade(self) -> None:
        """Wait for the request."""
        self._limiter.count_refused(1)
        self._limiter.arm(self)

    def dataReceived(self, data: bytes) -> None:
        """The request, or some of it."""
        if data and not self.transport.disconnecting:
            self.transport.write(early_errors.answer(FULL, (*EVERY_ANSWER, RETRY_AFTER)))
            self.transport.loseConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Gone."""
        self._limiter.count_refused(-1)
        if self.timer is not None and self.timer.active():
            self.timer.cancel()

    def abort(self) -> None:
        """It did not ask."""
        self.transport.abortConnection()
