"""Nobody can write a traceback into the log by what is sent to a TLS port, at any stage."""

from __future__ import annotations

import contextlib
import random
import shutil
import socket
import ssl
import struct
import subprocess
from collections.abc import Iterator
from typing import Any, cast

from twisted.internet import reactor
from twisted.internet.defer import inlineCallbacks
from twisted.internet.interfaces import IReactorTime
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import SkipTest

from imgd.net.bulk_tls import tls_factory
from imgd.net.tls import SwappableContext, build_context
from tests.daemons import PATIENCE, DaemonCase
from tests.net.tls_case import (
    TIMEOUT,
    AnsweringFactory,
    ListenerCase,
    client,
    connected,
    exchange,
    listen,
    logged_events,
    made,
)

VERSIONS = (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)
CLOSE_NOTIFY = b"\x15\x03\x01\x00\x02\x01\x00"
DESCRIPTIONS = (*range(0, 121, 5), 21, 42, 43, 46, 48, 51, 71, 86, 112, 116, 255)  # RFC 8446, 6
JUNK = (
    *(b"", b"\0" * 100, b"\x16", b"\x16\x03\x01\xff\xff", b"\x80\x2e\x01\x03\x01", b"\xff" * 20),
    *(b"\x17\x03\x03\x00\x05hello", b"\x14\x03\x03\x00\x01\x01", b"SSH-2.0-x\r\n"),
    *(b"\x16\x03\x03\x00\x04\x00\x00\x00\x00", b"\x16\x03\x03\x00\x04\x01\x00\x00\x00"),
    *(b"\x18\x03\x03\x00\x03\x01\x40\x00", b"\x15\x03\x03\x00\x00", b"\x15\x03\x03\x00\x01\x01"),
)


def alerts() -> Iterator[bytes]:
    for level in (1, 2, 7):
        for description in DESCRIPTIONS:
            yield b"\x15\x03\x03" + struct.pack(">HBB", 2, level, description)


class Talk:
    """A TLS client whose every byte the test sends itself."""

    def __init__(self, port: int, version: ssl.TLSVersion) -> None:
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        context = client(minimum_version=version, maximum_version=version)
        self._tls = context.wrap_bio(self._in, self._out, server_hostname="localhost")
        self.socket = socket.create_connection(("127.0.0.1", port), TIMEOUT)

    def next_flight(self) -> bytes:
        """What the client sends next; b"" if it waits for the server."""
        with contextlib.suppress(ssl.SSLWantReadError):
            self._tls.do_handshake()
        return self._out.read()

    def receive(self) -> None:
        self._in.write(self.socket.recv(1 << 16))

    def handshake(self) -> bytes:
        """Everything up to the client's last flight, which is not sent."""
        self.socket.sendall(self.next_flight())
        flight = b""
        while not flight:
            self.receive()
            flight = self.next_flight()
        return flight

    def end(self) -> None:
        with self.socket as connection:
            try:
                connection.shutdown(socket.SHUT_WR)
                while connection.recv(1 << 16):
                    pass
            except OSError:
                pass  # reset: as good an end as any


def send(port: int, data: bytes) -> None:
    talk = Talk(port, ssl.TLSVersion.TLSv1_3)
    talk.socket.sendall(data)
    talk.end()


class HandshakeTests(ListenerCase):
    """Every log event is checked; trial itself fails a test that logs an error."""

    def setUp(self) -> None:
        self.factory = AnsweringFactory()
        context = SwappableContext(build_context(made().pairs))
        factory = tls_factory(context, self.factory, cast(IReactorTime, reactor))
        self.port = listen(self, factory)
        self.events = logged_events(self)

    def check(self, *work: Any) -> Any:
        return deferToThread(*work).addCallback(lambda _: self.still_serves())

    @inlineCallbacks
    def still_serves(self) -> Any:
        def ask() -> bytes:
            with connected(self.port, client()) as wrapped:
                return exchange(wrapped)

        answer = yield deferToThread(ask)
        self.assertTrue(answer.startswith(b"HTTP/1.1 200"))
        self.assertEqual([event for event in self.events if "log_failure" in event], [])

    def test_first_bytes(self) -> Any:
        """Alerts, close_notify among them, and other bytes in place of a handshake."""

        def work() -> None:
            for data in (CLOSE_NOTIFY, *alerts(), *JUNK):
                send(self.port, data)

        return self.check(work)

    def test_after_hello(self) -> Any:
        """The same after the client's hello, whole and cut, in both versions."""

        def work() -> None:
            for version in VERSIONS:
                for data in (*alerts(), *JUNK):
                    talk = Talk(self.port, version)
                    hello = talk.next_flight()
                    talk.socket.sendall(hello)
                    talk.receive()
                    talk.socket.sendall(data)
                    talk.end()
                for cut in range(0, len(hello), 29):
                    send(self.port, hello[:cut] + CLOSE_NOTIFY)

        return self.check(work)

    def test_last_flight(self) -> Any:
        """The same before and behind the client's last flight, in place of it, and cut."""

        def work() -> None:
            for version in VERSIONS:
                for data in (CLOSE_NOTIFY, *JUNK, b"GET / HTTP/1.1\r\n\r\n"):
                    for make in (
                        lambda last, data: data + last,
                        lambda last, data: last + data,
                        lambda last, data: data,
                        lambda last, data: last[: len(last) // 2] + data,
                    ):
                        talk = Talk(self.port, version)
                        talk.socket.sendall(make(talk.handshake(), data))
                        talk.end()

        return self.check(work)

    def test_damaged_hello(self) -> Any:
        """A hello with any bytes of it changed."""
        chance = random.Random(1)

        def work() -> None:
            for number in range(200):
                talk = Talk(self.port, VERSIONS[number % 2])
                hello = bytearray(talk.next_flight())
                for _ in range(chance.randint(1, 4)):
                    hello[chance.randrange(len(hello))] = chance.randrange(256)
                talk.socket.sendall(hello)
                talk.end()

        return self.check(work)

    @inlineCallbacks
    def test_renegotiation(self) -> Any:
        """A client of TLS 1.2 that asks for another handshake is refused."""
        if shutil.which("openssl") is None:
            raise SkipTest("no openssl here")
        command = ["openssl", "s_client", "-tls1_2", "-connect", f"127.0.0.1:{self.port}"]
        done = yield deferToThread(
            subprocess.run, command, input=b"R\n", capture_output=True, timeout=TIMEOUT, check=False
        )
        self.assertIn(b"RENEGOTIATING", done.stdout + done.stderr)
        self.assertIn(b"no renegotiation", done.stdout + done.stderr)
        yield self.still_serves()


class DaemonTests(DaemonCase):
    def test_log(self) -> None:
        """Seven bytes by hand, and aria2c with 16 connections, leave no line in a daemon's log."""
        daemon = self.daemon()
        (self.folder / "output" / "large.bin").write_bytes(bytes(20 << 20))
        for _ in range(3):
            with socket.create_connection(("127.0.0.1", daemon.port), PATIENCE) as connection:
                connection.sendall(CLOSE_NOTIFY)
                while connection.recv(100):  # an alert, and the end
                    pass
        if shutil.which("aria2c") is not None:
            command = ["aria2c", "-q", "-x16", "-k1M", f"--ca-certificate={daemon.ca}"]
            subprocess.run(
                [*command, daemon.url + "large.bin"], cwd=self.folder, check=True, timeout=PATIENCE
            )
            self.assertEqual((self.folder / "large.bin").read_bytes(), bytes(20 << 20))
        before = len(daemon.lines)
        daemon.stop()
        self.assertNotIn("Traceback", "\n".join(daemon.lines))
        self.assertEqual([line for line in daemon.lines[before:] if "Error" in line], [])
