"""The URLs at which the daemon is reached, for people, for its clients, and for the log."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from twisted.internet.interfaces import IListeningPort

from imgd.logs import Logger
from imgd.net.listen import address_of, number_of

_EVERY_ADDRESS: Final = ("0.0.0.0", "::")  # noqa: S104 (compared with, not bound to)


class ListenUrls:
    """The URLs of bound ports: the ``main`` ports speak ``scheme``, the ``plain`` ones HTTP.

    A ``host`` that means every address is shown as localhost, which a URL can name.
    """

    log = Logger()

    def __init__(
        self,
        host: str,
        scheme: str,
        main: Sequence[IListeningPort],
        plain: Sequence[IListeningPort],
    ) -> None:
        self._host = "localhost" if host in _EVERY_ADDRESS else host
        self._listening = [*((port, scheme) for port in main), *((port, "http") for port in plain)]
        self.url = self._url_of(main[0], scheme)
        self.urls = list(dict.fromkeys(self._url_of(*pair) for pair in self._listening))

    def _url_of(self, port: IListeningPort, scheme: str) -> str:
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"{scheme}://{host}:{number_of(port)}/"

    def log_urls(self) -> None:
        """A line in the log for each address that is listened on."""
        for port, scheme in self._listening:
            url = self._url_of(port, scheme)
            self.log.info("Listening on {url} ({address})", url=url, address=address_of(port))
