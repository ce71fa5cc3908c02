"""Who is connected: for how long each may take, how many there may be, and who makes room.

Connections are looked at once a second or so (``sweep``) instead of arming a timer for each byte: a
request costs one number. A deadline comes at most two sweeps late, never early. Time is an
argument, in seconds of a monotonic clock.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from math import inf
from typing import Final, Protocol

from imgd.core.client_counts import ClientCounts
from imgd.core.client_counts import client_of as client_of
from imgd.core.eviction import FEW_LEFT_RATE, NONE_LEFT_RATE, WINDOW, IdleQueue, Pace

SWEEP: Final = 1.0  # seconds between two sweeps
# A sweep that comes later than this found the process held up: that time counts for nobody.
LATE: Final = 3.0
CROWDED: Final = 0.75  # of the connections that there may be: from here on slow readers make room
LOOKS: Final = 8  # candidates still taking their last bytes, passed over for one new connection


class Phase(IntEnum):
    """What a connection is at."""

    HANDSHAKE = 0
    HEAD = 1  # the first request is awaited, or some of its head has come
    BODY = 2
    ANSWER = 3  # imgd's own turn: it has deadlines of other kinds
    STALLED = 4  # there is something to send, and the socket does not take it
    IDLE = 5
    CLOSING = 6
    SLOW = 7  # something was taken, but too little of it while others wanted in: no mark says so


@dataclass(frozen=True, slots=True)
class Deadlines:
    """How long each stage may take, in seconds; ``stalled`` begins anew with each byte taken."""

    handshake: float
    header: float
    body: float
    stalled: float
    idle: float
    closing: float = 5  # no setting

    def by_phase(self) -> tuple[float, ...]:
        """The limits, indexed by Stage."""
        early = (self.handshake, self.header, self.body, inf)
        return (*early, self.stalled, self.idle, self.closing)


# The stage, and whatever else changes when there is progress.
ConnectionProgress = tuple[int, ...]


class Connection(Protocol):
    """A connection."""

    def mark(self) -> ConnectionProgress:
        """Where it is: while this stays the same, time runs."""

    def is_idle(self) -> bool:
        """Whether nothing is lost by closing it: no byte of a request came that is not answered."""

    def taken(self) -> int:
        """How many bytes the socket took of what was answered, since the connection was made."""

    def expire(self, phase: Phase) -> None:
        """It took too long."""

    def close_now(self) -> None:
        """Close it at once, in good order."""

    def close_when_idle(self) -> None:
        """Close it when what it is at is done; now, where it is idle."""

    def abort(self) -> None:
        """Close it as it stands."""


@dataclass(slots=True)
class _Entry:
    own: str  # the client whose connection it is
    client: str  # the client whom it counts for: with a proxy's, whose request it carries
    mark: ConnectionProgress
    since: float
    pace: Pace | None = None  # from when it first had something to take


class ConnectionTable:
    """Every connection of a site. ``most`` bounds them all, ``most_per_client`` each client's.

    A client that was closed for reading too slowly takes nobody's place for a while: who connects
    again at once would else take that of the next slow one, which connects again, and so on.
    """

    def __init__(self, deadlines: Deadlines, most: int, most_per_client: int) -> None:
        self._limits = deadlines.by_phase()
        self.most = most
        self._stays: dict[Connection, _Entry] = {}
        self._clients = ClientCounts(most_per_client)
        self._idle: IdleQueue[Connection] | None = None  # None until it is asked for
        self._slow: list[tuple[float, Connection]] = []  # bytes a second, the slowest last
        self._closed: dict[str, float] = {}  # clients of slow readers, and when one was closed
        self._closed_now = 0  # slow readers, since the last sweep
        self._swept = -inf

    def __len__(self) -> int:
        return len(self._stays)

    def enter(self, connection: Connection, address: str, now: float) -> None:
        """A connection was made."""
        client = client_of(address)
        self._stays[connection] = _Entry(client, client, connection.mark(), now)
        self._clients.add(client)

    def leave(self, connection: Connection) -> None:
        """A connection is gone. May be called again."""
        stay = self._stays.pop(connection, None)
        if stay is not None:
            self._clients.remove(stay.client)

    def assign(self, connection: Connection, address: str) -> bool:
        """A proxy's connection carries a request of this address, and counts for that client until
        it is released: whether it may. Where not, it does not count for it.
        """
        stay = self._stays.get(connection)
        if stay is None:
            return False
        client = client_of(address)
        self._move(stay, stay.own)
        if self._clients.is_full(client) or (client in self._closed and len(self) >= self.most):
            return False
        self._move(stay, client)
        return True

    def release(self, connection: Connection) -> None:
        """What a proxy's connection carried is answered and taken."""
        if (stay := self._stays.get(connection)) is not None:
            self._move(stay, stay.own)

    def _move(self, stay: _Entry, client: str) -> None:
        self._clients.remove(stay.client)
        self._clients.add(client)
        stay.client = client

    # Room

    def admits(self, address: str) -> bool:
        """Whether there is room for one more of this address.

        From three quarters of ``most`` on, the slowest reader makes room; where none is left, an
        idle connection: of the client that holds most, the oldest. Then whoever reads a little
        faster than the slowest.
        """
        client = client_of(address)
        if self._clients.is_full(client):
            return False
        may_close = client not in self._closed
        if may_close and len(self) >= self.most * CROWDED:
            self._close_slowest(FEW_LEFT_RATE)
        if len(self) < self.most or self._close_idle():
            return True
        return may_close and self._close_slowest(NONE_LEFT_RATE)

    def _close_slowest(self, rate: float) -> bool:
        while self._slow and self._slow[-1][0] < rate:
            _, connection = self._slow.pop()
            stay = self._stays.get(connection)
            if stay is not None and _is_below(rate, connection, stay):
                self._close_slow(connection, stay.client)
                return True
        return False

    def _close_slow(self, connection: Connection, client: str) -> None:
        self.leave(connection)
        self._closed_now += 1
        if client:
            self._closed[client] = self._swept
        connection.expire(Phase.SLOW)

    def _close_idle(self) -> bool:
        if self._idle is None:  # looked for once between two sweeps, however many come
            self._idle = self._find_idle()
        taking: list[Connection] = []
        found = None
        while (
            found is None and len(taking) < LOOKS and (connection := self._idle.pop()) is not None
        ):
            if connection in self._stays:
                if connection.is_idle():
                    found = connection
                elif connection.mark()[0] == Phase.STALLED:
                    taking.append(connection)
        for connection in taking:
            self._idle.add(self._stays[connection].own, connection, self._stays[connection].since)
        if found is not None:
            self.leave(found)
            found.close_now()
        return found is not None

    def _find_idle(self) -> IdleQueue[Connection]:
        queue: IdleQueue[Connection] = IdleQueue(self._clients.held)
        found = [(stay.since, stay.own, g) for g, stay in self._stays.items() if g.is_idle()]
        found.sort(key=lambda row: row[0])  # stable: of the same age, who came first
        for since, client, connection in found:
            queue.add(client, connection, since)
        return queue

    @property
    def is_looking(self) -> bool:
        """Whether those who become idle are to be noted: there is no room, or was a moment ago."""
        return self._idle is not None

    def note(self, connection: Connection, now: float) -> None:
        """An answer was given: its connection may make room, though it was busy a moment ago."""
        stay = self._stays.get(connection)
        if self._idle is not None and stay is not None:
            self._idle.add(stay.own, connection, now)

    # While it lasts

    def sweep(self, now: float) -> tuple[Counter[Phase], float]:
        """End what took too long: how many at each stage, and how long this sweep was held up.

        Those who made room since the last sweep by reading too slowly are at Stage.SLOW.
        """
        step = SWEEP if self._swept == -inf else now - self._swept
        held_up = step - SWEEP if step > LATE else 0.0
        self._swept, self._idle = now, None
        expired: list[tuple[Connection, Phase]] = []
        slow: list[tuple[float, Connection]] = []
        stalled, idle = Phase.STALLED, Phase.IDLE  # looked up once for all
        for connection, stay in self._stays.items():
            mark = connection.mark()
            if mark[0] is stalled:
                rate = _watch(connection, stay, step - held_up)
                if rate < NONE_LEFT_RATE:
                    slow.append((rate, connection))
            elif mark[0] is idle and (stay.pace or stay.client is not stay.own):
                self._rest(stay)
            if mark != stay.mark:
                stay.mark, stay.since = mark, now
                continue
            stay.since += held_up
            if now - stay.since >= self._limits[mark[0]]:
                expired.append((connection, Phase(mark[0])))
                stay.since = now
        self._slow = sorted(slow, key=lambda row: -row[0])
        self._closed = {c: when for c, when in self._closed.items() if now - when < WINDOW}
        for connection, phase in expired:
            connection.expire(phase)
        return self._count(expired), held_up

    def _rest(self, stay: _Entry) -> None:
        """All that was answered is taken."""
        stay.pace = None
        if stay.client != stay.own:
            self._move(stay, stay.own)

    def _count(self, expired: list[tuple[Connection, Phase]]) -> Counter[Phase]:
        counted = Counter(phase for _, phase in expired)
        if self._closed_now:
            counted[Phase.SLOW] = self._closed_now
        self._closed_now = 0
        return counted

    # The end

    def close_when_idle(self) -> None:
        """Everybody leaves: the idle now, the others when they are done."""
        for connection in list(self._stays):
            connection.close_when_idle()

    def is_busy(self) -> bool:
        """Whether anyone is at something that would be lost."""
        return any(
            connection.mark()[0] != Phase.CLOSING and not connection.is_idle()
            for connection in self._stays
        )

    def abort_all(self) -> int:
        """End what is left; how many had something to lose."""
        left: Iterable[Connection] = list(self._stays)
        lost = sum(
            connection.mark()[0] != Phase.CLOSING and not connection.is_idle()
            for connection in left
        )
        for connection in left:
            connection.abort()
        return lost


def _watch(connection: Connection, stay: _Entry, seconds: float) -> float:
    """Something waits for a reader, who was looked at ``seconds`` ago: how fast it takes it."""
    if stay.pace is None:
        stay.pace = Pace()
    if stay.mark[0] == Phase.STALLED:
        stay.pace.go_on(connection.taken(), seconds)
    else:
        stay.pace.begin(connection.taken())
    return stay.pace.rate


def _is_below(rate: float, connection: Connection, stay: _Entry) -> bool:
    is_waiting = connection.mark()[0] == Phase.STALLED
    return is_waiting and stay.pace is not None and stay.pace.is_below(rate, connection.taken())
