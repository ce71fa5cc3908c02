"""How many may wait for a kind of work: for one folder, and of one client."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from imgd.core.client_counts import client_of
from imgd.errors import Unavailable


class WaitLimit:
    """Bounds how many wait for work on one key (a folder), and how many waits one client has.

    Nothing tells clients apart that come through loopback: they are one client. ``refusal`` is the
    sentence for one that is too many.
    """

    def __init__(
        self,
        per_key: int,
        per_client: int,
        refusal: str = "Too many ask for lists at once. Try again in a moment.",
    ) -> None:
        self._per_key, self._per_client = per_key, per_client
        self._refusal = refusal
        self._keys: Counter[str] = Counter()
        self._clients: Counter[str] = Counter()

    def __len__(self) -> int:
        return self._keys.total()

    @contextmanager
    def slot(self, key: str, address: str) -> Iterator[None]:
        """Take a slot while the context lasts; Unavailable if there is none left."""
        client = client_of(address)
        if self._keys[key] >= self._per_key or self._clients[client] >= self._per_client:
            raise Unavailable(self._refusal)
        self._change(key, client, 1)
        try:
            yield
        finally:
            self._change(key, client, -1)

    def _change(self, key: str, client: str, change: int) -> None:
        for counter, name in ((self._keys, key), (self._clients, client)):
            counter[name] += change
            if not counter[name]:
                del counter[name]
