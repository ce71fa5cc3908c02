"""The URLs of bound ports."""

from __future__ import annotations

from typing import cast

from twisted.internet.address import IPv4Address
from twisted.internet.interfaces import IListeningPort
from twisted.trial.unittest import SynchronousTestCase

from imgd.net.listen_urls import ListenUrls


class Port:
    def __init__(self, host: str, number: int) -> None:
        self.address = IPv4Address("TCP", host, number)

    def getHost(self) -> IPv4Address:
        return self.address


def urls(host: str, *addresses: str, plain: str | None = None) -> ListenUrls:
    main = [cast(IListeningPort, Port(address, 8888)) for address in addresses]
    others = [cast(IListeningPort, Port(plain, 8080))] if plain else []
    return ListenUrls(host, "https", main, others)


class ListenUrlsTests(SynchronousTestCase):
    def test_every_address(self) -> None:
        """A host that means every address is shown as localhost, an IPv6 address in brackets."""
        for host, url in (
            ("0.0.0.0", "https://localhost:8888/"),
            ("::", "https://localhost:8888/"),
            ("::1", "https://[::1]:8888/"),
            ("box.local", "https://box.local:8888/"),
        ):
            self.assertEqual(urls(host, "127.0.0.1").url, url)

    def test_each_once(self) -> None:
        """Two addresses of one name are one URL; plain HTTP has its own."""
        both = urls("localhost", "127.0.0.1", "::1", plain="127.0.0.1")
        self.assertEqual(both.urls, ["https://localhost:8888/", "http://localhost:8080/"])
