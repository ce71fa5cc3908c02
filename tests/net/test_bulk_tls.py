"""TLS in bulk: every byte in order, whatever the size, and bounded buffers."""

from __future__ import annotations

import hashlib
import os
import socket
import ssl
from typing import Any, cast

from OpenSSL import SSL
from twisted.internet import reactor
from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.interfaces import (
    IOpenSSLClientConnectionCreator,
    IOpenSSLServerConnectionCreator,
    IPushProducer,
    IReactorTime,
)
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.internet.threads import deferToThread
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.test.iosim import FakeTransport, connect
from twisted.trial.unittest import SynchronousTestCase, TestCase
from zope.interface import implementer

from imgd.net import tcp
from imgd.net.bulk_tls import BULK, tls_factory
from imgd.net.idle_buffers import CHECK_EVERY
from imgd.net.tls import SwappableContext, build_context
from tests.net.tls_case import TIMEOUT, client, connected, listen, made

BODY = os.urandom(1 << 20) * 3
SIZES = (0, 1, 16384, 16385, BULK, BULK + 1, len(BODY))


class Talk(Protocol):
    """Answers the line ``N`` with that many bytes of the body, and obeys ``abort``, ``close`` and
    ``produce``.
    """

    factory: TalkFactory
    transport: Any

    def __init__(self) -> None:
        self.lost: Deferred[Any] = Deferred()
        self.received = b""

    def connectionMade(self) -> None:
        self.factory.made.append(self)
        if greeting := self.factory.greeting:
            self.transport.write(greeting)

    def dataReceived(self, data: bytes) -> None:
        self.received += data
        while b"\n" in self.received:
            line, _, self.received = self.received.partition(b"\n")
            if line == b"abort":
                self.transport.abortConnection()
            elif line == b"close":
                self.transport.write(b"bye")
                self.transport.loseConnection()
            elif line == b"produce":
                Endless(self.transport)
            else:
                self.transport.write(BODY[: int(line)])

    def connectionLost(self, reason: Any = None) -> None:
        self.lost.callback(None)


@implementer(IPushProducer)
class Endless:
    """Writes as much as is taken, without end."""

    def __init__(self, transport: Any) -> None:
        self.transport = transport
        self.is_paused = False
        transport.registerProducer(self, True)
        self.resumeProducing()

    def resumeProducing(self) -> None:
        self.is_paused = False
        while not self.is_paused:
            if not self.transport.write_some(BODY):
                self.transport.give_way()

    def pauseProducing(self) -> None:
        self.is_paused = True

    def stopProducing(self) -> None:
        self.is_paused = True


class TalkFactory(Factory[Talk]):
    protocol = Talk
    noisy = False

    def __init__(self, greeting: bytes = b"") -> None:
        self.made: list[Talk] = []
        self.greeting = greeting


def read(wrapped: ssl.SSLSocket, length: int) -> bytes:
    received = bytearray()
    while len(received) < length and (data := wrapped.recv(1 << 16)):
        received += data
    return bytes(received)


def read_to_end(port: int, request: bytes) -> bytes:
    """The answer to its end, which must be TLS's own: a bare end of the TCP connection raises."""
    with connected(port, client(), suppress_ragged_eofs=False) as wrapped:
        wrapped.sendall(request)
        return read(wrapped, len(BODY) + 1)


class SocketTests(TestCase):
    timeout = 60

    def serve(self, greeting: bytes = b"") -> int:
        return self.serve_with(cast(IReactorTime, reactor), greeting)

    def serve_with(self, clock: IReactorTime, greeting: bytes = b"") -> int:
        self.context = SwappableContext(build_context(made().pairs))
        self.factory = TalkFactory(greeting)
        return listen(self, tls_factory(self.context, self.factory, clock))

    @inlineCallbacks
    def test_sizes(self) -> Any:
        """Writes of every size arrive whole and in order, in both versions of TLS."""
        port = self.serve()

        def ask(version: ssl.TLSVersion) -> list[bool]:
            context = client(minimum_version=version, maximum_version=version)
            with connected(port, context) as wrapped:
                wrapped.sendall(b"".join(b"%d\n" % size for size in SIZES))
                return [read(wrapped, size) == BODY[:size] for size in SIZES]

        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            self.assertEqual((yield deferToThread(ask, version)), [True] * len(SIZES))

    @inlineCallbacks
    def test_before_the_handshake(self) -> Any:
        """What is written before the handshake is done is sent after it."""
        port = self.serve(greeting=BODY[: BULK * 2 + 5])

        def ask() -> bytes:
            with connected(port, client()) as wrapped:
                return read(wrapped, BULK * 2 + 5)

        self.assertEqual((yield deferToThread(ask)), BODY[: BULK * 2 + 5])

    @inlineCallbacks
    def test_many_records_in(self) -> Any:
        """A long run of requests in many records is read to its end."""
        port = self.serve()

        def ask() -> bytes:
            with connected(port, client()) as wrapped:
                wrapped.sendall(b"1\n" * 50_000)
                return read(wrapped, 50_000)

        self.assertEqual((yield deferToThread(ask)), BODY[:1] * 50_000)

    @inlineCallbacks
    def test_close(self) -> Any:
        """A close is announced by TLS, after the last byte."""
        port = self.serve()
        self.assertEqual((yield deferToThread(read_to_end, port, b"close\n")), b"bye")
        yield self.factory.made[0].lost

    @inlineCallbacks
    def test_abort(self) -> Any:
        """An abort is no clean end."""
        port = self.serve()
        with self.assertRaises(OSError):
            yield deferToThread(read_to_end, port, b"3000000\nabort\n")
        yield self.factory.made[0].lost

    @inlineCallbacks
    def test_abort_while_idle(self) -> Any:
        """Nor is one of a connection with nothing on its way: TLS does not announce it."""
        port = self.serve()

        def ask() -> bytes:
            with connected(port, client(), suppress_ragged_eofs=False) as wrapped:
                wrapped.sendall(b"3\n")
                self.assertEqual(read(wrapped, 3), BODY[:3])
                wrapped.sendall(b"abort\n")
                return read(wrapped, 1)

        with self.assertRaises(OSError):
            yield deferToThread(ask)
        yield self.factory.made[0].lost

    @inlineCallbacks
    def test_idle(self) -> Any:
        """A connection that gave its buffers back while it was idle goes on as before."""
        clock = Clock()
        port = self.serve_with(clock)

        def ask(wrapped: ssl.SSLSocket, size: int) -> bool:
            wrapped.sendall(b"%d\n" % size)
            return read(wrapped, size) == BODY[:size]

        raw = socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT)
        wrapped = yield deferToThread(client().wrap_socket, raw, server_hostname="localhost")
        for size in (100_000, 5, 300_000, 20_000):
            self.assertTrue((yield deferToThread(ask, wrapped, size)))
            before = self.factory.made[0].transport.getHandle()._from_ssl
            clock.pump([CHECK_EVERY] * 3)
            after = self.factory.made[0].transport.getHandle()._from_ssl
            self.assertEqual(before != after, size > 1000)
            self.assertEqual(clock.getDelayedCalls(), [])
        self.assertTrue((yield deferToThread(ask, wrapped, 100_000)))
        wrapped.close()
        yield self.factory.made[0].lost
        self.assertEqual(clock.getDelayedCalls(), [])

    @inlineCallbacks
    def test_first_answer(self) -> Any:
        """The first large write after a rest leaves no buffer behind, those that follow do."""
        clock = Clock()
        port = self.serve_with(clock)

        def ask(wrapped: ssl.SSLSocket) -> bytes:
            wrapped.sendall(b"20000\n")
            return read(wrapped, 20_000)

        raw = socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT)
        wrapped = yield deferToThread(client().wrap_socket, raw, server_hostname="localhost")
        kept = []
        for _ in range(3):
            self.assertEqual((yield deferToThread(ask, wrapped)), BODY[:20_000])
            kept.append(self.factory.made[0].transport.getHandle()._from_ssl)
        self.assertEqual(kept[1], kept[0])
        self.assertEqual(kept[2], kept[0])
        clock.pump([CHECK_EVERY] * 3)
        self.assertEqual((yield deferToThread(ask, wrapped)), BODY[:20_000])
        self.assertNotEqual(self.factory.made[0].transport.getHandle()._from_ssl, kept[0])
        wrapped.close()
        yield self.factory.made[0].lost
        self.assertEqual(clock.getDelayedCalls(), [])

    @inlineCallbacks
    def test_slow_reader(self) -> Any:
        """A client that does not read leaves no more than a bulk in the transport."""
        port = self.serve()
        raw = socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT)
        wrapped = yield deferToThread(client().wrap_socket, raw, server_hostname="localhost")
        self.addCleanup(wrapped.close)
        yield deferToThread(wrapped.sendall, b"produce\n")
        talk = self.factory.made[0]
        while not (talk.transport.transport and tcp.waiting(talk.transport.transport)):
            yield self.turn()
        for _ in range(5):
            yield self.turn()
        self.assertLess(float(tcp.waiting(talk.transport.transport)), BULK * 1.01)
        expected = hashlib.sha256(BODY).digest()
        received = yield deferToThread(read, wrapped, len(BODY))
        self.assertEqual(hashlib.sha256(received[: len(BODY)]).digest(), expected)
        talk.transport.abortConnection()
        yield talk.lost

    @staticmethod
    def turn() -> Deferred[None]:
        done: Deferred[None] = Deferred()
        cast(IReactorTime, reactor).callLater(0, done.callback, None)
        return done

    @inlineCallbacks
    def test_resumption(self) -> Any:
        """A ticket resumes a session until the context is swapped; then the client starts anew."""
        port = self.serve()

        def ask(context: ssl.SSLContext, session: Any) -> tuple[bool, Any]:
            with connected(port, context, session=session) as wrapped:
                wrapped.sendall(b"3\n")
                self.assertEqual(read(wrapped, 3), BODY[:3])
                return bool(wrapped.session_reused), wrapped.session

        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            context = client(minimum_version=version, maximum_version=version)
            reused, session = yield deferToThread(ask, context, None)
            self.assertFalse(reused)
            reused, session = yield deferToThread(ask, context, session)
            self.assertTrue(reused)
            self.context.swap(build_context(made().pairs))
            reused, _ = yield deferToThread(ask, context, session)
            self.assertFalse(reused)


class AnyTransportTests(SynchronousTestCase):
    def test_in_memory(self) -> None:
        """It works over a transport that is no socket, with Twisted's own client."""

        @implementer(IOpenSSLServerConnectionCreator)
        class Server:
            def serverConnectionForTLS(self, _protocol: object) -> SSL.Connection:
                return SSL.Connection(build_context(made().pairs), None)

        @implementer(IOpenSSLClientConnectionCreator)
        class Client:
            def clientConnectionForTLS(self, _protocol: object) -> SSL.Connection:
                return SSL.Connection(SSL.Context(SSL.TLS_CLIENT_METHOD), None)

        class Asking(Protocol):
            transport: Any
            received = b""

            def connectionMade(self) -> None:
                self.transport.write(b"300000\n")

            def dataReceived(self, data: bytes) -> None:
                self.received += data

        server = tls_factory(Server(), TalkFactory(), Clock()).buildProtocol(None)
        asking = Asking()
        wrapped = Factory.forProtocol(lambda: asking)
        clock = Clock()
        other = TLSMemoryBIOFactory(Client(), True, wrapped, clock).buildProtocol(None)
        pump = connect(server, FakeTransport(server, True), other, FakeTransport(other, False))
        for _ in range(3):
            clock.advance(0)
            pump.flush()
        self.assertEqual(asking.received, BODY[:300_000])
