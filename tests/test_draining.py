"""SIGTERM, as a service manager sends it: transfers under way are finished first."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import ssl

from tests.daemons import PATIENCE, Background, Daemon, DaemonCase, port_of

SIZE = 6_000_000  # bytes: far more than the buffers of two sockets hold


def ask(daemon: Daemon | Background, url: str, path: str) -> socket.socket:
    """A connection on which a file was asked for."""
    connection = socket.create_connection(("127.0.0.1", port_of(url)), PATIENCE)
    if url.startswith("https:"):
        assert isinstance(daemon, Daemon)
        connection = daemon.tls().wrap_socket(connection, server_hostname="localhost")
    connection.sendall(b"GET /%b HTTP/1.1\r\nHost: localhost\r\n\r\n" % path.encode("ascii"))
    return connection


def read(connection: socket.socket) -> bytes:
    """Everything until the end, however it comes."""
    pieces = []
    with contextlib.suppress(ConnectionError, ssl.SSLError):
        while data := connection.recv(1 << 20):
            pieces.append(data)
    return b"".join(pieces)


class DrainTests(DaemonCase):
    def start(self, *options: str) -> Daemon:
        root = self.folder / "root"
        root.mkdir()
        (root / "large.bin").write_bytes(os.urandom(SIZE))
        return self.daemon("--http-port", "0", "-d", str(root), *options)

    def under_way(self, daemon: Daemon, count: int) -> list[tuple[socket.socket, bytes]]:
        """Transfers over both listeners, each with its first byte."""
        urls = (daemon.url, daemon.http_url)
        connections = [ask(daemon, urls[n % 2], "large.bin") for n in range(count)]
        for connection in connections:
            self.addCleanup(connection.close)
        return [(connection, connection.recv(1)) for connection in connections]

    def test_200_transfers(self) -> None:
        """Of 200 transfers under way, half of them over TLS, none fails; the exit status is 0."""
        daemon = self.start()
        idle = socket.create_connection(("127.0.0.1", port_of(daemon.http_url)), PATIENCE)
        self.addCleanup(idle.close)
        idle.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
        self.assertIn(b"200 OK", idle.recv(65536))
        transfers = self.under_way(daemon, 200)
        daemon.signal(signal.SIGTERM)
        daemon.wait_for("stopping when transfers under way are done")
        self.assertEqual(idle.recv(1), b"", "an idle connection is closed")
        expected = (self.folder / "root" / "large.bin").read_bytes()
        whole_count = 0
        for connection, first in transfers:
            answer = first + read(connection)
            whole_count += answer.partition(b"\r\n\r\n")[2] == expected
            connection.close()
        self.assertEqual(whole_count, 200)
        self.assertEqual(daemon.stop(), 0)
        self.assertFalse([line for line in daemon.lines if "Traceback" in line or "ended" in line])

    def test_nobody_gets_in(self) -> None:
        """While it drains, no new connection gets in."""
        daemon = self.start()
        [(connection, _)] = self.under_way(daemon, 1)
        daemon.signal(signal.SIGTERM)
        daemon.wait_for(r"Port \d+ Closed")
        daemon.wait_for(r"Port \d+ Closed")
        with self.assertRaises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", daemon.port), PATIENCE)
        read(connection)
        self.assertEqual(daemon.stop(), 0)

    def test_second_signal(self) -> None:
        """A second SIGTERM ends it at once, with status 0, and logs how many were not done."""
        daemon = self.start()
        transfers = self.under_way(daemon, 3)
        daemon.signal(signal.SIGTERM)
        daemon.wait_for("stopping when transfers under way are done")
        daemon.signal(signal.SIGTERM)
        daemon.wait_for("Ended 3 requests that were not done")
        self.assertEqual(daemon.stop(), 0)
        for connection, first in transfers:
            self.assertLess(len(first + read(connection)), SIZE)

    def test_grace(self) -> None:
        """Transfers that are not done when the grace is over are ended."""
        daemon = self.start("--grace", "1")
        self.under_way(daemon, 2)
        daemon.signal(signal.SIGTERM)
        daemon.wait_for("Ended 2 requests that were not done")
        self.assertEqual(daemon.stop(), 0)

    def test_pidfile(self) -> None:
        """Daemonised, the transfer is finished and the pidfile is removed."""
        root = self.folder / "root"
        root.mkdir()
        (root / "large.bin").write_bytes(bytes(SIZE))
        daemon = Background(self.folder, "--no-tls", "-d", str(root))
        self.addCleanup(daemon.close)
        connection = ask(daemon, daemon.url, "large.bin")
        self.addCleanup(connection.close)
        first = connection.recv(1)
        os.kill(daemon.pid, signal.SIGTERM)
        self.assertGreater(len(first + read(connection)), SIZE)
        self.assertTrue(daemon.wait_for_end())
        self.assertFalse(daemon.pidfile.exists())
        self.assertIn("Server Shut Down", daemon.log()[-1])
