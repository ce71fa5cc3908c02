"""Clients behind a trusted proxy are counted by their own address, and others by theirs."""

from __future__ import annotations

import os
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from imgd.core.forwarded import TrustedProxies
from tests.fakes import TOKEN, MemorySite, Transport, parse_answer, write
from tests.web.connection_case import StalledTransport, connect

PROXY = "127.0.0.1"
LISTING = "GET /?format=json HTTP/1.1\r\nHost: localhost\r\n"  # held back by the test
SMALL = "GET /a.jpg HTTP/1.1\r\nHost: localhost\r\n"
STUCK = "GET /a.jpg HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n"  # which does not come


class Case(SynchronousTestCase):
    def setUp(self) -> None:
        self.memory_site = self.make(
            proxies=TrustedProxies((PROXY, "192.0.2.0/28", "2001:db8::/64"))
        )

    def make(self, **more: Any) -> MemorySite:
        limits = {"max_connections": 100, "max_per_client": 2, **more}
        memory_site = MemorySite(os.path.abspath(self.mktemp()), more=limits)
        write(os.path.join(memory_site.documents, "a.jpg"), b"a" * 10)
        memory_site.blocking.held = True
        memory_site.site.limiter.start()
        self.addCleanup(memory_site.site.limiter.stop)
        return memory_site

    def ask(
        self, client: str | None, request: str = LISTING, *, over: Transport | None = None
    ) -> Transport:
        """A request that a proxy forwards for this client, over a new connection or this one."""
        transport = over or self.memory_site.connect(PROXY)
        forwarded_for = "" if client is None else f"X-Forwarded-For: {client}\r\n"
        transport.clear()
        transport.protocol.dataReceived(f"{request}{forwarded_for}\r\n".encode("latin-1"))
        return transport

    def status(self, transport: Transport) -> int:
        return parse_answer(transport.value()).status if transport.value() else 0


class BoundTests(Case):
    def test_own_bound(self) -> None:
        """One client behind a proxy has as many requests under way as any client has connections;
        one more is answered 503 with Retry-After, and another client is served.
        """
        for _ in range(2):
            self.assertEqual(self.status(self.ask("198.51.100.1")), 0)
        for request in (LISTING, SMALL, STUCK):
            refused = self.ask("198.51.100.1", request)
            answer = parse_answer(refused.value())
            self.assertEqual((answer.status, answer.headers["retry-after"]), (503, "5"))
            self.assertIn("This address", answer.json["detail"])
            self.assertTrue(refused.disconnecting)
        self.assertEqual(self.status(self.ask("198.51.100.2", SMALL)), 200)
        self.assertEqual(self.status(self.ask("198.51.100.1, 198.51.100.2")), 0)
        self.memory_site.blocking.release()
        self.assertEqual(self.status(self.ask("198.51.100.1", SMALL)), 200)

    def test_at_its_head(self) -> None:
        """A request counts from its head on, before its body has come."""
        for _ in range(2):
            self.assertEqual(self.status(self.ask("198.51.100.1", STUCK)), 0)
        self.assertEqual(self.status(self.ask("198.51.100.1")), 503)

    def test_many_clients_on_one_connection(self) -> None:
        """A connection counts for the client whose request it carries, and between requests for
        none.
        """
        pool = [self.memory_site.connect(PROXY) for _ in range(10)]
        for request in (SMALL, "GET /health HTTP/1.1\r\nHost: localhost\r\n"):
            for number in range(30):
                client = f"198.51.100.{number % 3}"
                transport = self.ask(client, request, over=pool[number % 10])
                self.assertEqual(self.status(transport), 200, number)

    def test_door(self) -> None:
        """A proxy's connections are not bounded by the proxy's own address."""
        limiter = self.memory_site.site.limiter
        for _ in range(5):
            self.assertTrue(limiter.may_accept(Transport("192.0.2.5").getPeer()))
            self.memory_site.connect("192.0.2.5")
            self.assertEqual(limiter.may_accept(Transport("192.0.2.16").getPeer()), _ < 2)
            self.memory_site.connect("192.0.2.16")

    def test_own_address(self) -> None:
        """If a proxy names no client, or nonsense, the request counts for the proxy."""
        for forwarded_for in (None, "nonsense"):
            for number in range(3):
                transport = self.memory_site.connect("192.0.2.5")
                self.ask(forwarded_for, over=transport)
                self.assertEqual(self.status(transport), 503 if number == 2 else 0)
            self.memory_site.blocking.release()
        for _ in range(5):
            self.assertEqual(self.status(self.ask(None)), 0)  # loopback itself has no bound

    def test_piecemeal(self) -> None:
        """However a head arrives, its client counts, on the fast path and in the resource tree."""
        for request in (LISTING, SMALL):
            transport = self.memory_site.connect(PROXY)
            for byte in f"\r\n{request}X-Forwarded-For: 198.51.100.7\r\n\r\n".encode():
                transport.protocol.dataReceived(bytes((byte,)))
        self.memory_site.blocking.release()
        lines = self.memory_site.access_lines
        self.assertEqual([line.split()[0] for line in lines], ["198.51.100.7"] * 2)

    def test_bad_requests(self) -> None:
        """Bad requests through a proxy are refused like any others."""
        self.assertEqual(self.status(self.ask("198.51.100.1", "GET /a.jpg HTTP/1.1\r\n")), 400)
        self.assertEqual(self.status(self.ask("198.51.100.1", "GET / HTTP/9.9\r\n")), 505)

    def test_taken_slowly(self) -> None:
        """Until its answer is taken, a request counts for its client."""
        write(os.path.join(self.memory_site.documents, "big.bin"), bytes(3_000_000))
        transports = []
        for _ in range(2):
            transport = StalledTransport(PROXY)
            connect(self.memory_site, transport)
            transports.append(transport)
            self.ask("198.51.100.1", SMALL.replace("a.jpg", "big.bin"), over=transport)
        self.assertEqual(self.status(self.ask("198.51.100.1", SMALL)), 503)
        transports[0].abortConnection()
        self.assertEqual(self.status(self.ask("198.51.100.1", SMALL)), 200)


class LogTests(Case):
    def test_access_log(self) -> None:
        """The access log shows the client, by the fast path and by the resource tree, IPv6 too."""
        for client in ("198.51.100.1", "2001:db8:9::1", "192.0.2.4"):
            for request in (SMALL, "GET /health HTTP/1.1\r\nHost: localhost\r\n"):
                self.ask(client, request)
        shown = [line.split()[0] for line in self.memory_site.access_lines]
        self.assertEqual(shown, ["198.51.100.1"] * 2 + ["2001:db8:9::1"] * 2 + [PROXY] * 2)


class TrustTests(Case):
    def test_nobody_else(self) -> None:
        """The header of a client that is no proxy changes neither the count nor the log."""
        transport = self.memory_site.connect("203.0.113.9")
        self.ask("198.51.100.1", SMALL, over=transport)
        self.assertIn("203.0.113.9 ", self.memory_site.access_lines[0])
        for _ in range(5):
            self.ask("198.51.100.1", over=self.memory_site.connect("203.0.113.9"))
        self.assertEqual(self.status(self.ask("198.51.100.1", SMALL)), 200)

    def test_none_by_default(self) -> None:
        """Without the setting no client is a proxy, not even one on this machine."""
        self.memory_site = self.make()
        for _ in range(5):
            self.assertEqual(self.status(self.ask("198.51.100.1")), 0)
        self.ask("198.51.100.1", SMALL)
        self.assertIn(f"{PROXY} ", self.memory_site.access_lines[0])

    def test_control(self) -> None:
        """Who may control stays as it is: what a proxy relays is not local, whomever it names, and
        what it asks itself is as local as its address.
        """
        for peer, headers, status in (
            (PROXY, {"X-Forwarded-For": "127.0.0.1"}, 403),
            (PROXY, {"X-Forwarded-For": "198.51.100.1"}, 403),
            (PROXY, {"Forwarded": "for=127.0.0.1"}, 403),
            ("192.0.2.5", {"X-Forwarded-For": "127.0.0.1"}, 403),
            ("192.0.2.5", {}, 403),
            (PROXY, {}, 200),
            ("192.0.2.5", {"X-Forwarded-For": "1.2.3.4", "Authorization": f"Bearer {TOKEN}"}, 200),
        ):
            for proxies in ((), (PROXY, "192.0.2.5")):
                self.memory_site = self.make(proxies=TrustedProxies(proxies))
                self.memory_site.blocking.held = False
                answer = self.memory_site.post("/timeout/30", headers=headers, peer=peer)
                self.assertEqual(answer.status, status, (peer, headers, proxies))


class RoomTests(Case):
    def test_slow_reader(self) -> None:
        """A slow reader behind a proxy makes room as any does."""
        proxies = TrustedProxies((PROXY,))
        self.memory_site = self.make(max_connections=4, max_per_client=0, proxies=proxies)
        write(os.path.join(self.memory_site.documents, "big.bin"), bytes(3_000_000))
        transports = []
        for number in range(4):
            transport = StalledTransport(PROXY)
            connect(self.memory_site, transport)
            transports.append(transport)
            self.ask(f"198.51.100.{number}", SMALL.replace("a.jpg", "big.bin"), over=transport)
        for second in range(70):
            self.memory_site.clock.advance(1)
            if second == 30:  # some of it is taken: no deadline ends them
                for transport in transports:
                    transport.protocol.resumeProducing()
        self.assertFalse(any(transport.aborted for transport in transports))
        self.assertTrue(self.memory_site.site.limiter.may_accept(Transport(PROXY).getPeer()))
        self.assertEqual([t.aborted for t in transports].count(True), 1)
        self.assertEqual(self.status(self.ask("198.51.100.9", SMALL)), 200)
