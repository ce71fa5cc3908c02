"""How many connections each client has, and how many it may have."""

from __future__ import annotations

from collections import Counter
from functools import lru_cache
from ipaddress import IPv6Address, ip_address
from typing import Final

MAX_NAMED: Final = 1024  # addresses whose client is remembered: every connection asks twice


class ClientCounts:
    """Counts connections by client; ``most`` is how many one may have, 0 for any number.

    A loopback address is never bound, for every tunnel comes from there.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self.held: Counter[str] = Counter()

    def add(self, client: str) -> None:
        """It has one more."""
        self.held[client] += 1

    def remove(self, client: str) -> None:
        """It has one less."""
        self.held[client] -= 1
        if not self.held[client]:
            del self.held[client]

    def is_full(self, client: str) -> bool:
        """Whether it may not have one more."""
        return bool(client and self._most) and self.held[client] >= self._most


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
