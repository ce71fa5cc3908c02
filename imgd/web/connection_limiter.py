"""Which connections a site accepts, which it ends for being too slow, and how it drains."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress, IReactorTime
from twisted.internet.protocol import Protocol
from twisted.internet.task import LoopingCall

from imgd.core import health
from imgd.core.connection_table import SWEEP, ConnectionTable
from imgd.core.connections import Connection, Phase
from imgd.core.forwarded import NONE, TrustedProxies
from imgd.host.health_monitor import HealthMonitor
from imgd.logs import Logger
from imgd.web.overload import MAX_OVERLOADED, OverloadedProtocol

LOG_INTERVAL: Final = 60  # seconds: slow clients share a line of the log
DRAIN_SWEEP: Final = 0.1  # seconds between two sweeps while the last requests are answered

_DESCRIPTIONS: Final = {
    Phase.HANDSHAKE: "in the TLS handshake",
    Phase.HEAD: "with the head of a request",
    Phase.BODY: "with the body of a request",
    Phase.STALLED: "to read an answer",
    Phase.CLOSING: "to close",
    Phase.SLOW: "to read an answer while others waited to come in",
}


class ConnectionLimiter:
    """Bounds the connections of a site. ``clock`` is never set back.

    ``need_idle`` is called with True when connections must be noted as they become idle
    (``note_idle``), and with False when they need not be. A connection of a proxy among ``proxies``
    counts for the client whose request it carries.
    """

    log = Logger()

    def __init__(
        self,
        table: ConnectionTable,
        clock: IReactorTime,
        health_monitor: HealthMonitor,
        need_idle: Callable[[bool], None],
        proxies: TrustedProxies = NONE,
    ) -> None:
        self._table = table
        self._clock = clock
        self._health_monitor = health_monitor
        self._need_idle = need_idle
        self._needs_idle = False
        self._proxies = proxies
        self._sweeps = LoopingCall(self._sweep)
        self._sweeps.clock = clock
        self._slow: Counter[Phase] = Counter()
        self._next_log = 0.0
        self._overloaded: set[OverloadedProtocol] = set()
        self._drained: Deferred[None] | None = None
        self._drain_deadline: float | None = None
        self.is_draining = False

    # Connections that come and go

    def may_accept(self, address: IAddress | None) -> bool:
        """Whether there is room for a connection of this address; an idle or slow one may be
        closed for it.
        """
        is_accepted = self._table.may_accept(self._counted(getattr(address, "host", "")))
        self._update_need()
        if not is_accepted:
            self._health_monitor.report(health.CONNECTIONS)
        return is_accepted

    def overload_protocol(self) -> Protocol | None:
        """What answers a connection that is not accepted; None to close it without an answer."""
        if len(self._overloaded) >= MAX_OVERLOADED:
            return None
        return OverloadedProtocol(self._overloaded, self._clock)

    def add(self, connection: Connection, address: str) -> None:
        self._table.add(connection, self._counted(address), self._clock.seconds())

    def remove(self, connection: Connection) -> None:
        self._table.remove(connection)
        if self._drained is not None and not len(self._table):
            self._finish()

    def _counted(self, address: str) -> str:
        """The address that a connection counts for: none while a proxy's carries no request."""
        return "" if address in self._proxies else address

    def assign_client(self, connection: Connection, address: str) -> bool:
        """Count a proxy's connection for the client of this address; False if it has too many."""
        is_accepted = self._table.assign_client(connection, address)
        if not is_accepted:
            self._health_monitor.report(health.CONNECTIONS)
        return is_accepted

    def release_client(self, connection: Connection) -> None:
        """The request that a proxy's connection carried is answered."""
        self._table.release_client(connection)

    def note_idle(self, connection: Connection) -> None:
        """A request is answered: its connection may make room at once."""
        if self._needs_idle:
            self._table.note_idle(connection, self._clock.seconds())

    def _update_need(self) -> None:
        if self._table.needs_idle != self._needs_idle:
            self._needs_idle = self._table.needs_idle
            self._need_idle(self._needs_idle)

    # Deadlines

    def start(self) -> None:
        """Keep the deadlines of all connections from now on."""
        self._sweeps.start(SWEEP, now=False)

    def stop(self) -> None:
        if self._sweeps.running:
            self._sweeps.stop()

    def _sweep(self) -> None:
        try:
            self._sweep_once()
        except Exception:
            self.log.failure("Looking at the connections failed, and goes on")

    def _sweep_once(self) -> None:
        now = self._clock.seconds()
        slow, held_up = self._table.sweep(now)
        self._update_need()
        self._slow += slow
        if held_up:
            self._health_monitor.report(health.STANDSTILL, detail=f"{held_up:.1f} s")
        self._health_monitor.tick()
        self._log_slow(now)
        if self._drained is not None and (self._is_overdue(now) or not self._table.is_busy()):
            self._finish()

    def _log_slow(self, now: float) -> None:
        del self._slow[Phase.IDLE]  # being idle is no fault
        if not self._slow or now < self._next_log:
            return
        slow = ", ".join(f"{count} {_DESCRIPTIONS[phase]}" for phase, count in self._slow.items())
        self.log.info("Closed connections that were too slow: {slow}", slow=slow)
        self._slow.clear()
        self._next_log = now + LOG_INTERVAL

    # Shutdown

    def drain(self, grace: float) -> Deferred[None]:
        """Close connections as their requests are answered; after ``grace`` seconds abort the rest.

        Fires when no connection is busy any more.
        """
        self.is_draining = True
        if self._drain_deadline is None:  # else abort_now() was called before
            self._drain_deadline = self._clock.seconds() + grace
        self._drained = drained = Deferred[None]()
        self.stop()
        self._table.close_when_idle()
        if not self._table.is_busy():
            self._clock.callLater(DRAIN_SWEEP, self._sweep)  # what is written now goes out first
        self._sweeps.start(DRAIN_SWEEP, now=False)
        return drained

    def abort_now(self) -> None:
        """Make the drain under way, or the next one, abort every connection at once."""
        self._drain_deadline = self._clock.seconds()
        if self._drained is not None:
            self._finish()

    def _is_overdue(self, now: float) -> bool:
        return now >= (self._drain_deadline or 0)

    def _finish(self) -> None:
        drained, self._drained = self._drained, None
        self.stop()
        if lost := self._table.abort_all():
            self.log.warn("Ended {count} requests that were not done", count=lost)
        if drained is not None:
            drained.callback(None)
