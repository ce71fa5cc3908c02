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
from tests.daemons import PATIENCE, Daemon, DaemonCase
from tests.fakes import DEADLINES, House, write
from tests.net.test_tls import client, made

HEAD = b"GET /health HTTP/1.1\r\nHost: localhost\r\n"
MOST = 16
BIG = 40 << 20  # bytes: more than the buffers of two sockets hold


class LimitTests(DaemonCase):
    def connect(self, port: int) -> socket.socket:
        connection = socket.create_connection(("127.0.0.1", port), PATIENCE)
        self.addCleanup(connection.close)
        return connection

    def ask(self, port: int, sent: bytes = HEAD + b"\r\n") -> tuple[socket.socket, bytes]:
        """A connection, and the first that is heard on it."""
        connection = self.connect(port)
        connection.sendall(sent)
        return connection, connection.recv(65536)

    def crowded(self) -> tuple[Daemon, int, list[socket.socket]]:
        """A daemon with as many connections as may be, all in the midst of a request."""
        daemon = self.daemon("--http-port", "0", "--max-connections", str(MOST))
        plain = int(daemon.http_url.rstrip("/").rpartition(":")[2])
        held = [self.ask(plain, HEAD + b"\r\n" + HEAD)[0] for _ in range(MOST)]
        return daemon, plain, held

    def test_one_too_many(self) -> None:
        """One connection more is answered 503 with Retry-After, over TLS it is closed; those that
        are in are served, and who comes when one of them has left is, too.
        """
        daemon, plain, held = self.crowded()
        refused, answer = self.ask(plain)
        self.assertIn(b"HTTP/1.1 503 Service Unavailable\r\n", answer)
        self.assertIn(b"\r\nRetry-After: 5\r\n", answer)
        self.assertEqual(refused.recv(1), b"")
        with self.assertRaises((ConnectionError, ssl.SSLError)):
            daemon.tls().wrap_socket(self.connect(daemon.port), server_hostname="localhost")
        held[0].sendall(b"\r\n")
        self.assertIn(b'"degraded"', held[0].recv(65536))
        held[1].sendall(b"Connection: close\r\n\r\n")
        while held[1].recv(65536):
            pass
        self.assertIn(b"200 OK", self.ask(plain)[1])
        for connection in held:
            connection.close()
        daemon.stop()
        said = [line for line in daemon.lines if "Degraded (connections)" in line]
        self.assertEqual(len(said), 1)

    def test_idle_makes_room(self) -> None:
        """Where connections are idle, the oldest of them is closed, and everybody gets in."""
        daemon = self.daemon("--no-tls", "--max-connections", str(MOST))
        idle = [self.ask(daemon.port)[0] for _ in range(MOST)]
        for number in range(3):
            self.assertIn(b"200 OK", self.ask(daemon.port)[1])
            self.assertEqual(idle[number].recv(1), b"")
        idle[3].sendall(HEAD + b"\r\n")
        self.assertIn(b"200 OK", idle[3].recv(65536))

    def test_idle_a_moment_ago(self) -> None:
        """One that was busy when idle ones were looked for makes room when it is answered."""
        daemon, plain, held = self.crowded()
        for connection in held:
            self.assertIn(b"HTTP/1.1 503 ", self.ask(plain)[1])
            connection.sendall(b"\r\n")
            self.assertIn(b"200 OK", connection.recv(65536))
            self.assertIn(b"200 OK", self.ask(plain, HEAD + b"\r\n" + HEAD)[1])
            self.assertEqual(connection.recv(1), b"")
        daemon.stop()

    def test_proxy(self) -> None:
        """Behind a trusted proxy on this machine each client has its bound, and others are served;
        the access log shows who asked.
        """
        options = ("--no-tls", "--max-per-client", "2", "--access-log", "-")
        daemon = self.daemon(*options, "--proxy", "127.0.0.1", "--proxy", "::1")
        post = b"POST /unload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n"
        said = b"X-Forwarded-For: %b\r\n\r\n"
        for connection in [self.connect(daemon.port) for _ in range(2)]:
            # The first answer comes when what follows it has come as well.
            connection.sendall(HEAD + said % b"192.0.2.1" + post + said % b"192.0.2.1")
            self.assertIn(b"200 OK", connection.recv(65536))
        refused, answer = self.ask(daemon.port, HEAD + said % b"192.0.2.1")
        self.assertIn(b"HTTP/1.1 503 Service Unavailable\r\n", answer)
        self.assertIn(b"\r\nRetry-After: 5\r\n", answer)
        self.assertEqual(refused.recv(1), b"")
        self.assertIn(b"200 OK", self.ask(daemon.port, HEAD + said % b"192.0.2.2")[1])
        daemon.wait_for("192.0.2.2 - - ")

    def test_handshake(self) -> None:
        """Who never shakes hands is cut off; who does is served meanwhile."""
        daemon = self.daemon("--handshake-timeout", "1")
        silent = self.connect(daemon.port)
        self.assertIn(b'"healthy"', self.get(daemon, "health"))
        with contextlib.suppress(ConnectionError):
            self.assertEqual(silent.recv(1), b"")


class SlowReaderTests(TestCase):
    """Real sockets, and a clock in the test's hands."""

    timeout = 120

    def make(self, tls: bool) -> None:
        more = {"max_connections": 4, "deadlines": replace(DEADLINES, stalled=1e9)}
        self.house = House(os.path.abspath(self.mktemp()), more=more)
        write(os.path.join(self.house.documents, "big.bin"), bytes(BIG))
        site = self.house.site
        site.limiter.start()
        self.addCleanup(site.limiter.stop)
        door = SwitchableFactory()
        door.admits = site.limiter.admits
        context = SwappableContext(build_context(made().pairs))
        door.behind = tls_factory(context, site, reactor) if tls else site
        port = reactor.listenTCP(0, door, interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        self.port = port.getHost().port

    def connect(self, tls: bool) -> socket.socket:
        connection = socket.create_connection(("127.0.0.1", self.port), PATIENCE)
        if tls:
            connection = client().wrap_socket(connection, server_hostname="localhost")
        self.addCleanup(connection.close)
        return connection

    def read(self, connection: socket.socket, wanted: int) -> int:
        """Read so many bytes, or to the end: how many there were."""
        found = 0
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            while found < wanted and (data := connection.recv(min(65536, wanted - found))):
                found += len(data)
        return found

    def readers(self, tls: bool) -> list[socket.socket]:
        found = []
        for _ in range(4):
            connection = self.connect(tls)
            asked = HEAD.replace(b"/health", b"/big.bin") + b"Connection: close\r\n\r\n"
            connection.sendall(asked)
            self.read(connection, 100)
            found.append(connection)
        return found

    def served(self, tls: bool) -> bool:
        connection = self.connect(tls)
        connection.sendall(HEAD + b"Connection: close\r\n\r\n")
        return b"200 OK" in connection.recv(65536)

    @inlineCallbacks
    def check(self, tls: bool) -> Any:
        self.make(tls)
        readers = yield deferToThread(self.readers, tls)
        fast = readers[2]
        for _ in range(5):  # meanwhile the sockets' buffers fill, which counts as taken
            self.assertEqual((yield deferToThread(self.read, fast, BIG // 8)), BIG // 8)
            self.house.clock.pump([1] * 31)
        for _ in range(3):
            self.assertTrue((yield deferToThread(self.served, tls)))
        left = yield deferToThread(self.read, fast, BIG)
        self.assertGreater(left, BIG * 3 // 8 - 1000)
        got = yield deferToThread(lambda: [self.read(slow, BIG) for slow in readers[:2]])
        self.assertLess(min(got), BIG // 2)

    def test_plain(self) -> Any:
        """Who takes nothing over a minute makes room for a new connection; who takes what sendfile
        hands it does not.
        """
        return self.check(tls=False)

    def test_tls(self) -> Any:
        """The same over TLS."""
        return self.check(tls=True)
