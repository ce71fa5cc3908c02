"""How many connections each client has, and how many it may have."""

from __future__ import annotations

from collections import Counter
from functools import lru_cache
from ipaddress import IPv6Address, ip_address
from typing import Final

MAX_CACHED: Final = 1024  # addresses whose client is cached: every connection asks twice


class ClientCounts:
    """Counts connections by client. ``most`` is how many one client may have, 0 for any number.

    Loopback has no bound: the connections of every tunnel come from there.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self.counts: Counter[str] = Counter()

    def add(self, client: str) -> None:
        self.counts[client] += 1

    def remove(self, client: str) -> None:
        self.counts[client] -= 1
        if not self.counts[client]:
            del self.counts[client]

    def is_full(self, client: str) -> bool:
        """Whether this client may not have another connection."""
        return bool(client and self._most) and self.counts[client] >= self._most


@lru_cache(MAX_CACHED)
def client_of(address: str) -> str:
    """The client that an address belongs to: an IPv6 network of 64 bits is one, loopback is ""."""
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
