"""How much of a kind of work may wait: for one place, and for one client."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from imgd.core.connections import client_of
from imgd.errors import Unavailable


class WaitLimit:
    """Who waits for work on a place, or is served. ``each_place`` and ``each_client`` bound how
    many; all that come through loopback are one client, for nothing tells them apart.
    """

    def __init__(self, each_place: int, each_client: int) -> None:
        self._each_place, self._each_client = each_place, each_client
        self._places: Counter[str] = Counter()
        self._clients: Counter[str] = Counter()

    def __len__(self) -> int:
        return self._places.total()

    @contextmanager
    def turn(self, place: str, address: str) -> Iterator[None]:
        """One more while this lasts; Unavailable where there are as many as may be."""
        client = client_of(address)
        if self._places[place] >= self._each_place or self._clients[client] >= self._each_client:
            raise Unavailable("Too many ask for lists at once. Try again in a moment.")
        self._change(place, client, 1)
        try:
            yield
        finally:
            self._change(place, client, -1)

    def _change(self, place: str, client: str, by: int) -> None:
        for counter, key in ((self._places, place), (self._clients, client)):
            counter[key] += by
            if not counter[key]:
                del counter[key]
