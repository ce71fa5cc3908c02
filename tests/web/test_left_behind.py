"""Nothing of a connection outlives it, at whatever phase it ends: no reference cycle keeps it."""

from __future__ import annotations

import gc
import os
import socket
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred, DeferredQueue, inlineCallbacks
from twisted.internet.error import ConnectionDone
from twisted.internet.threads import deferToThread
from twisted.protocols.policies import WrappingFactory
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase, TestCase

from imgd.net.bulk_tls import tls_factory
from imgd.net.tls import SwappableContext, build_context
from tests.fakes import MemorySite, write
from tests.listening import listen
from tests.net.tls_case import client, made

POST = b"POST /unload HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
GET = b"GET /a.txt HTTP/1.1\r\nHost: localhost\r\n\r\n"
SLOW = b"GET /?format=json HTTP/1.1\r\nHost: localhost\r\n\r\n"
NOISE = b"n" * 800

# What was sent before the connection ended, by the phase that it was in.
PHASES = {
    "nothing": b"",
    "head": b"GET /" + NOISE,
    "fields": GET[:-2] + b"X: " + NOISE,
    "idle": GET,
    "idle after the tree": GET.replace(b"/a.txt", b"/health"),
    "body": POST + b"Content-Length: 60000\r\n\r\n" + NOISE * 60,
    "body dropped": GET[:-2] + b"Content-Length: 60000\r\n\r\n" + NOISE * 60,
    "size": CHUNKED + b"1;" + NOISE,
    "chunk": CHUNKED + b"f000\r\n" + NOISE * 60,
    "end of chunk": CHUNKED + b"320\r\n" + NOISE + b"\r",
    "trailer": CHUNKED + b"0\r\nX: " + NOISE,
    "head behind a body": CHUNKED + b"0\r\n\r\nGET /" + NOISE,
    "refused body": POST + b"Content-Length: 70000\r\n\r\n" + NOISE,
    "refused chunk": CHUNKED + b"fffff\r\n" + NOISE,
    "refused head": GET[:-2] + b"Host: b\r\n\r\n" + NOISE,
    "answer": SLOW,
    "pipelined": SLOW + GET + b"GET /" + NOISE,
    "pipelined body": SLOW + CHUNKED + b"f000\r\n" + NOISE * 30,
}


@contextmanager
def no_collector() -> Iterator[None]:
    """Without the collector, objects in a reference cycle stay."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


class LeftBehindTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.memory_site = MemorySite(os.path.realpath(self.mktemp()))
        write(os.path.join(self.memory_site.documents, "a.txt"), b"text of a")
        self.memory_site.blocking.held = True

    def run_connection(self, data: bytes, size: int) -> list[weakref.ref[Any]]:
        """Send this in pieces and end the connection; returns its channel and requests."""
        transport = self.memory_site.connect()
        for start in range(0, len(data), size):
            if not transport.disconnecting:
                transport.protocol.dataReceived(data[start : start + size])
        channel, transport.protocol = transport.protocol, None
        transport.producer = None  # as a socket's transport does it
        refs = [weakref.ref(channel), *map(weakref.ref, channel.requests)]
        channel.connectionLost(Failure(ConnectionDone()))
        self.memory_site.blocking.release()
        return refs

    def test_phases(self) -> None:
        """Once its connection is gone, everything of a channel is freed at once."""
        self.run_connection(SLOW + GET, 100)  # what is made only once
        with no_collector():
            for phase, data in PHASES.items():
                for size in (len(data) or 1, 1000):
                    with self.subTest(phase=phase, size=size):
                        refs = self.run_connection(data, size)
                        self.assertEqual([ref() for ref in refs], [None] * len(refs))

    def test_bytes(self) -> None:
        """A hundred connections in each phase leave no more objects than one."""
        with no_collector():
            for phase, data in PHASES.items():
                with self.subTest(phase=phase):
                    self.run_connection(data, 1000)
                    before = len(gc.get_objects())
                    for _ in range(100):
                        self.run_connection(data, 1000)
                    self.assertLess(len(gc.get_objects()) - before, 100)


class Watching(WrappingFactory):
    """Has a Deferred, in a tuple, for each channel of the site: it fires when that is freed."""

    def __init__(self, site: Any) -> None:
        super().__init__(site)
        self.freed: DeferredQueue[tuple[Deferred[None]]] = DeferredQueue()
        self._refs: list[weakref.ref[Any]] = []

    def buildProtocol(self, addr: Any) -> Any:
        channel, freed = self.wrappedFactory.buildProtocol(addr), Deferred[None]()
        self._refs.append(weakref.ref(channel, lambda _: freed.callback(None)))
        self.freed.put((freed,))
        return channel


class SocketTests(TestCase):
    timeout = 60

    @inlineCallbacks
    def test_sockets(self) -> Any:
        """So it is over sockets, plain, TLS, and plain on a TLS port, when the client leaves."""
        memory_site = MemorySite(os.path.realpath(self.mktemp()))
        write(os.path.join(memory_site.documents, "a.txt"), b"text of a")
        context = SwappableContext(build_context(made().pairs))
        for is_tls, speaks_tls in ((False, False), (True, True), (True, False)):
            watching = Watching(memory_site.site)
            served = tls_factory(context, watching, reactor) if is_tls else watching
            port = listen(self, served)
            with no_collector():
                for data in PHASES.values():
                    yield deferToThread(leave, port, data, is_tls=speaks_tls)
                    (freed,) = yield watching.freed.get()  # it may be accepted only now
                    yield freed


def leave(port: int, data: bytes, *, is_tls: bool) -> None:
    """Be a client that sends this and closes the connection."""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as raw:
        if not is_tls:
            raw.sendall(data)
            return
        with client().wrap_socket(raw, server_hostname="localhost") as wrapped:
            wrapped.sendall(data)
