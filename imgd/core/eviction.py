"""Which connections make room for a new one: idle ones, and those that read too slowly."""

from __future__ import annotations

from collections import Counter, OrderedDict
from dataclasses import dataclass
from heapq import heappop, heappush
from math import inf
from typing import Final, Generic, TypeVar

# Bytes a second below which a reader makes room: while there is little room left, and while there
# is none. Linux reports room in a socket's buffer by the third of it, in steps of 39 to 88 kB as
# measured with a window of 4 kB: a reader that takes one step within a stall timeout of 60 s reads
# 650 bytes a second or more, so that the first rate alone would end few slow readers.
FEW_LEFT_RATE: Final = 240.0
NONE_LEFT_RATE: Final = 4800.0
WINDOW: Final = 60.0  # seconds over which a rate is measured

T = TypeVar("T")
# A client's rank, the lowest first: minus its connections, the age of its oldest, its name.
Rank = tuple[int, float, str]
_LAST: Final[Rank] = (1, inf, "")


@dataclass(slots=True)
class Pace:
    """How fast a reader takes bytes, counting only the time in which bytes wait to be taken.

    Waiting for imgd and being idle make nobody slow; a pause in reading does.
    """

    rate: float = inf  # bytes a second over the last whole window
    _seconds: float = 0  # of this window
    _taken: int = 0  # before this window

    def resume(self, taken: int) -> None:
        """Bytes wait to be taken, and did not a moment ago."""
        if not self._seconds:
            self._taken = taken

    def update(self, taken: int, seconds: float) -> None:
        """Bytes waited to be taken for so many more seconds."""
        self._seconds += seconds
        if self._seconds >= WINDOW:
            self.rate = (taken - self._taken) / self._seconds
            self._seconds, self._taken = 0, taken

    def is_below(self, rate: float, taken: int) -> bool:
        """Whether it was slower, and has not taken enough for a whole window since."""
        return self.rate < rate and taken - self._taken < rate * WINDOW


class IdleQueue(Generic[T]):
    """Idle connections: the oldest of the client that has most connections comes first.

    ``counts`` is how many connections each client has, idle or not; it may change meanwhile. Each
    step costs the logarithm of the number of clients.
    """

    def __init__(self, counts: Counter[str]) -> None:
        self._counts = counts
        self._queues: dict[str, OrderedDict[T, float]] = {}
        self._ranks: dict[str, Rank] = {}
        self._heap: list[Rank] = []  # every rank in _ranks, and outdated ones

    def add(self, client: str, connection: T, since: float) -> None:
        """Add the youngest connection of a client: it is idle, or will be soon."""
        queue = self._queues.setdefault(client, OrderedDict())
        queue[connection] = since
        queue.move_to_end(connection)
        rank = self._rank(client)
        if rank < self._ranks.get(client, _LAST):
            self._push(rank)

    def pop(self) -> T | None:
        """Take out the first connection; None if there is none."""
        while self._heap:
            rank = heappop(self._heap)
            client = rank[2]
            if self._ranks.get(client) != rank:
                continue
            if (current := self._rank(client)) > rank:  # it has fewer now: others may come first
                self._push(current)
                continue
            connection, _ = self._queues[client].popitem(last=False)
            self._push_next(client)
            return connection
        return None

    def _rank(self, client: str) -> Rank:
        return (-self._counts[client], next(iter(self._queues[client].values())), client)

    def _push(self, rank: Rank) -> None:
        self._ranks[rank[2]] = rank
        heappush(self._heap, rank)

    def _push_next(self, client: str) -> None:
        if self._queues[client]:
            self._push(self._rank(client))
        else:
            del self._queues[client], self._ranks[client]
