"""The names of this daemon: by which it may be asked, and on which it hands out URLs."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from imgd.core import access_rules
from imgd.core.forwarded import NONE, TrustedProxies
from imgd.core.urls import DEFAULT_PORTS, Origin, parse_authority, parse_url
from imgd.errors import Misdirected
from imgd.web.request import Request

MAX_REMEMBERED: Final = 64  # values of Host that were judged


class OwnHosts:
    """Which hosts are this daemon, and which ``Host`` a read may name.

    A page whose own name leads to a loopback address of its reader (DNS rebinding) is of one origin
    with what answers there, and no CORS keeps it from reading that; only the name that the browser
    asks for tells. If anybody reaches the daemon anyway (``accepts_others``), a read may name any
    host; but only ``names`` are this daemon.
    """

    def __init__(
        self,
        names: Iterable[str] = (),
        *,
        accepts_others: bool = True,
        proxies: TrustedProxies = NONE,
    ) -> None:
        self._names = set(access_rules.host_names(names))
        self._accepts_others = accepts_others
        self._proxies = proxies
        self.accepts = lru_cache(MAX_REMEMBERED)(self._accepts)

    def add_url(self, url: str | None) -> None:
        """Accept the host of the URLs that are handed out, as long as the daemon runs."""
        parsed = parse_url(url) if url else None
        if parsed is not None:
            self._names.add(parsed.origin.host)
            self.accepts.cache_clear()

    def origin(self, request: Request) -> Origin | None:
        """This daemon's origin as a request names it; None if it names another host, or none.

        A trusted proxy says by which scheme and ``Host`` its client asked it.
        """
        scheme = "https" if request.isSecure() else "http"
        host = (request.getHeader(b"host") or b"").decode("latin-1")
        if getattr(request.other_end(), "host", "") in self._proxies:
            proxy_scheme, proxy_host = self._proxies.asked(request.requester().headers)
            scheme, host = proxy_scheme or scheme, proxy_host or host
        authority = parse_authority(host.strip())
        if authority is None or authority.port == 0 or not self.is_own(host, request.getHost()):
            return None
        return Origin(scheme, authority.host, authority.port or DEFAULT_PORTS[scheme])

    def is_own(self, host: str, local: object) -> bool:
        """Whether a ``Host`` is this daemon's: by a name, or by the ``local`` address at which it
        was asked, which the machine may have got after the start.
        """
        authority = parse_authority(host.strip())
        address = getattr(local, "host", "").removeprefix("::ffff:")  # IPv4 by IPv6
        is_address = authority is not None and authority.host == address
        return is_address or access_rules.is_named(host, self._names)

    @staticmethod
    def misdirected(host: bytes | None) -> Misdirected:
        """The answer to who asks for another."""
        shown = (host or b"")[:100].decode("latin-1")
        return Misdirected(
            f"This server is not called {shown}: give imgd that name by --allow-host, or by "
            "--public-url where it is reached through a tunnel or a proxy."
        )

    def _accepts(self, host: bytes | None) -> bool:
        """Whether a read may name a ``Host``, whatever its port. Browsers always send one."""
        if self._accepts_others or host is None:
            return True
        return access_rules.is_named(host.decode("latin-1"), self._names)
