"""All connections of a site: which took too long, how many there may be, and which make room.

``sweep`` looks at every connection once a second or so. No timer is armed for each byte, so that a
request costs one number. A deadline comes at most two sweeps late, never early. Time is an
argument, in seconds of a monotonic clock.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from math import inf
from typing import Final

from imgd.core.client_counts import ClientCounts, client_of
from imgd.core.connections import Connection, ConnectionProgress, Deadlines, Phase
from imgd.core.eviction import FEW_LEFT_RATE, NONE_LEFT_RATE, WINDOW, IdleQueue, Pace

SWEEP: Final = 1.0  # seconds between two sweeps
# If a sweep comes later than this, the process was held up: that time counts against nobody.
LATE: Final = 3.0
CROWDED: Final = 0.75  # of the most connections: from here on slow readers make room
# How many connections that still take their last bytes are passed over for one new connection.
MAX_PASSED_OVER: Final = 8


@dataclass(slots=True)
class _Entry:
    own_client: str
    client: str  # another than its own while a proxy's connection carries that client's request
    progress: ConnectionProgress
    since: float
    pace: Pace | None = None  # None until something waits to be taken


class ConnectionTable:
    """Every connection of a site. ``most`` bounds them all, ``most_per_client`` each client's.

    A client whose slow reader was closed may not have another connection closed for it for a
    while: clients that reconnect at once would otherwise close each other's in turn.
    """

    def __init__(self, deadlines: Deadlines, most: int, most_per_client: int) -> None:
        self._limits = deadlines.by_phase()
        self.most = most
        self._entries: dict[Connection, _Entry] = {}
        self._clients = ClientCounts(most_per_client)
        self._idle: IdleQueue[Connection] | None = None  # None until room is needed
        self._slow: list[tuple[float, Connection]] = []  # bytes a second, the slowest last
        self._slow_clients: dict[str, float] = {}  # when a slow reader of this client was closed
        self._slow_closed = 0  # since the last sweep
        self._swept = -inf

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, connection: Connection, address: str, now: float) -> None:
        client = client_of(address)
        self._entries[connection] = _Entry(client, client, connection.progress(), now)
        self._clients.add(client)

    def remove(self, connection: Connection) -> None:
        """Forget a connection. It may be removed already."""
        entry = self._entries.pop(connection, None)
        if entry is not None:
            self._clients.remove(entry.client)

    def assign_client(self, connection: Connection, address: str) -> bool:
        """Count a proxy's connection for the client whose request it carries, until it is released.

        False if that client may not have another; the connection then counts for itself.
        """
        entry = self._entries.get(connection)
        if entry is None:
            return False
        client = client_of(address)
        self._set_client(entry, entry.own_client)
        if self._clients.is_full(client):
            return False
        if client in self._slow_clients and len(self) >= self.most:
            return False
        self._set_client(entry, client)
        return True

    def release_client(self, connection: Connection) -> None:
        """A proxy's connection counts for itself again: its request is answered, and taken."""
        if (entry := self._entries.get(connection)) is not None:
            self._set_client(entry, entry.own_client)

    def _set_client(self, entry: _Entry, client: str) -> None:
        self._clients.remove(entry.client)
        self._clients.add(client)
        entry.client = client

    # Room

    def may_accept(self, address: str) -> bool:
        """Whether there is room for one more connection of this address.

        From three quarters of ``most`` on, the slowest reader makes room. If there is still none,
        an idle connection does: the oldest of the client that has most. The last to make room are
        readers that are a little faster.
        """
        client = client_of(address)
        if self._clients.is_full(client):
            return False
        may_close_slow = client not in self._slow_clients
        if may_close_slow and len(self) >= self.most * CROWDED:
            self._close_slowest(FEW_LEFT_RATE)
        if len(self) < self.most or self._close_idle():
            return True
        return may_close_slow and self._close_slowest(NONE_LEFT_RATE)

    def _close_slowest(self, rate: float) -> bool:
        while self._slow and self._slow[-1][0] < rate:
            _, connection = self._slow.pop()
            entry = self._entries.get(connection)
            if entry is not None and _is_slower(connection, entry, rate):
                self._close_slow(connection, entry.client)
                return True
        return False

    def _close_slow(self, connection: Connection, client: str) -> None:
        self.remove(connection)
        self._slow_closed += 1
        if client:
            self._slow_clients[client] = self._swept
        connection.expire(Phase.SLOW)

    def _close_idle(self) -> bool:
        if self._idle is None:  # made once between two sweeps, however many connections come
            self._idle = self._queue_idle()
        connection = self._pop_idle(self._idle)
        if connection is None:
            return False
        self.remove(connection)
        connection.close_now()
        return True

    def _pop_idle(self, queue: IdleQueue[Connection]) -> Connection | None:
        """The next idle connection. Those that still take their last bytes stay in the queue."""
        idle = None
        passed_over: list[Connection] = []
        while idle is None and len(passed_over) < MAX_PASSED_OVER:
            if (connection := queue.pop()) is None:
                break
            if connection not in self._entries:
                continue
            if connection.is_idle():
                idle = connection
            elif connection.progress()[0] == Phase.STALLED:
                passed_over.append(connection)
        for connection in passed_over:
            entry = self._entries[connection]
            queue.add(entry.own_client, connection, entry.since)
        return idle

    def _queue_idle(self) -> IdleQueue[Connection]:
        queue: IdleQueue[Connection] = IdleQueue(self._clients.counts)
        idle = [(e.since, e.own_client, c) for c, e in self._entries.items() if c.is_idle()]
        idle.sort(key=lambda row: row[0])  # stable: of the same age, the first that came
        for since, client, connection in idle:
            queue.add(client, connection, since)
        return queue

    @property
    def needs_idle(self) -> bool:
        """Whether ``note_idle`` has an effect: there is no room, or was none a moment ago."""
        return self._idle is not None

    def note_idle(self, connection: Connection, now: float) -> None:
        """The connection's request is answered: it may make room before the next sweep."""
        entry = self._entries.get(connection)
        if self._idle is not None and entry is not None:
            self._idle.add(entry.own_client, connection, now)

    # Deadlines

    def sweep(self, now: float) -> tuple[Counter[Phase], float]:
        """End connections that took too long. Returns how many were ended in each phase, and how
        many seconds the process was held up before this sweep.

        Phase.SLOW counts slow readers that made room since the last sweep.
        """
        step = SWEEP if self._swept == -inf else now - self._swept
        held_up = step - SWEEP if step > LATE else 0.0
        self._swept, self._idle = now, None
        expired: list[tuple[Connection, Phase]] = []
        slow: list[tuple[float, Connection]] = []
        stalled, idle = Phase.STALLED, Phase.IDLE  # looked up once for all
        for connection, entry in self._entries.items():
            progress = connection.progress()
            if progress[0] is stalled:
                rate = _measure(connection, entry, step - held_up)
                if rate < NONE_LEFT_RATE:
                    slow.append((rate, connection))
            elif progress[0] is idle and (entry.pace or entry.client is not entry.own_client):
                self._reset_idle(entry)
            if progress != entry.progress:
                entry.progress, entry.since = progress, now
                continue
            entry.since += held_up
            if now - entry.since >= self._limits[progress[0]]:
                expired.append((connection, Phase(progress[0])))
                entry.since = now
        self._slow = sorted(slow, key=lambda row: -row[0])
        self._slow_clients = {c: at for c, at in self._slow_clients.items() if now - at < WINDOW}
        for connection, phase in expired:
            connection.expire(phase)
        return self._count(expired), held_up

    def _reset_idle(self, entry: _Entry) -> None:
        entry.pace = None
        if entry.client != entry.own_client:
            self._set_client(entry, entry.own_client)

    def _count(self, expired: list[tuple[Connection, Phase]]) -> Counter[Phase]:
        counts = Counter(phase for _, phase in expired)
        if self._slow_closed:
            counts[Phase.SLOW] = self._slow_closed
        self._slow_closed = 0
        return counts

    # Shutdown

    def close_when_idle(self) -> None:
        """Close every connection: idle ones now, the others when their request is answered."""
        for connection in list(self._entries):
            connection.close_when_idle()

    def is_busy(self) -> bool:
        """Whether closing any connection now would lose something."""
        return any(map(_is_busy, self._entries))

    def abort_all(self) -> int:
        """Abort every connection. Returns how many of them lost something."""
        connections = list(self._entries)
        busy = sum(map(_is_busy, connections))
        for connection in connections:
            connection.abort()
        return busy


def _is_busy(connection: Connection) -> bool:
    return connection.progress()[0] != Phase.CLOSING and not connection.is_idle()


def _measure(connection: Connection, entry: _Entry, seconds: float) -> float:
    """Bytes a second that a stalled reader takes; ``seconds`` have passed since the last sweep."""
    if entry.pace is None:
        entry.pace = Pace()
    if entry.progress[0] == Phase.STALLED:
        entry.pace.update(connection.bytes_taken(), seconds)
    else:
        entry.pace.resume(connection.bytes_taken())
    return entry.pace.rate


def _is_slower(connection: Connection, entry: _Entry, rate: float) -> bool:
    is_stalled = connection.progress()[0] == Phase.STALLED
    return (
        is_stalled
        and entry.pace is not None
        and entry.pace.is_below(rate, connection.bytes_taken())
    )
