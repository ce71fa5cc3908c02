"""Who makes room for a new connection: those that are idle, and those that read too slowly."""

from __future__ import annotations

from collections import Counter, OrderedDict
from dataclasses import dataclass
from heapq import heappop, heappush
from math import inf
from typing import Final, Generic, TypeVar

# Bytes a second below which a reader makes room: while there are few places left, and while there
# is none. A socket of Linux tells of room by the third of its buffer, in steps of 39 to 88 kB as
# measured with a window of 4 kB: who takes one within a stall timeout of 60 s reads 650 bytes a
# second and more, so that the first rate alone would end few of those who hold every place.
FEW_LEFT_RATE: Final = 240.0
NONE_LEFT_RATE: Final = 4800.0
WINDOW: Final = 60.0  # seconds over which that is counted

G = TypeVar("G")
Rank = tuple[int, float, str]  # of a client: less the more it holds, then by its oldest; its name
_LAST: Final[Rank] = (1, inf, "")


@dataclass(slots=True)
class Pace:
    """How fast a reader takes what waits for it, counted while something waits alone.

    So nobody is slow who waits for imgd, or is idle; and a pause to read counts as what it is.
    """

    rate: float = inf  # bytes a second over the last whole window
    _seconds: float = 0  # of this window
    _taken: int = 0  # before this window

    def begin(self, taken: int) -> None:
        """Something waits, which did not before."""
        if not self._seconds:
            self._taken = taken

    def go_on(self, taken: int, seconds: float) -> None:
        """Something still waits."""
        self._seconds += seconds
        if self._seconds >= WINDOW:
            self.rate = (taken - self._taken) / self._seconds
            self._seconds, self._taken = 0, taken

    def is_below(self, rate: float, taken: int) -> bool:
        """Whether it was slower, and has not taken since what is enough for a window."""
        return self.rate < rate and taken - self._taken < rate * WINDOW


class IdleQueue(Generic[G]):
    """Idle connections: first those of the client that holds most, and of these the oldest.

    ``held`` is how many connections each client has, idle or not; it changes meanwhile. Each step
    costs the logarithm of the number of clients.
    """

    def __init__(self, held: Counter[str]) -> None:
        self._held = held
        self._queues: dict[str, OrderedDict[G, float]] = {}
        self._ranks: dict[str, Rank] = {}
        self._heap: list[Rank] = []  # those ranks, and some that are no longer a client's

    def add(self, client: str, connection: G, since: float) -> None:
        """A client's connection is idle, or will be soon: the youngest of that client's."""
        queue = self._queues.setdefault(client, OrderedDict())
        queue[connection] = since
        queue.move_to_end(connection)
        rank = self._rank(client)
        if rank < self._ranks.get(client, _LAST):
            self._push(rank)

    def pop(self) -> G | None:
        """The next to make room, which is taken out; None where there is no other."""
        while self._heap:
            rank = heappop(self._heap)
            client = rank[2]
            if self._ranks.get(client) != rank:
                continue
            if (now := self._rank(client)) > rank:  # it has less meanwhile: others may come first
                self._push(now)
                continue
            connection, _ = self._queues[client].popitem(last=False)
            self._renew(client)
            return connection
        return None

    def _rank(self, client: str) -> Rank:
        return (-self._held[client], next(iter(self._queues[client].values())), client)

    def _push(self, rank: Rank) -> None:
        self._ranks[rank[2]] = rank
        heappush(self._heap, rank)

    def _renew(self, client: str) -> None:
        if self._queues[client]:
            self._push(self._rank(client))
        else:
            del self._queues[client], self._ranks[client]
