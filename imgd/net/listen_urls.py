"""The URLs at which the daemon is reached, for people, for its clients, and for the log."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from twisted.internet.interfaces import IListeningPort

from imgd.certificates.names import ALWAYS_NAMES
from imgd.core.urls import is_loopback
from imgd.logs import Logger
from imgd.net.listen import address_of, number_of

_EVERY_ADDRESS: Final = ("0.0.0.0", "::")  # noqa: S104 (compared with, not bound to)


class ListenUrls:
    """The URLs of bound ports: the ``main`` ports speak ``scheme``, the ``plain`` ones HTTP.

    A ``host`` that means every address is shown as localhost, which a URL can name. ``names`` are
    the names and addresses of this machine, at which such a port is reached from elsewhere.
    """

    log = Logger()

    def __init__(
        self,
        host: str,
        scheme: str,
        main: Sequence[IListeningPort],
        plain: Sequence[IListeningPort],
        names: Iterable[str] = (),
    ) -> None:
        self._host = "localhost" if host in _EVERY_ADDRESS else host
        self._names = [name for name in names if _is_for_others(name)]
        self._listening = [*((port, scheme) for port in main), *((port, "http") for port in plain)]
        self.url = _url(self._host, main[0], scheme)
        self.urls = list(dict.fromkeys(_url(self._host, *pair) for pair in self._listening))

    def elsewhere(self) -> list[str]:
        """The URLs at which other machines, and containers, reach ports of every address."""
        return [
            _url(name, port, scheme)
            for port, scheme in self._listening
            if address_of(port) in _EVERY_ADDRESS
            for name in self._names
            if ":" not in name or address_of(port) == "::"  # which gets IPv4 as well
        ]

    def published(self) -> list[str]:
        """Those at which clients here find this daemon, and may show it its token."""
        return [*self.urls, *(url for url in self.elsewhere() if url.startswith("https:"))]

    def log_urls(self) -> None:
        """A line in the log for each address that is listened on, and each URL for elsewhere."""
        for port, scheme in self._listening:
            url = _url(self._host, port, scheme)
            self.log.info("Listening on {url} ({address})", url=url, address=address_of(port))
        for url in self.elsewhere():
            self.log.info("From other machines: {url}", url=url)


def _url(host: str, port: IListeningPort, scheme: str) -> str:
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{number_of(port)}/"


def _is_for_others(name: str) -> bool:
    """Whether a name can mean this machine elsewhere, and one machine alone."""
    is_here = name in ALWAYS_NAMES or is_loopback(name) or name.endswith(".localhost")
    return not is_here and not name.startswith("*.")
