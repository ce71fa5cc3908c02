"""Plain HTTP on the HTTPS port: a whole answer that names the https URL."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Callable
from typing import Any, cast

from twisted.internet import reactor
from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.interfaces import IReactorTime
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import SkipTest, TestCase

from imgd.net.bulk_tls import tls_factory
from imgd.net.tls import SwappableContext, build_context
from tests.fakes import Answer, MemorySite, parse_answer, record_log, write
from tests.net.tls_case import TIMEOUT, client, connected, exchange, has_ipv6, listen, made

ADDRESSES = ("localhost", "127.0.0.1", "::1")


class PlainCase(TestCase):
    timeout = 60
    hosts: tuple[str, ...] | None = ADDRESSES

    def setUp(self) -> None:
        self.events = record_log(self)
        self.memory_site = MemorySite(os.path.abspath(self.mktemp()), hosts=self.hosts)
        write(os.path.join(self.memory_site.documents, "a.jpg"), b"a" * 1000)
        self.port = self.listen("127.0.0.1")
        table = self.memory_site.site.limiter._table
        self.addCleanup(lambda: self.until(lambda: not len(table)))

    @inlineCallbacks
    def until(self, is_done: Callable[[], bool]) -> Any:
        while not is_done():
            turn: Deferred[None] = Deferred()
            cast(IReactorTime, reactor).callLater(0, turn.callback, None)
            yield turn

    def listen(self, interface: str) -> int:
        context = SwappableContext(build_context(made().pairs))
        site, clock = self.memory_site.site, cast(IReactorTime, reactor)
        return listen(self, tls_factory(context, site, clock), interface)

    def talk(self, data: bytes, address: str = "127.0.0.1", port: int = 0) -> bytes:
        """What the server answers to these bytes, until it closes in good order."""
        with socket.create_connection((address, port or self.port), TIMEOUT) as connection:
            connection.sendall(data)
            pieces = []
            while piece := connection.recv(1 << 16):
                pieces.append(piece)
            return b"".join(pieces)

    def ask(self, data: bytes, method: str = "GET", **where: Any) -> Deferred[Answer]:
        done: Deferred[bytes] = deferToThread(self.talk, data, **where)
        return done.addCallback(lambda raw: parse_answer(raw, method))

    @inlineCallbacks
    def check(self, line: str, host: str | None, url: str, **where: Any) -> Any:
        lines = [line] if host is None else [line, f"Host: {host}"]
        method = line.partition(" ")[0]
        answer = yield self.ask("\r\n".join([*lines, "", ""]).encode("latin-1"), method, **where)
        self.assertEqual((answer.status, answer.headers["connection"]), (400, "close"))
        if method == "HEAD":
            self.assertEqual(answer.body, b"")
            self.assertGreater(int(answer.headers["content-length"]), 0)
        else:
            wanted = f"This port speaks HTTPS alone: ask for {url}"
            self.assertEqual(answer.json, {"detail": wanted})


class RefusalTests(PlainCase):
    @inlineCallbacks
    def test_methods(self) -> Any:
        """Every method and version gets the same answer, HEAD without its body."""
        url = f"https://localhost:{self.port}/a.jpg?x=1"
        for method in ("GET", "HEAD", "OPTIONS", "POST", "DELETE"):
            for version in ("1.1", "1.0"):
                line = f"{method} /a.jpg?x=1 HTTP/{version}"
                yield self.check(line, f"localhost:{self.port}", url)

    @inlineCallbacks
    def test_hosts(self) -> Any:
        """The URL has the host that was asked for if it is this daemon's, with its port, if it
        names one: another may lead here. Any other host is not repeated.
        """
        own = f"localhost:{self.port}"
        for host, shown in (
            ("localhost:9999", "localhost:9999"),
            ("localhost", own),
            ("LOCALHOST.:9999", "localhost:9999"),
            ("127.0.0.1:1", "127.0.0.1:1"),
            ("[::1]:1", "[::1]:1"),
            ("localhost:443", "localhost"),
            ("evil.example:9999", own),
            ("localhost.evil.example", own),
            ("127.0.0.2:9999", own),
            (None, own),
        ):
            version = "1.0" if host is None else "1.1"
            yield self.check(f"GET /a.jpg HTTP/{version}", host, f"https://{shown}/a.jpg")

    @inlineCallbacks
    def test_absolute(self) -> Any:
        """The authority of an absolute target counts, as a client of a proxy sends it."""
        for target, url in (
            ("http://localhost:9/a", "https://localhost:9/a"),
            ("https://localhost/a", f"https://localhost:{self.port}/a"),
            ("http://evil.example/a", f"https://localhost:{self.port}/a"),
        ):
            yield self.check(f"GET {target} HTTP/1.1", "localhost:7", url)
        yield self.check("OPTIONS * HTTP/1.1", "localhost", f"https://localhost:{self.port}/")

    @inlineCallbacks
    def test_ipv6(self) -> Any:
        if not has_ipv6():
            raise SkipTest("no ::1 here")
        port = self.listen("::1")
        yield self.check(
            "GET / HTTP/1.1", "[::1]", f"https://[::1]:{port}/", address="::1", port=port
        )

    @inlineCallbacks
    def test_bodies(self) -> Any:
        """A body does not reset the connection before the answer is read, whatever its length."""
        for body in (b"{}", b"x" * 3_000_000):
            head = b"POST /load-directory HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n"
            answer = yield self.ask(head % len(body) + body)
            self.assertEqual(answer.status, 400)

    @inlineCallbacks
    def test_no_request(self) -> Any:
        """What is no request is refused as on a plain port; nothing that follows is answered."""
        for data, status in (
            (b"GET /\r\n\r\n", 400),
            (b"SSH-2.0-x\r\n\r\n", 400),
            (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
            (b"GET /%b HTTP/1.1\r\n\r\n" % (b"a" * 9000), 414),
            (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" * 100, 400),
        ):
            raw = yield deferToThread(self.talk, data)
            self.assertEqual((parse_answer(raw).status, raw.count(b"\r\nServer: ")), (status, 1))

    @inlineCallbacks
    def test_in_pieces(self) -> Any:
        """The first byte decides; the rest may come at any time."""

        def talk() -> bytes:
            with socket.create_connection(("127.0.0.1", self.port), TIMEOUT) as connection:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                for byte in b"GET / HTTP/1.1\r\nHost: localhost:5\r\n\r\n":
                    connection.sendall(bytes([byte]))
                return connection.recv(10_000)

        raw = yield deferToThread(talk)
        self.assertIn("https://localhost:5/", parse_answer(raw).json["detail"])

    @inlineCallbacks
    def test_beside_tls(self) -> Any:
        """TLS clients are served before and after; the log has no word of it all."""

        def ask() -> bytes:
            with connected(self.port, client()) as wrapped:
                return exchange(wrapped)

        before = len(self.events)
        for _ in range(2):
            self.assertIn(b"HTTP/1.1 ", (yield deferToThread(ask)))
            yield self.check("GET / HTTP/1.1", "a", f"https://localhost:{self.port}/")
        self.assertEqual(self.memory_site.access_lines, [])
        self.assertEqual(self.events[before:], [])

    @inlineCallbacks
    def test_clients(self) -> Any:
        """curl and wget get the sentence."""
        url = f"http://localhost:{self.port}/a.jpg"
        for command in (
            ["curl", "-sS", "--noproxy", "*", url],
            ["wget", "-qO-", "--no-proxy", "--content-on-error", url],
        ):
            if shutil.which(command[0]) is None:
                raise SkipTest(f"no {command[0]} here")
            done = yield deferToThread(
                subprocess.run, command, capture_output=True, timeout=TIMEOUT, check=False
            )
            self.assertIn(url.replace("http", "https").encode(), done.stdout)


class EverybodyTests(PlainCase):
    """If the daemon is reached from elsewhere, reads may name any host; the URL still does not."""

    hosts = None

    @inlineCallbacks
    def test_hosts(self) -> Any:
        own = f"https://localhost:{self.port}/"
        for host, url in (
            ("evil.example:9999", own),
            ("127.0.0.1:9999", "https://127.0.0.1:9999/"),
            ("10.1.1.1:9999", own),
        ):
            yield self.check("GET / HTTP/1.1", host, url)


class LimitTests(PlainCase):
    """Such a connection has the deadlines and limits of any other."""

    @inlineCallbacks
    def test_deadline(self) -> Any:
        """A head that does not come in time is answered 408, and the connection is forgotten."""
        limiter, clock = self.memory_site.site.limiter, self.memory_site.clock
        limiter.start()
        self.addCleanup(limiter.stop)
        results: list[bytes] = []
        done = deferToThread(self.talk, b"GET / HTTP/1.1\r\n").addCallback(results.append)

        def is_done() -> bool:
            clock.advance(1)
            return bool(results)

        yield self.until(is_done)
        yield done
        self.assertEqual(parse_answer(results[0]).status, 408)
        self.assertEqual(limiter._table.is_busy(), False)

    @inlineCallbacks
    def test_forgotten(self) -> Any:
        """Every connection leaves the table, however it ended."""
        for _ in range(3):
            yield self.ask(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        raw = socket.create_connection(("127.0.0.1", self.port), TIMEOUT)
        yield deferToThread(raw.sendall, b"GET / HT")
        raw.close()  # setUp has the rest of the test
