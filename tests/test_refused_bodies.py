"""Who is refused while still sending reads the answer: no reset takes it back."""

from __future__ import annotations

import socket

from tests.daemons import PATIENCE, Daemon, DaemonCase, curl_process

MUCH = 100_000_000
HEAD = b"POST /unload HTTP/1.1\r\nHost: localhost\r\n"


class RefusedBodyTests(DaemonCase):
    def start(self, *options: str) -> Daemon:
        """A daemon on a plain port."""
        self.folder.joinpath("output").mkdir()
        return self.daemon("--no-tls", *options)

    def test_curl(self) -> None:
        """curl shows the status and the detail, though it had 100 MB to send."""
        daemon = self.start()
        much = self.folder / "much"
        with much.open("wb") as file:
            file.truncate(MUCH)
        json = "Content-Type: application/json"
        for fields, status in (
            ((json, "Expect:"), b"413"),
            ((json, "Expect:", "Transfer-Encoding: chunked"), b"413"),
            (("Expect:", "Authorization: Bearer no"), b"401"),
            (("Expect:", "X-Forwarded-For: 203.0.113.9"), b"403"),
            (("Expect:",), b"415"),
            ((json,), b"413"),
        ):
            headers = [part for field in fields for part in ("--header", field)]
            url, told = daemon.url + "unload", ["--write-out", " %{http_code}"]
            done = curl_process(*headers, "--data-binary", f"@{much}", *told, url)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertTrue(done.stdout.startswith(b'{"detail":'), done.stdout[:100])
            self.assertEqual(done.stdout[-3:], status)

    def test_bounded(self) -> None:
        """Who sends on regardless is cut off."""
        daemon = self.start()
        with socket.create_connection(("127.0.0.1", daemon.port), PATIENCE) as connection:
            connection.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % MUCH)
            with self.assertRaises(ConnectionError):
                while True:
                    connection.sendall(bytes(1 << 16))

    def test_silent(self) -> None:
        """Who neither sends nor closes is told that this was all, and closed by the deadline."""
        daemon = self.start()
        with socket.create_connection(("127.0.0.1", daemon.port), PATIENCE) as connection:
            connection.sendall(HEAD + b"Content-Length: 2\r\n\r\n")
            said = b""
            while piece := connection.recv(10_000):
                said += piece
            self.assertTrue(said.startswith(b"HTTP/1.1 415 "))
            daemon.wait_for("too slow: 1 to close")
