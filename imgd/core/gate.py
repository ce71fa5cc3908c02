"""Who may control, and which origins may read.

Whoever bears the token may control, from anywhere. So may a program on this very machine, for curl
and n8n there know no token; and that takes more than a loopback address, which a tunnel, a proxy or
a page in the owner's browser has as well.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from ipaddress import IPv6Address, ip_address
from typing import Final, NamedTuple

from imgd.errors import Forbidden, ImgdError, Unauthorized

Header = tuple[bytes, bytes]

# Each stands in a request at most once (RFC 9110 section 5.3); two could mean one thing to a proxy
# and another here.
_SINGLE: Final = (b"host", b"origin", b"sec-fetch-site")
# What tunnels and proxies add on the way.
_RELAYED: Final = frozenset(
    (b"forwarded", b"via", b"x-real-ip", b"x-client-ip", b"true-client-ip", b"cf-connecting-ip")
)
_RELAYED_PREFIXES: Final = (b"x-forwarded", b"x-original-")
_AUTHORITY: Final = re.compile(r"(\[[0-9a-f:.]+\]|[^\s\[\]:/?#@,]+)(?::(\d{0,5}))?")
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}


class Asker(NamedTuple):
    """What a request says of who sent it.

    ``peer`` is the address of the other end, "" where there is none (a UNIX socket). ``headers``
    maps lower-case names to all their values, in order. ``secure``: it came over TLS.
    """

    peer: str
    headers: Mapping[bytes, Sequence[bytes]]
    secure: bool


class Authority(NamedTuple):
    """A host in lower case, without brackets and trailing dot, and its port if one was given."""

    host: str
    port: int | None


def parse_authority(text: str) -> Authority | None:
    """``HOST[:PORT]`` of a Host header, an origin or a setting (RFC 3986, 3.2), else None."""
    match = _AUTHORITY.fullmatch(text.lower())
    if match is None:
        return None
    host = match[1].strip("[]").removesuffix(".")
    return Authority(host, int(match[2]) if match[2] else None) if host else None


def host_names(settings: Iterable[str]) -> frozenset[str]:
    """Allowed hosts as people write them (``[::1]``, ``::1``, ``Box.local:8888``), to compare."""
    parsed = ((name.strip().lower(), parse_authority(name.strip())) for name in settings)
    return frozenset(authority.host if authority else name for name, authority in parsed)


def may_control(asker: Asker, token: str, allowed_hosts: Collection[str], hint: str) -> None:
    """Return if this asker may control; contract section 3.

    ``allowed_hosts`` are as ``host_names`` gives them. ``hint`` is a sentence that says where the
    token lies. Raises Unauthorized where credentials were given and are not the token, even on this
    machine, and Forbidden where none were given and the request is not plainly local.
    """
    credentials = asker.headers.get(b"authorization", ())
    if credentials:
        if len(credentials) > 1 or not _is_token(credentials[0], token):
            raise Unauthorized(f"This is not imgd's token. {hint}")
    elif reason := _why_not_local(asker, allowed_hosts):
        raise Forbidden(f"Control from elsewhere needs imgd's token: {reason}. {hint}")


def may_read(asker: Asker, token: str, hint: str) -> None:
    """Return if this asker bears the token: who may read where reading is private.

    Being local is not enough: a page in the owner's browser is local too, and a read that it
    cannot see the answer of still tells it something. Raises Unauthorized.
    """
    credentials = asker.headers.get(b"authorization", ())
    if not credentials:
        raise Unauthorized(f"Reading is private here: it needs a signed link or the token. {hint}")
    if len(credentials) > 1 or not _is_token(credentials[0], token):
        raise Unauthorized(f"This is not imgd's token. {hint}")


def is_controller(asker: Asker, token: str, allowed_hosts: Collection[str]) -> bool:
    """Whether this reader might control as well, and so may see paths of the host."""
    try:
        may_control(asker, token, allowed_hosts, "")
    except ImgdError:
        return False
    return True


def allowed_origin(origin: bytes | None, allowed: Sequence[str]) -> tuple[Header, ...]:
    """The CORS headers of an answer to a read, for the request's one ``Origin`` (None without).

    ``*`` among ``allowed`` admits every origin. Otherwise the answer depends on who asks, which
    caches must know whether this origin is listed or not (Fetch standard, "CORS protocol and HTTP
    caches"). No answer allows credentials, and control never looks here.
    """
    if "*" in allowed:
        return ((b"Access-Control-Allow-Origin", b"*"),)
    vary = (b"Vary", b"Origin")
    listed = (name.lower().rstrip("/").encode("utf-8") for name in allowed)
    if origin is None or origin.lower() not in listed:
        return (vary,)
    return ((b"Access-Control-Allow-Origin", origin), vary)


def _is_token(credentials: bytes, token: str) -> bool:
    scheme, _, given = credentials.strip().partition(b" ")
    right = hmac.compare_digest(given.strip(), token.encode("utf-8"))
    return right and scheme.lower() == b"bearer" and bool(token)


def _why_not_local(asker: Asker, allowed_hosts: Collection[str]) -> str:
    """What speaks against a program on this machine asking for itself; "" where nothing does."""
    if not _is_loopback(asker.peer):
        return "the request comes from another machine"
    if any(len(asker.headers.get(name, ())) > 1 for name in _SINGLE):
        return "a header that counts once is there twice"
    if any(n in _RELAYED or n.startswith(_RELAYED_PREFIXES) for n in asker.headers):
        return "the request came through a tunnel or a proxy"
    own = parse_authority(_text(asker, b"host") or "")
    if own is None or own.host not in allowed_hosts:
        return "its Host is none of the allowed ones (--allow-host adds one)"
    if not _is_same_site(asker, own):
        return "a page of another site sent it"
    return ""


def _is_loopback(peer: str) -> bool:
    try:
        address = ip_address(peer)
    except ValueError:
        return False
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped.is_loopback
    return address.is_loopback


def _is_same_site(asker: Asker, own: Authority) -> bool:
    """Nothing that a browser adds names another origin (Fetch standard, Fetch Metadata).

    ``null`` is another one, as is ``same-site``: another port of this machine is another program.
    """
    if _text(asker, b"sec-fetch-site") not in (None, "same-origin", "none"):
        return False
    origin = _text(asker, b"origin")
    if origin is None:
        return True
    scheme, _, rest = origin.partition("://")
    other = parse_authority(rest)
    if other is None or scheme != ("https" if asker.secure else "http"):
        return False
    default = _DEFAULT_PORTS[scheme]
    return (other.host, other.port or default) == (own.host, own.port or default)


def _text(asker: Asker, name: bytes) -> str | None:
    values = asker.headers.get(name)
    return values[0].strip().decode("latin-1").lower() if values else None
