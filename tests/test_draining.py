"""SIGTERM, as a service manager sends it: what is under way is finished, and nothing is left."""

from __future__ import annotations

import os
import signal
import socket
import ssl
from typing import Any

from tests import samples
from tests.daemons import PATIENCE, Background, Daemon, DaemonCase, curl_json

SIZE = 6_000_000  # bytes: far more than what sockets hold between them


def ask(daemon: Daemon, url: str, path: str) -> socket.socket:
    """A connection on which a file was asked for, and some of it has come."""
    port = int(url.rstrip("/").rpartition(":")[2])
    plain = socket.create_connection(("127.0.0.1", port), PATIENCE)
    if url.startswith("https:"):
        plain = daemon.tls().wrap_socket(plain, server_hostname="localhost")
    plain.sendall(b"GET /%b HTTP/1.1\r\nHost: localhost\r\n\r\n" % path.encode("ascii"))
    return plain


def read(connection: socket.socket) -> bytes:
    """Everything until the end, however it comes."""
    found = []
    try:
        while data := connection.recv(1 << 20):
            found.append(data)
    except (ConnectionError, ssl.SSLError):
        pass
    return b"".join(found)


class DrainTests(DaemonCase):
    def start(self, *options: str) -> Daemon:
        root = self.folder / "root"
        root.mkdir()
        (root / "big.bin").write_bytes(os.urandom(SIZE))
        return self.daemon("--http-port", "0", "-d", str(root), *options)

    def under_way(self, daemon: Daemon, count: int) -> list[tuple[socket.socket, bytes]]:
        """Transfers of which the first bytes have come, over both listeners."""
        urls = (daemon.url, daemon.http_url)
        asked = [ask(daemon, urls[n % 2], "big.bin") for n in range(count)]
        for connection in asked:
            self.addCleanup(connection.close)
        return [(connection, connection.recv(1)) for connection in asked]

    def test_200_transfers(self) -> None:
        """200 transfers under way, half of them over TLS: none fails; then the exit status is 0."""
        samples.frames(self.folder / "frames")
        daemon = self.start("--allow-root", str(self.folder))
        idle = socket.create_connection(("127.0.0.1", int(daemon.http_url[:-1].split(":")[-1])))
        self.addCleanup(idle.close)
        idle.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
        self.assertIn(b"200 OK", idle.recv(65536))
        body = b'{"directory": "%b"}' % os.fsencode(self.folder / "frames")
        loaded = curl_json(
            *("-H", "Content-Type: application/json", "-d", body.decode("ascii")),
            f"{daemon.http_url}load-directory",
        )
        self.assertEqual(loaded["status"], "success")
        transfers = self.under_way(daemon, 200)
        daemon.signal(signal.SIGTERM)
        daemon.wait_for("stopping when transfers under way are done")
        self.assertEqual(idle.recv(1), b"", "an idle connection is closed")
        expected = (self.folder / "root" / "big.bin").read_bytes()
        whole = 0
        for connection, first in transfers:
            answer = first + read(connection)
            whole += answer.partition(b"\r\n\r\n")[2] == expected
            connection.close()
        self.assertEqual(whole, 200)
        self.assertEqual(daemon.stop(), 0)
        self.assertFalse([line for line in daemon.lines if "Traceback" in line or "ended" in line])
        again = self.daemon("--http-port", "0")
        self.assertTrue(any("Restored current" in line for line in again.lines))

    def test_nobody_gets_in(self) -> None:
        """While it drains, nobody gets in."""
        daemon = self.start()
        [(held, _)] = self.under_way(daemon, 1)
        daemon.signal(signal.SIGTERM)
        daemon.wait_for(r"Port \d+ Closed")
        daemon.wait_for(r"Port \d+ Closed")
        with self.assertRaises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", daemon.port), PATIENCE)
        read(held)
        self.assertEqual(daemon.stop(), 0)

    def test_second_signal(self) -> None:
        """A second SIGTERM ends it at once, with status 0, and says how many were not done."""
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
        """What is not done when the grace is over is ended."""
        daemon = self.start("--grace", "1")
        self.under_way(daemon, 2)
        daemon.signal(signal.SIGTERM)
        daemon.wait_for("Ended 2 requests that were not done")
        self.assertEqual(daemon.stop(), 0)

    def test_pidfile(self) -> None:
        """Daemonised, the pidfile is gone in the end, transfer or not."""
        root = self.folder / "root"
        root.mkdir()
        (root / "big.bin").write_bytes(bytes(SIZE))
        daemon: Any = Background(self.folder, "--no-tls", "-d", str(root))
        self.addCleanup(daemon.close)
        held = ask(daemon, daemon.url, "big.bin")
        self.addCleanup(held.close)
        first = held.recv(1)
        os.kill(daemon.pid, signal.SIGTERM)
        self.assertGreater(len(first + read(held)), SIZE)
        self.assertTrue(daemon.wait_for_end())
        self.assertFalse(daemon.pidfile.exists())
        self.assertIn("Server Shut Down", daemon.log()[-1])
