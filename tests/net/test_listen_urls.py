"""The URLs of bound ports."""

from __future__ import annotations

from typing import cast

from twisted.internet.address import IPv4Address
from twisted.internet.interfaces import IListeningPort
from twisted.trial.unittest import SynchronousTestCase

from imgd.net.listen_urls import ListenUrls
from tests.fakes import log_lines


class Port:
    def __init__(self, host: str, number: int) -> None:
        self.address = IPv4Address("TCP", host, number)

    def getHost(self) -> IPv4Address:
        return self.address


NAMES = (
    *("localhost", "*.localhost", "host.docker.internal", "*.example.org", "a.localhost"),
    *("box.local", "127.0.0.1", "127.0.1.1", "::1", "192.0.2.7", "2001:db8::7"),
)


def urls(host: str, *addresses: str, plain: str | None = None) -> ListenUrls:
    main = [cast(IListeningPort, Port(address, 8888)) for address in addresses]
    others = [cast(IListeningPort, Port(plain, 8080))] if plain else []
    return ListenUrls(host, "https", main, others, NAMES)


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

    def test_elsewhere(self) -> None:
        """Who listens on every address is reached at each name and address of the machine that
        means this machine elsewhere, too; who listens on one is reached at that alone.
        """
        every4 = urls("0.0.0.0", "0.0.0.0", plain="0.0.0.0")
        tls = ["https://box.local:8888/", "https://192.0.2.7:8888/"]
        plain = ["http://box.local:8080/", "http://192.0.2.7:8080/"]
        self.assertEqual(every4.elsewhere(), tls + plain)
        self.assertEqual(urls("::", "::").elsewhere(), [*tls, "https://[2001:db8::7]:8888/"])
        for host, address in (("localhost", "127.0.0.1"), ("192.0.2.7", "192.0.2.7")):
            self.assertEqual(urls(host, address).elsewhere(), [])
        # The token goes to what is published, and over TLS alone to more than this host's names.
        self.assertEqual(every4.published(), [*every4.urls, *tls])

    def test_log(self) -> None:
        """The log has a line for each listener, and for each URL at which others reach it."""
        lines = log_lines(self, "imgd.net.listen_urls")
        urls("0.0.0.0", "0.0.0.0").log_urls()
        self.assertEqual(
            lines,
            [
                "Listening on https://localhost:8888/ (0.0.0.0)",
                "From other machines: https://box.local:8888/",
                "From other machines: https://192.0.2.7:8888/",
            ],
        )
