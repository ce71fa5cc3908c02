"""Limits of connections, on a real daemon with real sockets."""

from __future__ import annotations

import contextlib
import socket
import ssl

from tests.daemons import PATIENCE, Daemon, DaemonCase

HEAD = b"GET /health HTTP/1.1\r\nHost: localhost\r\n"
MOST = 16


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

    def test_handshake(self) -> None:
        """Who never shakes hands is cut off; who does is served meanwhile."""
        daemon = self.daemon("--handshake-timeout", "1")
        silent = self.connect(daemon.port)
        self.assertIn(b'"healthy"', self.get(daemon, "health"))
        with contextlib.suppress(ConnectionError):
            self.assertEqual(silent.recv(1), b"")
