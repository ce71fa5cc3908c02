"""Clients that close their side after the request get the whole answer, over real sockets."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import socket
import ssl
import subprocess

from twisted.trial.unittest import SkipTest

from tests.daemons import PATIENCE, Daemon, DaemonCase, shared_daemon

SMALL = b"text of a"
LARGE = os.urandom(1 << 20) * 12
FOLDER_SIZE = 500  # files: listing them takes a while


def ask(path: str, headers: bytes = b"") -> bytes:
    return b"GET " + path.encode() + b" HTTP/1.1\r\nHost: localhost\r\n" + headers + b"\r\n"


def serve_files(daemon: Daemon) -> Daemon:
    """Give a daemon a small file, a large one, and a folder of many."""
    output = daemon.folder / "output"
    if not (output / "many").exists():
        (output / "many").mkdir()
        (output / "small.txt").write_bytes(SMALL)
        (output / "large.bin").write_bytes(LARGE)
        for number in range(FOLDER_SIZE):
            (output / "many" / f"{number}.png").touch()
    return daemon


def connect(daemon: Daemon) -> socket.socket:
    return socket.create_connection(("127.0.0.1", daemon.port), timeout=PATIENCE)


def digest(data: bytes) -> str:
    """A short word for many bytes."""
    return hashlib.sha256(data).hexdigest()


def read_to_end(connection: socket.socket) -> bytes:
    """Everything until the other end closes in good order."""
    pieces = []
    while piece := connection.recv(1 << 20):
        pieces.append(piece)
    return b"".join(pieces)


# Each input, and the bodies of its answers; a body of None may be any.
CASES: tuple[tuple[bytes, list[bytes | None]], ...] = (
    (ask("/small.txt"), [SMALL]),
    (ask("/large.bin"), [LARGE]),
    (ask("/many/?format=json"), [None]),
    (ask("/small.txt") * 3, [SMALL] * 3),
    (ask("/small.txt") + ask("/many/?format=json") + ask("/large.bin") + ask("/small.txt"),
     [SMALL, None, LARGE, SMALL]),
    (ask("/large.bin") + ask("/many/?format=json") * 2 + ask("/large.bin") + ask("/small.txt"),
     [LARGE, None, None, LARGE, SMALL]),
    (ask("/small.txt") + ask("/small.txt")[:-4], [SMALL]),  # half a request behind it
    (ask("/small.txt", b"Content-Length: 3\r\n") + b"abc" + ask("/small.txt"), [SMALL, SMALL]),
    (ask("/small.txt", b"Content-Length: 3\r\n") + b"ab", []),  # half a body
    (ask("/small.txt")[:-4], []),
    (b"", []),
)  # fmt: skip


class HalfClosedCase(DaemonCase):
    def check_answers(self, received: bytes, bodies: list[bytes | None]) -> None:
        """These answers and nothing else came, each with status 200 and of its whole length."""
        for body in bodies:
            head, _, received = received.partition(b"\r\n\r\n")
            self.assertTrue(head.startswith(b"HTTP/1.1 200 "), head[:80])
            length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
            self.assertGreaterEqual(len(received), length)
            if body is not None:
                self.assertEqual(digest(received[:length]), digest(body))
            received = received[length:]
        self.assertEqual(received, b"")


class PlainTests(HalfClosedCase):
    def start(self) -> Daemon:
        return serve_files(shared_daemon("plain", "--no-tls"))

    def test_half_closed(self) -> None:
        """Whole requests get whole answers, in order; half a request gets none."""
        daemon = self.start()
        for data, bodies in CASES:
            with self.subTest(data=data[-60:]), connect(daemon) as connection:
                connection.sendall(data)
                connection.shutdown(socket.SHUT_WR)
                self.check_answers(read_to_end(connection), bodies)

    def test_later(self) -> None:
        """The client may close its side during an answer, or after it."""
        daemon = self.start()
        for path, body in (("/large.bin", LARGE), ("/small.txt", SMALL)):
            with connect(daemon) as connection:
                connection.sendall(ask(path))
                beginning = connection.recv(1000)
                connection.shutdown(socket.SHUT_WR)
                self.check_answers(beginning + read_to_end(connection), [body])

    def test_stalled(self) -> None:
        """A client that does not read is ended by its deadline all the same."""
        daemon = serve_files(self.daemon("--no-tls", "--stall-timeout", "1"))
        with connect(daemon) as connection:
            connection.sendall(ask("/large.bin"))
            connection.shutdown(socket.SHUT_WR)
            daemon.wait_for("too slow: 1 to read an answer")

    def check_program(self, *command: str) -> None:
        """Send each input through a program that closes its side when its own input ends."""
        if shutil.which(command[0]) is None:
            raise SkipTest(f"there is no {command[0]} on this machine")
        port = str(self.start().port)
        filled = [part.replace("PORT", port) for part in command]
        for data, bodies in CASES:
            with self.subTest(data=data[-60:]):
                process = subprocess.run(
                    filled, input=data, capture_output=True, timeout=PATIENCE, check=False
                )
                self.check_answers(process.stdout, bodies)

    def test_nc(self) -> None:
        """``printf ... | nc -N``."""
        help_command = ["nc", "-h"] if shutil.which("nc") else ["echo"]
        process = subprocess.run(help_command, capture_output=True, check=False)
        if b"-N" not in process.stderr:
            raise SkipTest("nc has no option -N, or is not on this machine")
        self.check_program("nc", "-N", "127.0.0.1", "PORT")

    def test_socat(self) -> None:
        """``printf ... | socat -``."""
        self.check_program("socat", "-t", str(PATIENCE), "-", "TCP:127.0.0.1:PORT")


class TLSTests(HalfClosedCase):
    def start(self) -> Daemon:
        return serve_files(shared_daemon("tls"))

    def client(self, daemon: Daemon, version: ssl.TLSVersion) -> OverMemory:
        """A TLS connection of this version."""
        context = daemon.tls()
        context.minimum_version = context.maximum_version = version
        raw = connect(daemon)
        self.addCleanup(raw.close)
        return OverMemory(raw, context)

    def test_close_notify(self) -> None:
        """A client that sends close_notify and reads on gets whole answers and close_notify."""
        daemon = self.start()
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            for end_tcp in (False, True):
                for data, bodies in CASES:
                    with self.subTest(data=data[-60:], version=version, end_tcp=end_tcp):
                        client = self.client(daemon, version)
                        client.send(data, close_notify=True, end_tcp=end_tcp)
                        self.check_answers(client.read_to_end(), bodies)
                        self.assertTrue(client.received_close_notify)

    def test_bare_end(self) -> None:
        """So does a client whose TCP connection ends without close_notify: its requests were
        whole.
        """
        daemon = self.start()
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            for data, bodies in CASES:
                with self.subTest(data=data[-60:], version=version):
                    client = self.client(daemon, version)
                    client.send(data, close_notify=False, end_tcp=True)
                    self.check_answers(client.read_to_end(), bodies)
                    self.assertTrue(client.received_close_notify)

    def test_no_handshake(self) -> None:
        """The connection of a client that ends before its handshake is done is closed."""
        daemon = self.start()
        for data in (b"", b"\x16\x03\x01"):
            with connect(daemon) as raw:
                raw.sendall(data)
                raw.shutdown(socket.SHUT_WR)
                self.assertEqual(raw.recv(100), b"")


class OverMemory:
    """A TLS client that can send close_notify and read on, which Python's sockets cannot."""

    def __init__(self, raw: socket.socket, context: ssl.SSLContext) -> None:
        self.raw = raw
        self.received_close_notify = False
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._in, self._out, server_hostname="localhost")
        while True:
            try:
                self._tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                self._flush()
                self._in.write(raw.recv(65_536))
        self._flush()

    def _flush(self) -> None:
        if data := self._out.read():
            self.raw.sendall(data)

    def send(self, data: bytes, *, close_notify: bool, end_tcp: bool) -> None:
        """Send this, and close this side: of TLS, of TCP or of both."""
        if data:
            self._tls.write(data)
        if close_notify:
            with contextlib.suppress(ssl.SSLWantReadError):  # the other's has not come yet
                self._tls.unwrap()
        self._flush()
        if end_tcp:
            self.raw.shutdown(socket.SHUT_WR)

    def read_to_end(self) -> bytes:
        """Everything until the other end closes."""
        pieces = []
        while data := self.raw.recv(1 << 20):
            self._in.write(data)
            pieces += self._decrypted()
        return b"".join([*pieces, *self._decrypted()])

    def _decrypted(self) -> list[bytes]:
        pieces: list[bytes] = []
        while True:
            try:
                piece = self._tls.read(1 << 20)
            except ssl.SSLWantReadError:
                return pieces
            except ssl.SSLZeroReturnError:
                piece = b""
            if not piece:
                self.received_close_notify = True
                return pieces
            pieces.append(piece)
