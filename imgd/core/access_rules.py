"""Who may control, which origins may read, and which hosts are this daemon's.

Whoever bears the token may control, from anywhere. So may a program on this very machine, for curl
and n8n there know no token; and that takes more than a loopback address, which a tunnel, a proxy or
a page in the owner's browser has as well. What is decided here is what the request itself says;
whose socket it came by, ``imgd.host.socket_owner`` asks the system.
"""

from __future__ import annotations

import hmac
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from imgd.core.urls import DEFAULT_PORTS, Authority, is_loopback, parse_authority
from imgd.errors import Unauthorized

Header = tuple[bytes, bytes]

# Each stands in a request at most once (RFC 9110 section 5.3); two could mean one thing to a proxy
# and another here.
_SINGLE: Final = (b"host", b"origin", b"sec-fetch-site")
# What programs and browsers say for themselves. Tunnels and proxies add headers of their own, more
# of them each year (Via, CF-Ray, Traceparent, Tailscale-User-Login): any other one is taken for one
# of theirs.
_FIRST_HAND: Final = frozenset(
    b"""
    accept accept-charset accept-encoding accept-language authorization cache-control connection
    content-encoding content-language content-length content-type cookie date dnt expect from host
    http2-settings if-match if-modified-since if-none-match if-range if-unmodified-since keep-alive
    origin postman-token pragma prefer priority range referer save-data te trailer transfer-encoding
    upgrade upgrade-insecure-requests user-agent x-requested-with
    """.split()
)
_BROWSERS: Final = b"sec-"  # prefix of names that no page can set (Fetch standard)
_MAX_SHOWN: Final = 64  # characters of a header's name in an error


class Requester(NamedTuple):
    """What a request says of who sent it.

    ``peer`` is the address of the other end, "" where there is none (a UNIX socket). ``headers``
    maps lower-case names to all their values, in order. ``secure``: it came over TLS.
    ``is_http_1_0``: it is of the version that proxies speak by default, and programs do not.
    """

    peer: str
    headers: Mapping[bytes, Sequence[bytes]]
    secure: bool
    is_http_1_0: bool = False


def host_names(settings: Iterable[str]) -> frozenset[str]:
    """Allowed hosts as people write them (``[::1]``, ``::1``, ``Box.local:8888``), to compare."""
    parsed = ((name.strip().lower(), parse_authority(name.strip())) for name in settings)
    return frozenset(authority.host if authority else name for name, authority in parsed)


def is_named(host: str, names: Collection[str]) -> bool:
    """Whether a ``Host`` names one of ``names`` (as ``host_names`` gives them), whatever its port.

    ``*.NAME`` stands for every name with one more label (RFC 6125 section 6.4.3).
    """
    authority = parse_authority(host.strip())
    if authority is None:
        return False
    return authority.host in names or f"*.{authority.host.partition('.')[2]}" in names


def bears_token(requester: Requester, token: str, hint: str) -> bool:
    """Whether this asker bears the token; False where no credentials were given.

    ``hint`` is a sentence that says where the token lies. Unauthorized where credentials were given
    and are not the token, even on this machine.
    """
    credentials = requester.headers.get(b"authorization", ())
    if not credentials:
        return False
    if len(credentials) > 1 or not _is_token(credentials[0], token):
        raise Unauthorized(f"This is not imgd's token. {hint}")
    return True


def may_read(requester: Requester, token: str, hint: str) -> None:
    """Return if this asker bears the token: who may read where reading is private.

    Being local is not enough: a page in the owner's browser is local too, and a read that it
    cannot see the answer of still tells it something. Raises Unauthorized.
    """
    if not bears_token(requester, token, hint):
        raise Unauthorized(f"Reading is private here: it needs a signed link or the token. {hint}")


def who_may_read(address: str, origins: Sequence[str], *, private: bool) -> str:
    """Who may read, for the log: ``address`` is ``HOST:PORT`` as bound, ``origins`` were named."""
    if private:
        return "who bears the token or a signed link"
    authority = parse_authority(address)
    is_local = authority is not None and (
        authority.host == "localhost" or is_loopback(authority.host)
    )
    place = "on this machine" if is_local else "of theirs"
    everybody = "every program on this machine" if is_local else f"everybody who reaches {address}"
    if not origins:
        return f"{everybody}; files, every page in a browser {place} as well"
    pages = "every page" if "*" in origins else f"pages of {', '.join(origins)}"
    return f"{everybody}, and {pages} in a browser {place}"


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


def why_not_local(requester: Requester, allowed_hosts: Collection[str]) -> str:
    """What speaks against a program on this machine asking for itself; "" where nothing does.

    ``allowed_hosts`` are as ``host_names`` gives them.
    """
    if not is_loopback(requester.peer):
        return "the request comes from another machine"
    if requester.is_http_1_0:
        return "it is an HTTP/1.0 request, as proxies send them"
    if any(len(requester.headers.get(name, ())) > 1 for name in _SINGLE):
        return "a header that counts once is there twice"
    if relayed := _second_hand(requester.headers):
        return f"the request came through a tunnel or a proxy, by its header {relayed!r}"
    own = parse_authority(_text(requester, b"host") or "")
    if own is None or own.host not in allowed_hosts:
        return "its Host is none of the allowed ones (--allow-host adds one)"
    if not _is_same_site(requester, own):
        return "a page of another site sent it"
    return ""


def _second_hand(names: Iterable[bytes]) -> str:
    """A header that no program sends for itself; "" without one."""
    for name in names:
        if name not in _FIRST_HAND and not name.startswith(_BROWSERS):
            return name[:_MAX_SHOWN].decode("latin-1")
    return ""


def _is_same_site(requester: Requester, own: Authority) -> bool:
    """Nothing that a browser adds names another origin (Fetch standard, Fetch Metadata).

    ``null`` is another one, as is ``same-site``: another port of this machine is another program.
    """
    if _text(requester, b"sec-fetch-site") not in (None, "same-origin", "none"):
        return False
    origin = _text(requester, b"origin")
    if origin is None:
        return True
    scheme, _, authority = origin.partition("://")
    other = parse_authority(authority)
    if other is None or scheme != ("https" if requester.secure else "http"):
        return False
    default = DEFAULT_PORTS[scheme]
    return (other.host, other.port or default) == (own.host, own.port or default)


def _text(requester: Requester, name: bytes) -> str | None:
    values = requester.headers.get(name)
    return values[0].strip().decode("latin-1").lower() if values else None
