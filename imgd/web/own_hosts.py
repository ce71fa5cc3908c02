"""The names by which this daemon may be asked."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from imgd.core import access_rules
from imgd.core.urls import parse_url
from imgd.errors import Misdirected

MAX_REMEMBERED: Final = 64  # values of Host that were judged


class OwnHosts:
    """Which ``Host`` a read may name.

    A page whose own name leads to a loopback address of its reader (DNS rebinding) is of one origin
    with what answers there, and no CORS keeps it from reading that; only the name that the browser
    asks for tells. If anybody reaches the daemon anyway, ``names`` is None, and every one will do.
    """

    def __init__(self, names: Iterable[str] | None = None) -> None:
        self._names = None if names is None else set(access_rules.host_names(names))
        self.accepts = lru_cache(MAX_REMEMBERED)(self._accepts)

    def add_url(self, url: str | None) -> None:
        """Accept the host of the URLs that are handed out, as long as the daemon runs."""
        parsed = parse_url(url) if url else None
        if self._names is not None and parsed is not None:
            self._names.add(parsed.origin.host)
            self.accepts.cache_clear()

    def is_own(self, host: str, address: str) -> bool:
        """Whether a ``Host`` is surely this daemon: by a name, or by the address that was asked."""
        names = {*(self._names or ()), "localhost", address}
        return access_rules.is_named(host, names)

    @staticmethod
    def misdirected(host: bytes | None) -> Misdirected:
        """The answer to who asks for another."""
        shown = (host or b"")[:100].decode("latin-1")
        return Misdirected(
            f"This server is not called {shown}: give imgd that name by --allow-host, or by "
            "--public-url where it is reached through a tunnel or a proxy."
        )

    def _accepts(self, host: bytes | None) -> bool:
        """Whether a ``Host`` is of this daemon, whatever its port. Browsers always send one."""
        if self._names is None or host is None:
            return True
        return access_rules.is_named(host.decode("latin-1"), self._names)
