"""Whose request a reverse proxy carries, and what for: what trusted proxies say of a client."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

from imgd.core.urls import DEFAULT_PORTS

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

MAX_HOPS: Final = 32  # proxies in a row: whoever has more is nobody's client
_MAPPED: Final = IPv6Network("::ffff:0:0/96")  # IPv4 on an IPv6 socket (RFC 4291 section 2.5.5.2)
# One element of Forwarded (RFC 7239 section 4), of which the parameter "for" counts.
_FOR: Final = re.compile(r"(?:[^\";]*;)*\s*for=(\"[^\"\\]*\"|[^\s\";]+)\s*(?:;.*)?", re.IGNORECASE)
# An address, perhaps with a port, which some proxies write; a port alone needs brackets for IPv6.
_NODE: Final = re.compile(r"\[([^\]]*)\](?::\d{1,5})?|(\d+\.\d+\.\d+\.\d+):\d{1,5}|(.*)")


def network(text: str) -> Network:
    """An address, or a network in CIDR form; ValueError for anything else."""
    parsed = ip_network(text)
    if isinstance(parsed, IPv6Network) and parsed.subnet_of(_MAPPED):
        address = IPv4Address(int(parsed.network_address) & 0xFFFFFFFF)
        return IPv4Network((address, parsed.prefixlen - _MAPPED.prefixlen))
    return parsed


class TrustedProxies:
    """The networks whose connections are trusted proxies'."""

    def __init__(self, networks: Iterable[str] = ()) -> None:
        self._networks = tuple(network(text) for text in networks)

    def __contains__(self, address: str) -> bool:
        """Whether a connection from this address is a trusted proxy's."""
        if not self._networks:
            return False
        parsed = _address(address)
        return parsed is not None and self._trusts(parsed)

    def client(self, headers: Mapping[bytes, Sequence[bytes]]) -> str | None:
        """Whose request one from a trusted proxy is; None if its headers do not say so.

        ``headers`` maps lower-case names to all their values, in order.

        The right-most address counts that is no trusted proxy's: each proxy adds the one that it
        was asked by, and what stands before the first that is not trusted is anybody's word.
        ``X-Forwarded-For`` counts before ``Forwarded``.
        """
        for name, read in ((b"x-forwarded-for", _read_node), (b"forwarded", _read_element)):
            if values := headers.get(name):
                return self._first_untrusted(b",".join(values).decode("latin-1"), read)
        return None

    @staticmethod
    def asked(headers: Mapping[bytes, Sequence[bytes]]) -> tuple[str, str]:
        """The scheme and ``Host`` that a trusted proxy was asked for, each "" if it does not say.

        ``X-Forwarded-Proto`` and ``X-Forwarded-Host``; of several values the last, which is the
        word of the proxy itself.
        """
        proto, host = (
            b",".join(headers.get(name, ())).decode("latin-1").rpartition(",")[2].strip(" \t")
            for name in (b"x-forwarded-proto", b"x-forwarded-host")
        )
        return (proto.lower() if proto.lower() in DEFAULT_PORTS else ""), host

    def _first_untrusted(self, hops: str, read: Callable[[str], Address | None]) -> str | None:
        """The first address from the right that is no proxy's; None if one cannot be read."""
        for hop in reversed(hops.rsplit(",", MAX_HOPS)[-MAX_HOPS:]):
            address = read(hop.strip(" \t"))
            if address is None or not self._trusts(address):
                return None if address is None else str(address)
        return None

    def _trusts(self, address: Address) -> bool:
        return any(address in network for network in self._networks)


NONE: Final = TrustedProxies()


def _address(text: str) -> Address | None:
    """An address, without the zone that means something on its own machine alone."""
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return address if mapped is None else mapped


def _read_node(text: str) -> Address | None:
    """``ADDRESS``, ``IPV4:PORT`` or ``[IPV6]:PORT``."""
    match = _NODE.fullmatch(text)
    return None if match is None else _address(match[1] or match[2] or match[3] or "")


def _read_element(text: str) -> Address | None:
    match = _FOR.fullmatch(text)
    return None if match is None else _read_node(match[1].strip('"'))
