"""Limits of connections, on a real daemon with real sockets."""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
from dataclasses import replace
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import inlineCallbacks
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from imgd.net.bulk_tls import tls_factory
from imgd.net.listen import SwitchableFactory
from imgd.net.tls import SwappableContext, build_context
from tests.daemons import PATIENCE, Daemon, DaemonCase, port_of
from tests.fakes import DEADLINES, MemorySite, write
from tests.listening import listen
from tests.net.tls_case import client, made

HEAD = b"GET /health HTTP/1.1\r\nHost: localhost\r\n"
MAX_CONNECTIONS = 16
LARGE = 40 << 20  # bytes: more than the buffers of two sockets hold


class LimitTests(DaemonCase):
    def connect(self, port: int) -> socket.socket:
        connection = socket.create_connection(("127.0.0.1", port), PATIENCE)
        self.addCleanup(connection.close)
        return connection

    def ask(self, port: int, data: bytes = HEAD + b"\r\n") -> tuple[socket.socket, bytes]:
        """Send this on a new connection, and read the first bytes that come back."""
        connection = self.connect(port)
        connection.sendall(data)
        return connection, connection.recv(65536)

    def full_daemon(self) -> tuple[Daemon, int, list[socket.socket]]:
        """A daemon, its plain port, and as many connections as it takes, all within a request."""
        daemon = self.daemon("--http-port", "0", "--max-connections", str(MAX_CONNECTIONS))
        plain = port_of(daemon.http_url)
        busy = [self.ask(plain, HEAD + b"\r\n" + HEAD)[0] for _ in range(MAX_CONNECTIONS)]
        return daemon, plain, busy

    def test_one_too_many(self) -> None:
        """One connection more is answered 503 with Retry-After, or closed over TLS; the others are
        served, and so is the next one after one of them has left.
        """
        daemon, plain, busy = self.full_daemon()
        refused, answer = self.ask(plain)
        self.assertIn(b"HTTP/1.1 503 Service Unavailable\r\n", answer)
        self.assertIn(b"\r\nRetry-After: 5\r\n", answer)
        self.assertEqual(refused.recv(1), b"")
        with self.assertRaises((ConnectionError, ssl.SSLError)):
            daemon.tls().wrap_socket(self.connect(daemon.port), server_hostname="localhost")
        busy[0].sendall(b"\r\n")
        self.assertIn(b'"degraded"', busy[0].recv(65536))
        busy[1].sendall(b"Connection: close\r\n\r\n")
        while busy[1].recv(65536):
            pass
        self.assertIn(b"200 OK", self.ask(plain)[1])
        for connection in busy:
            connection.close()
        daemon.stop()
        warnings = [line for line in daemon.lines if "Degraded (connections)" in line]
        self.assertEqual(len(warnings), 1)

    def test_idle_makes_room(self) -> None:
        """If connections are idle, the oldest of them is closed for a new one."""
        daemon = self.daemon("--no-tls", "--max-connections", str(MAX_CONNECTIONS))
        idle = [self.ask(daemon.port)[0] for _ in range(MAX_CONNECTIONS)]
        for number in range(3):
            self.assertIn(b"200 OK", self.ask(daemon.port)[1])
            self.assertEqual(idle[number].recv(1), b"")
        idle[3].sendall(HEAD + b"\r\n")
        self.assertIn(b"200 OK", idle[3].recv(65536))

    def test_idle_a_moment_ago(self) -> None:
        """A connection that was busy when the idle ones were looked for makes room once it has its
        answer.
        """
        _, plain, busy = self.full_daemon()
        for connection in busy:
            self.assertIn(b"HTTP/1.1 503 ", self.ask(plain)[1])
            connection.sendall(b"\r\n")
            self.assertIn(b"200 OK", connection.recv(65536))
            self.assertIn(b"200 OK", self.ask(plain, HEAD + b"\r\n" + HEAD)[1])
            self.assertEqual(connection.recv(1), b"")

    def test_proxy(self) -> None:
        """Behind a trusted proxy each client has its own limit, and the access log shows its
        address.
        """
        options = ("--no-tls", "--max-per-client", "2", "--access-log", "-")
        daemon = self.daemon(*options, "--proxy", "127.0.0.1", "--proxy", "::1")
        post = b"POST /unload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n"
        forwarded = b"X-Forwarded-For: %b\r\n\r\n"
        for connection in [self.connect(daemon.port) for _ in range(2)]:
            # The first answer comes when what follows it has come as well.
            connection.sendall(HEAD + forwarded % b"192.0.2.1" + post + forwarded % b"192.0.2.1")
            self.assertIn(b"200 OK", connection.recv(65536))
        refused, answer = self.ask(daemon.port, HEAD + forwarded % b"192.0.2.1")
        self.assertIn(b"HTTP/1.1 503 Service Unavailable\r\n", answer)
        self.assertIn(b"\r\nRetry-After: 5\r\n", answer)
        self.assertEqual(refused.recv(1), b"")
        self.assertIn(b"200 OK", self.ask(daemon.port, HEAD + forwarded % b"192.0.2.2")[1])
        daemon.wait_for("192.0.2.2 - - ")

    def test_handshake(self) -> None:
        """A client that never begins its handshake is cut off; others are served meanwhile."""
        daemon = self.daemon("--handshake-timeout", "1")
        silent = self.connect(daemon.port)
        self.assertIn(b'"healthy"', self.get(daemon, "health"))
        with contextlib.suppress(ConnectionError):
            self.assertEqual(silent.recv(1), b"")


class SlowReaderTests(TestCase):
    """Real sockets, and a clock that the test advances."""

    timeout = 120

    def make(self, tls: bool) -> None:
        more = {"max_connections": 4, "deadlines": replace(DEADLINES, stalled=1e9)}
        self.memory_site = MemorySite(os.path.abspath(self.mktemp()), more=more)
        write(os.path.join(self.memory_site.documents, "large.bin"), bytes(LARGE))
        site = self.memory_site.site
        site.limiter.start()
        self.addCleanup(site.limiter.stop)
        factory = SwitchableFactory()
        factory.may_accept = site.limiter.may_accept
        context = SwappableContext(build_context(made().pairs))
        factory.wrapped = tls_factory(context, site, reactor) if tls else site
        self.port = listen(self, factory)

    def connect(self, tls: bool) -> socket.socket:
        connection = socket.create_connection(("127.0.0.1", self.port), PATIENCE)
        if tls:
            connection = client().wrap_socket(connection, server_hostname="localhost")
        self.addCleanup(connection.close)
        return connection

    def read(self, connection: socket.socket, size: int) -> int:
        """Read so many bytes, or to the end; returns how many there were."""
        count = 0
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            while count < size and (data := connection.recv(min(65536, size - count))):
                count += len(data)
        return count

    def readers(self, tls: bool) -> list[socket.socket]:
        """Connections that have asked for the large file and read its first bytes."""
        connections = [self.connect(tls) for _ in range(4)]
        for connection in connections:
            connection.sendall(
                HEAD.replace(b"/health", b"/large.bin") + b"Connection: close\r\n\r\n"
            )
            self.read(connection, 100)
        return connections

    def is_served(self, tls: bool) -> bool:
        connection = self.connect(tls)
        connection.sendall(HEAD + b"Connection: close\r\n\r\n")
        return b"200 OK" in connection.recv(65536)

    @inlineCallbacks
    def check(self, tls: bool) -> Any:
        self.make(tls)
        readers = yield deferToThread(self.readers, tls)
        fast = readers[2]
        for _ in range(5):  # meanwhile the sockets' buffers fill, which counts as taken
            self.assertEqual((yield deferToThread(self.read, fast, LARGE // 8)), LARGE // 8)
            self.memory_site.clock.pump([1] * 31)
        for _ in range(3):
            self.assertTrue((yield deferToThread(self.is_served, tls)))
        rest = yield deferToThread(self.read, fast, LARGE)
        self.assertGreater(rest, LARGE * 3 // 8 - 1000)
        sizes = yield deferToThread(lambda: [self.read(slow, LARGE) for slow in readers[:2]])
        self.assertLess(min(sizes), LARGE // 2)

    def test_plain(self) -> Any:
        """A client that has taken nothing for a minute makes room for a new connection; one that
        takes what sendfile gives it does not.
        """
        return self.check(tls=False)

    def test_tls(self) -> Any:
        return self.check(tls=True)
