"""Authorities, origins and URLs: the only parser of them, for both ends.

RFC 3986 section 3, as strict as RFC 9110 section 4.2 is for http and https: there is a host, and no
user information, which section 4.2.4 warns of.
"""

from __future__ import annotations

import re
from ipaddress import IPv6Address, ip_address
from typing import Final, NamedTuple

MAX_PORT: Final = 65535
DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_AUTHORITY: Final = re.compile(
    r"(?:\[([0-9A-Fa-f:.]+)\]|((?:[A-Za-z0-9._~!$&'()*+,;=-]|%[0-9A-Fa-f]{2})++))(?::([0-9]{0,5}))?"
)
# Visible ASCII, cut at the first of / ? # for the authority, and at the first # for the target.
_URL: Final = re.compile(r"(https?)://([!\"$-.0->@-~]*+)([!\"$-~]*+)(?:#[!-~]*+)?", re.I | re.A)

_ROOT_AND_TARGET: Final = re.compile(r"""(https?://[!"$-.0->@-~]+)([!"$-~]*)(?:#[!-~]*)?""")


class Authority(NamedTuple):
    """A host in lower case, an IPv6 address as RFC 5952 writes it, without brackets and trailing
    dot; and its port if one is given.
    """

    host: str
    port: int | None


class Origin(NamedTuple):
    """RFC 6454: ``scheme`` is http or https, ``host`` as in Authority, ``port`` always given."""

    scheme: str
    host: str
    port: int

    @property
    def authority(self) -> str:
        """Host and port as they are written in ``Host`` and in a URL."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """Whether the host is always this machine (RFC 6761 section 6.3 for the names)."""
        return f".{self.host}".endswith(".localhost") or is_loopback(self.host)

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}"


class Url(NamedTuple):
    """``target`` is what a request line asks for: the path, "/" if it is empty, and the query."""

    origin: Origin
    target: str


def parse_authority(text: str) -> Authority | None:
    """Parse ``HOST[:PORT]``, as in ``Host`` (RFC 3986 section 3.2); None if it is malformed.

    One trailing dot is the root of the DNS; more of them are empty labels.
    """
    match = _AUTHORITY.fullmatch(text)
    if match is None:
        return None
    address, name, digits = match.groups()
    port = int(digits) if digits else None
    host = _ipv6(address) if address else name.removesuffix(".")
    if not host or host.endswith(".") or (port or 0) > MAX_PORT:
        return None
    return Authority(host.lower(), port)


def parse_url(text: str) -> Url | None:
    """Parse an absolute http or https URL, without its fragment; None if it is not one."""
    match = _URL.fullmatch(text)
    authority = parse_authority(match[2]) if match else None
    if match is None or authority is None:
        return None
    scheme, target = match[1].lower(), match[3]
    port = DEFAULT_PORTS[scheme] if authority.port is None else authority.port
    return Url(
        Origin(scheme, authority.host, port), target if target.startswith("/") else f"/{target}"
    )


def split_url(text: str) -> tuple[str, bytes] | None:
    """What stands before the path, not parsed any further, and a request's target for the rest.

    For many URLs of one origin, which is to be parsed once: ``parse_url`` takes five times as long.
    """
    match = _ROOT_AND_TARGET.fullmatch(text)
    if match is None:
        return None
    target = match[2]
    return match[1], (target if target.startswith("/") else f"/{target}").encode("ascii")


def is_loopback(address: str) -> bool:
    """Whether an IP address is one of the machine's loopback addresses; False for a name."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return False
    if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped is not None:
        return parsed.ipv4_mapped.is_loopback
    return parsed.is_loopback


def _ipv6(text: str) -> str | None:
    try:
        return str(IPv6Address(text))
    except ValueError:
        return None
