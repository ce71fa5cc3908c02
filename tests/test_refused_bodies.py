"""A client that is refused while it sends can read the answer: no reset discards it."""

from __future__ import annotations

import socket

from tests.daemons import PATIENCE, DaemonCase, curl_process, shared_daemon

LARGE = 100_000_000  # bytes
HEAD = b"POST /unload HTTP/1.1\r\nHost: localhost\r\n"


class RefusedBodyTests(DaemonCase):
    def test_curl(self) -> None:
        """curl shows the status and the detail, though it had 100 MB to send."""
        daemon = shared_daemon("plain", "--no-tls")
        large = self.folder / "large"
        with large.open("wb") as file:
            file.truncate(LARGE)
        json = "Content-Type: application/json"
        for headers, status in (
            ((json, "Expect:"), b"413"),
            ((json, "Expect:", "Transfer-Encoding: chunked"), b"413"),
            (("Expect:", "Authorization: Bearer no"), b"401"),
            (("Expect:", "X-Forwarded-For: 203.0.113.9"), b"403"),
            (("Expect:",), b"415"),
            ((json,), b"413"),
        ):
            options = [part for header in headers for part in ("--header", header)]
            options += ["--write-out", " %{http_code}", "--data-binary", f"@{large}"]
            process = curl_process(*options, f"{daemon.url}unload")
            self.assertEqual(process.returncode, 0, process.stderr)
            self.assertTrue(process.stdout.startswith(b'{"detail":'), process.stdout[:100])
            self.assertEqual(process.stdout[-3:], status)

    def test_bounded(self) -> None:
        """A client that sends on regardless is cut off."""
        daemon = shared_daemon("plain", "--no-tls")
        with socket.create_connection(("127.0.0.1", daemon.port), PATIENCE) as connection:
            connection.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % LARGE)
            with self.assertRaises(ConnectionError):
                while True:
                    connection.sendall(bytes(1 << 16))

    def test_silent(self) -> None:
        """A client that neither sends nor closes reads the end, and is closed by the deadline."""
        daemon = self.daemon("--no-tls")
        with socket.create_connection(("127.0.0.1", daemon.port), PATIENCE) as connection:
            connection.sendall(HEAD + b"Content-Length: 2\r\n\r\n")
            answer = b""
            while piece := connection.recv(10_000):
                answer += piece
            self.assertTrue(answer.startswith(b"HTTP/1.1 415 "))
            daemon.wait_for("too slow: 1 to close")
