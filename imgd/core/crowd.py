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
from functools import lru_cache
from ipaddress import IPv6Address, ip_address
from typing import Final, Protocol

SWEEP: Final = 1.0  # seconds between two sweeps
# A sweep that comes later than this found the process held up: that time counts for nobody.
LATE: Final = 3.0
MAX_NAMED: Final = 1024  # addresses whose client is remembered: every connection asks twice


class Stage(IntEnum):
    """What a connection is at."""

    HANDSHAKE = 0
    HEAD = 1  # the first request is awaited, or some of its head has come
    BODY = 2
    ANSWER = 3  # imgd's own turn: it has deadlines of other kinds
    STALLED = 4  # there is something to send, and the socket does not take it
    IDLE = 5
    CLOSING = 6


@dataclass(frozen=True, slots=True)
class Deadlines:
    """How long each stage may take, in seconds; ``stalled`` begins anew with each byte taken."""

    handshake: float = 10
    header: float = 20
    body: float = 30
    stalled: float = 60
    idle: float = 75
    closing: float = 5

    def by_stage(self) -> tuple[float, ...]:
        """The limits, indexed by Stage."""
        never = float("inf")
        early = (self.handshake, self.header, self.body, never)
        return (*early, self.stalled, self.idle, self.closing)


# The stage, and whatever else changes when there is progress.
Mark = tuple[int, ...]


class Guest(Protocol):
    """A connection."""

    def mark(self) -> Mark:
        """Where it is: while this stays the same, time runs."""

    def is_idle(self) -> bool:
        """Whether nothing is lost by closing it: no byte of a request came that is not answered."""

    def expire(self, stage: Stage) -> None:
        """It took too long."""

    def hang_up(self) -> None:
        """Close it at once, in good order."""

    def see_out(self) -> None:
        """Close it when what it is at is done; now, where it is idle."""

    def abort(self) -> None:
        """Close it as it stands."""


@dataclass(slots=True)
class _Stay:
    client: str
    mark: Mark
    since: float


class Crowd:
    """Every connection of a site. ``most`` bounds them all, ``most_per_client`` each address's
    (0: no bound); a loopback address is never bound, for every tunnel comes from there.
    """

    def __init__(self, deadlines: Deadlines, most: int, most_per_client: int) -> None:
        self._limits = deadlines.by_stage()
        self.most = most
        self.most_per_client = most_per_client
        self._stays: dict[Guest, _Stay] = {}
        self._clients: Counter[str] = Counter()
        self._idle: list[Guest] | None = None  # the oldest last; None until it is asked for
        self._swept: float | None = None

    def __len__(self) -> int:
        return len(self._stays)

    def enter(self, guest: Guest, address: str, now: float) -> None:
        """A connection was made."""
        client = client_of(address)
        self._stays[guest] = _Stay(client, guest.mark(), now)
        self._clients[client] += 1

    def leave(self, guest: Guest) -> None:
        """A connection is gone. May be called again."""
        stay = self._stays.pop(guest, None)
        if stay is not None:
            self._clients[stay.client] -= 1
            if not self._clients[stay.client]:
                del self._clients[stay.client]

    def admits(self, address: str) -> bool:
        """Whether there is room for one more of this address; the oldest idle one may make it."""
        client = client_of(address)
        if client and self.most_per_client and self._clients[client] >= self.most_per_client:
            return False
        return len(self._stays) < self.most or self._make_room()

    def _make_room(self) -> bool:
        if self._idle is None:  # looked for once between two sweeps, however many come
            found = [(stay.since, guest) for guest, stay in self._stays.items() if guest.is_idle()]
            found.sort(key=lambda pair: pair[0])  # stable: of the same age, who came first
            self._idle = [guest for _, guest in reversed(found)]
        while self._idle:
            guest = self._idle.pop()
            if guest in self._stays and guest.is_idle():
                self.leave(guest)
                guest.hang_up()
                return True
        return False

    def sweep(self, now: float) -> tuple[Counter[Stage], float]:
        """End what took too long: how many at each stage, and how long this sweep was held up."""
        late = 0.0 if self._swept is None else max(0.0, now - self._swept - SWEEP)
        held_up = late if late > LATE - SWEEP else 0.0
        self._swept, self._idle = now, None
        expired: list[tuple[Guest, Stage]] = []
        for guest, stay in self._stays.items():
            mark = guest.mark()
            if mark != stay.mark:
                stay.mark, stay.since = mark, now
                continue
            stay.since += held_up
            if now - stay.since >= self._limits[mark[0]]:
                expired.append((guest, Stage(mark[0])))
                stay.since = now
        for guest, stage in expired:
            guest.expire(stage)
        return Counter(stage for _, stage in expired), held_up

    # The end

    def see_out(self) -> None:
        """Everybody leaves: the idle now, the others when they are done."""
        for guest in list(self._stays):
            guest.see_out()

    def is_busy(self) -> bool:
        """Whether anyone is at something that would be lost."""
        return any(
            guest.mark()[0] != Stage.CLOSING and not guest.is_idle() for guest in self._stays
        )

    def abort_all(self) -> int:
        """End what is left; how many had something to lose."""
        left: Iterable[Guest] = list(self._stays)
        lost = sum(guest.mark()[0] != Stage.CLOSING and not guest.is_idle() for guest in left)
        for guest in left:
            guest.abort()
        return lost


@lru_cache(MAX_NAMED)
def client_of(address: str) -> str:
    """Whom an address stands for: an IPv6 network of 64 bits is one; "" for a loopback address."""
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(parsed, IPv6Address):
        if parsed.ipv4_mapped is not None:
            parsed = parsed.ipv4_mapped
        elif not parsed.is_loopback:
            return str(IPv6Address(int(parsed) >> 64 << 64))
    return "" if parsed.is_loopback else str(parsed)
