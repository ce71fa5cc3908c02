"""Who may control, which origins may read, and which hosts are this daemon's.

Whoever bears the token may control, from anywhere. So may a program on this very machine, as curl
and n8n there know no token; but a loopback address alone is not enough, for a tunnel, a proxy or a
page in the owner's browser has one too. This module judges what the request itself says;
``imgd.host.socket_owner`` asks the system whose socket it came by.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from imgd.core.urls import DEFAULT_PORTS, Authority, is_loopback, parse_authority
from imgd.errors import Unauthorized

Header = tuple[bytes, bytes]

# Each is in a request at most once (RFC 9110 section 5.3); two could mean one thing to a proxy and
# another here.
_SINGLE: Final = (b"host", b"origin", b"sec-fetch-site")
# Headers that programs and browsers send themselves. Tunnels and proxies add others, more each year
# (Via, CF-Ray, Traceparent, Tailscale-User-Login): any other header counts as one of those.
_CLIENT_HEADERS: Final = frozenset(
    b"""
    accept accept-charset accept-encoding accept-language authorization cache-control connection
    content-encoding content-language content-length content-type cookie date dnt expect from host
    http2-settings if-match if-modified-since if-none-match if-range if-unmodified-since keep-alive
    origin postman-token pragma prefer priority range referer save-data te trailer transfer-encoding
    upgrade upgrade-insecure-requests user-agent x-requested-with
    """.split()
)
_BROWSER_PREFIX: Final = b"sec-"  # prefix of names that no page can set (Fetch standard)
_MAX_SHOWN: Final = 64  # characters of a header's name in an error
_LABEL: Final = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")  # of a host's name


class Requester(NamedTuple):
    """What a request says of who sent it.

    ``peer`` is the address of the other end, "" if it has none (a UNIX socket). ``headers`` maps
    lower-case names to all their values, in order. ``secure``: it came over TLS. ``is_http_1_0``:
    it has the version that proxies speak by default, and programs do not.
    """

    peer: str
    headers: Mapping[bytes, Sequence[bytes]]
    secure: bool
    is_http_1_0: bool = False


def host_names(settings: Iterable[str]) -> frozenset[str]:
    """Allowed hosts, written by people (``[::1]``, ``::1``, ``Box.local:8888``), to compare."""
    parsed = ((name.strip().lower(), parse_authority(name.strip())) for name in settings)
    return frozenset(authority.host if authority else name for name, authority in parsed)


def is_named(host: str, names: Collection[str]) -> bool:
    """Whether a ``Host`` names one of ``names`` (as ``host_names`` gives them), whatever its port.

    ``*.NAME`` stands for every name with one more label (RFC 6125 section 6.4.3), but not for what
    else the grammar of ``Host`` lets through, such as ``*`` and ``$``.
    """
    authority = parse_authority(host.strip())
    if authority is None:
        return False
    label, _, parent = authority.host.partition(".")
    is_exact = authority.host in names and label != "*"
    return is_exact or (f"*.{parent}" in names and _LABEL.fullmatch(label) is not None)


def bears_token(requester: Requester, token: str, hint: str) -> bool:
    """Whether the requester bears the token; False if there are no credentials.

    ``hint`` is a sentence that says where the token is. Unauthorized if there are credentials that
    are not the token, even on this machine.
    """
    credentials = requester.headers.get(b"authorization", ())
    if not credentials:
        return False
    if len(credentials) > 1 or not _is_token(credentials[0], token):
        raise Unauthorized(f"This is not imgd's token. {hint}")
    return True


def is_token(text: str, token: str) -> bool:
    """Whether a text that somebody typed is the token, spaces around it aside; in constant time."""
    return _is_token(b"Bearer " + text.strip().encode("utf-8", "replace"), token)


def is_own_page(requester: Requester, own_origins: Collection[str]) -> bool:
    """Whether a page of this daemon, or no page at all, sent a form.

    ``Sec-Fetch-Site`` decides if it is there: no page can set it, and it holds behind proxies that
    change ``Host``. Browsers leave it out over plain HTTP; then ``Origin`` must name the ``Host``
    that was asked, or one of ``own_origins``.
    """
    if any(len(requester.headers.get(name, ())) > 1 for name in _SINGLE):
        return False
    site = _text(requester, b"sec-fetch-site")
    if site is not None:
        return site == "same-origin"
    origin = _text(requester, b"origin")
    own = parse_authority(_text(requester, b"host") or "")
    return origin in own_origins or (own is not None and _is_same_site(requester, own))


def may_read(requester: Requester, token: str, hint: str) -> None:
    """Return if the requester bears the token: who may read if reading is private.

    Being local is not enough: a page in the owner's browser is local too, and learns something even
    from an answer that it cannot see. Raises Unauthorized.
    """
    if not bears_token(requester, token, hint):
        raise Unauthorized(f"Reading is private here: it needs a signed link or the token. {hint}")


def who_may_read(address: str, origins: Sequence[str], *, private: bool) -> str:
    """Who may read, for the log: ``address`` is ``HOST:PORT`` as bound, ``origins`` as set."""
    if private:
        return "who bears the token or a signed link"
    authority = parse_authority(address)
    is_local = authority is not None and (
        authority.host == "localhost" or is_loopback(authority.host)
    )
    whose = "on this machine" if is_local else "of theirs"
    everybody = "every program on this machine" if is_local else f"everybody who reaches {address}"
    if not origins:
        return f"{everybody}; files, every page in a browser {whose} as well"
    pages = "every page" if "*" in origins else f"pages of {', '.join(origins)}"
    return f"{everybody}, and {pages} in a browser {whose}"


def allowed_origin(origin: bytes | None, allowed: Sequence[str]) -> tuple[Header, ...]:
    """The CORS headers of an answer to a read, for the request's one ``Origin`` (None without).

    ``*`` among ``allowed`` admits every origin. Otherwise the answer depends on the origin, which
    caches must know whether it is listed or not (Fetch standard, "CORS protocol and HTTP caches").
    Who may read an answer may know how long it took (Resource Timing, ``Timing-Allow-Origin``).
    No answer allows credentials, and answers to control have none of these headers.
    """
    if "*" in allowed:
        return _allowing(b"*")
    vary = (b"Vary", b"Origin")
    if origin is None or not is_listed(origin, allowed):
        return (vary,)
    return (*_allowing(origin), vary)


def _allowing(origin: bytes) -> tuple[Header, ...]:
    return ((b"Access-Control-Allow-Origin", origin), (b"Timing-Allow-Origin", origin))


def is_listed(origin: bytes | None, allowed: Sequence[str]) -> bool:
    """Whether ``allowed`` names this origin; ``*`` names none."""
    listed = (name.lower().rstrip("/").encode("utf-8") for name in allowed if name != "*")
    return origin is not None and origin.lower() in listed


def _is_token(credentials: bytes, token: str) -> bool:
    scheme, _, value = credentials.strip().partition(b" ")
    is_equal = hmac.compare_digest(value.strip(), token.encode("utf-8"))
    return is_equal and scheme.lower() == b"bearer" and bool(token)


def why_not_local(requester: Requester, allowed_hosts: Collection[str]) -> str:
    """Why a request is not from a program on this machine that asks for itself; "" if it is.

    ``allowed_hosts`` are as ``host_names`` gives them.
    """
    if not is_loopback(requester.peer):
        return "the request comes from another machine"
    if requester.is_http_1_0:
        return "it is an HTTP/1.0 request, as proxies send them"
    if any(len(requester.headers.get(name, ())) > 1 for name in _SINGLE):
        return "a header that counts once is there twice"
    if header := _proxy_header(requester.headers):
        return f"the request came through a tunnel or a proxy, by its header {header!r}"
    own = parse_authority(_text(requester, b"host") or "")
    if own is None or own.host not in allowed_hosts:
        return "its Host is none of the allowed ones (--allow-host adds one)"
    if not _is_same_site(requester, own):
        return "a page of another site sent it"
    return ""


def _proxy_header(names: Iterable[bytes]) -> str:
    """A header that no client sends itself; "" without one."""
    for name in names:
        if name not in _CLIENT_HEADERS and not name.startswith(_BROWSER_PREFIX):
            return name[:_MAX_SHOWN].decode("latin-1")
    return ""


def _is_same_site(requester: Requester, own: Authority) -> bool:
    """Whether nothing that a browser adds names another origin (Fetch standard, Fetch Metadata).

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
