"""Clients that close their side when they have asked get their whole answer, over real sockets."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import socket
import ssl
import subprocess

from twisted.trial.unittest import SkipTest

from tests.daemons import PATIENCE, Daemon, DaemonCase

SMALL = b"text of a"
LARGE = os.urandom(1 << 20) * 12
NAMES = 500


def ask(path: str, fields: bytes = b"") -> bytes:
    """A request."""
    return b"GET " + path.encode() + b" HTTP/1.1\r\nHost: localhost\r\n" + fields + b"\r\n"


class HalfClosedCase(DaemonCase):
    OPTIONS: tuple[str, ...] = ()

    def start(self, *options: str) -> Daemon:
        """A daemon with a small file, a large one, and a folder that takes a while to list."""
        documents = self.folder / "documents"
        (documents / "many").mkdir(parents=True)
        (documents / "a.txt").write_bytes(SMALL)
        (documents / "large.bin").write_bytes(LARGE)
        for number in range(NAMES):
            (documents / "many" / f"{number}.png").touch()
        return self.daemon("--images-dir", str(documents), *self.OPTIONS, *options)

    def connect(self, daemon: Daemon) -> socket.socket:
        """A connection."""
        return socket.create_connection(("127.0.0.1", daemon.port), timeout=PATIENCE)

    def judge(self, said: bytes, bodies: list[bytes | None]) -> None:
        """So many answers, all 200, each of its whole length; a body of None is any."""
        for body in bodies:
            head, _, said = said.partition(b"\r\n\r\n")
            self.assertTrue(head.startswith(b"HTTP/1.1 200 "), head[:80])
            length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
            self.assertGreaterEqual(len(said), length)
            if body is not None:
                self.assertEqual(digest(said[:length]), digest(body))
            said = said[length:]
        self.assertEqual(said, b"")


def digest(data: bytes) -> str:
    """A short word for many bytes."""
    return hashlib.sha256(data).hexdigest()


def rest_of(connection: socket.socket) -> bytes:
    """What comes until the other end closes in good order."""
    pieces = []
    while piece := connection.recv(1 << 20):
        pieces.append(piece)
    return b"".join(pieces)


# What is asked, and the bodies of the answers.
ASKED: tuple[tuple[bytes, list[bytes | None]], ...] = (
    (ask("/a.txt"), [SMALL]),
    (ask("/large.bin"), [LARGE]),
    (ask("/many/?format=json"), [None]),
    (ask("/a.txt") * 3, [SMALL] * 3),
    (ask("/a.txt") + ask("/many/?format=json") + ask("/large.bin") + ask("/a.txt"),
     [SMALL, None, LARGE, SMALL]),
    (ask("/large.bin") + ask("/many/?format=json") * 2 + ask("/large.bin") + ask("/a.txt"),
     [LARGE, None, None, LARGE, SMALL]),
    (ask("/a.txt") + ask("/a.txt")[:-4], [SMALL]),  # half a request behind it
    (ask("/a.txt", b"Content-Length: 3\r\n") + b"abc" + ask("/a.txt"), [SMALL, SMALL]),
    (ask("/a.txt", b"Content-Length: 3\r\n") + b"ab", []),  # half a body
    (ask("/a.txt")[:-4], []),
    (b"", []),
)  # fmt: skip


class PlainTests(HalfClosedCase):
    OPTIONS = ("--no-tls",)

    def test_half_closed(self) -> None:
        """Whole answers to whole requests, in order, then the end; nothing to half of one."""
        daemon = self.start()
        for asked, bodies in ASKED:
            with self.subTest(asked=asked[-60:]), self.connect(daemon) as connection:
                connection.sendall(asked)
                connection.shutdown(socket.SHUT_WR)
                self.judge(rest_of(connection), bodies)

    def test_later(self) -> None:
        """The end may come while an answer is on its way, or when it is over."""
        daemon = self.start()
        with self.connect(daemon) as connection:
            connection.sendall(ask("/large.bin"))
            begun = connection.recv(1000)
            connection.shutdown(socket.SHUT_WR)
            self.judge(begun + rest_of(connection), [LARGE])
        with self.connect(daemon) as connection:
            connection.sendall(ask("/a.txt"))
            said = connection.recv(10_000)
            connection.shutdown(socket.SHUT_WR)
            self.judge(said + rest_of(connection), [SMALL])

    def test_stalled(self) -> None:
        """One that does not read is ended by its deadline all the same."""
        daemon = self.start("--stall-timeout", "1")
        with self.connect(daemon) as connection:
            connection.sendall(ask("/large.bin"))
            connection.shutdown(socket.SHUT_WR)
            daemon.wait_for("too slow: 1 to read an answer")

    def tool(self, *command: str) -> None:
        """Each of what is asked, through a program that ends its side when its input ends."""
        if shutil.which(command[0]) is None:
            raise SkipTest(f"there is no {command[0]} on this machine")
        daemon = self.start()
        filled = [part.replace("PORT", str(daemon.port)) for part in command]
        for asked, bodies in ASKED:
            with self.subTest(asked=asked[-60:]):
                done = subprocess.run(
                    filled, input=asked, capture_output=True, timeout=PATIENCE, check=False
                )
                self.judge(done.stdout, bodies)

    def test_nc(self) -> None:
        """``printf ... | nc -N``."""
        help_of_nc = ["nc", "-h"] if shutil.which("nc") else ["echo"]
        told = subprocess.run(help_of_nc, capture_output=True, check=False)
        if b"-N" not in told.stderr:
            raise SkipTest("nc has no option -N, or is not on this machine")
        self.tool("nc", "-N", "127.0.0.1", "PORT")

    def test_socat(self) -> None:
        """``printf ... | socat -``."""
        self.tool("socat", "-t", str(PATIENCE), "-", "TCP:127.0.0.1:PORT")


class TLSTests(HalfClosedCase):
    def client(self, daemon: Daemon, version: ssl.TLSVersion) -> OverMemory:
        """A TLS connection of this version."""
        context = daemon.tls()
        context.minimum_version = context.maximum_version = version
        raw = self.connect(daemon)
        self.addCleanup(raw.close)
        return OverMemory(raw, context)

    def test_farewell(self) -> None:
        """A client that says close_notify, and reads on, gets its whole answers and a farewell."""
        daemon = self.start()
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            for at_once in (False, True):
                for asked, bodies in ASKED:
                    with self.subTest(asked=asked[-60:], version=version, at_once=at_once):
                        client = self.client(daemon, version)
                        client.say(asked, farewell=True, end=at_once)
                        self.judge(client.rest(), bodies)
                        self.assertTrue(client.was_bidden_farewell)

    def test_bare_end(self) -> None:
        """One whose TCP connection ends without close_notify does too: its requests were whole."""
        daemon = self.start()
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            for asked, bodies in ASKED:
                with self.subTest(asked=asked[-60:], version=version):
                    client = self.client(daemon, version)
                    client.say(asked, farewell=False, end=True)
                    self.judge(client.rest(), bodies)
                    self.assertTrue(client.was_bidden_farewell)

    def test_no_handshake(self) -> None:
        """A client that ends before, or in the midst of, its handshake is closed."""
        daemon = self.start()
        for said in (b"", b"\x16\x03\x01"):
            with self.connect(daemon) as raw:
                raw.sendall(said)
                raw.shutdown(socket.SHUT_WR)
                self.assertEqual(raw.recv(100), b"")


class OverMemory:
    """A TLS client that can say farewell and read on, which Python's sockets cannot."""

    def __init__(self, raw: socket.socket, context: ssl.SSLContext) -> None:
        self.raw = raw
        self.was_bidden_farewell = False
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

    def say(self, data: bytes, *, farewell: bool, end: bool) -> None:
        """Send this, and close this side: of TLS, of TCP or of both."""
        if data:
            self._tls.write(data)
        if farewell:
            with contextlib.suppress(ssl.SSLWantReadError):  # the other end's farewell has not come
                self._tls.unwrap()
        self._flush()
        if end:
            self.raw.shutdown(socket.SHUT_WR)

    def rest(self) -> bytes:
        """What comes until the other end closes."""
        pieces = []
        while data := self.raw.recv(1 << 20):
            self._in.write(data)
            pieces += self._decrypted()
        return b"".join([*pieces, *self._decrypted()])

    def _decrypted(self) -> list[bytes]:
        pieces = []
        while True:
            try:
                piece = self._tls.read(1 << 20)
            except ssl.SSLWantReadError:
                return pieces
            except ssl.SSLZeroReturnError:
                piece = b""
            if not piece:
                self.was_bidden_farewell = True
                return pieces
            pieces.append(piece)
