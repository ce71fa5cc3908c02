"""A server that does as badly as it is told: real sockets on the loopback, plain HTTP/1.1."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from treq.client import HTTPClient
from twisted.internet import reactor
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase

from imgd.client.api import Client
from imgd.client.discovery import Server
from imgd.client.errors import ClientError, Retrier
from imgd.client.session import HttpSession
from imgd.client.verification import ImageChecker
from imgd.core import messages
from imgd.core.messages import Health, Image

Deed = Callable[["FaultyConnection"], object]
CHUNK = 64 * 1024


class FaultyConnection(Protocol):
    """Reads a request up to its blank line, and does the next deed with it."""

    transport: Any

    server: FaultyServer

    def connectionMade(self) -> None:
        self.server.open.add(self)
        self.buffer = b""

    def dataReceived(self, data: bytes) -> None:
        self.buffer += data
        head, blank, _ = self.buffer.partition(b"\r\n\r\n")
        if blank:
            self.buffer = b""  # bodies of requests come with their heads here
            self.server.asked(head.decode("latin-1"), self)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.server.open.discard(self)
        if not self.server.open and self.server.waiting is not None:
            self.server.waiting.callback(None)
            self.server.waiting = None


class FaultyServer:
    """``deeds`` says what is done with requests in turn, the last for ever after."""

    def __init__(self, *deeds: Deed) -> None:
        self.deeds = list(deeds)
        self.requests: list[str] = []
        self.heads: list[str] = []
        self.open: set[FaultyConnection] = set()
        self.waiting: Deferred[None] | None = None
        self.heard: Deferred[None] = Deferred()
        factory = Factory.forProtocol(self._connection)
        factory.noisy = False
        listening: Any = reactor
        self._port = listening.listenTCP(0, factory, interface="127.0.0.1")
        self.url = f"http://127.0.0.1:{self._port.getHost().port}"

    def _connection(self) -> FaultyConnection:
        connection = FaultyConnection()
        connection.server = self
        return connection

    def asked(self, head: str, connection: FaultyConnection) -> None:
        self.heads.append(head)
        self.requests.append(" ".join(head.split()[:2]))
        deed = self.deeds.pop(0) if len(self.deeds) > 1 else self.deeds[0]
        deed(connection)
        if not self.heard.called:
            self.heard.callback(None)

    async def all_closed(self) -> None:
        """Wait until no connection is open."""
        if self.open:
            self.waiting = Deferred()
            await self.waiting

    def stop(self) -> Deferred[None]:
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        await maybeDeferred(self._port.stopListening)
        for connection in list(self.open):
            connection.transport.abortConnection()
        await self.all_closed()


def answer(
    body: bytes = b"", status: str = "200 OK", length: int | None = None, **headers: str
) -> Deed:
    """An answer; ``length`` is what it claims of its body, -1 nothing."""

    def deed(connection: FaultyConnection) -> None:
        lines = [f"HTTP/1.1 {status}"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        if length != -1:
            lines.append(f"Content-Length: {len(body) if length is None else length}")
        connection.transport.write("\r\n".join([*lines, "", ""]).encode() + body)

    return deed


def raw(data: bytes) -> Deed:
    return lambda connection: connection.transport.write(data)


def then_close(deed: Deed) -> Deed:
    def both(connection: FaultyConnection) -> None:
        deed(connection)
        connection.transport.loseConnection()

    return both


def reset(connection: FaultyConnection) -> None:
    """RST, before a byte."""
    connection.transport.abortConnection()


def stall(connection: FaultyConnection) -> None:
    """Never another byte."""


class _Flood:
    """Writes for as long as it is read."""

    def __init__(self, transport: Any, data: bytes) -> None:
        self._transport = transport
        self._data = data

    def resumeProducing(self) -> None:
        self._transport.write(self._data)

    def stopProducing(self) -> None:
        self._transport.unregisterProducer()


def endless(head: bytes, data: bytes = b"x" * CHUNK) -> Deed:
    """A head, and then data without end."""

    def deed(connection: FaultyConnection) -> None:
        connection.transport.write(head)
        connection.transport.registerProducer(_Flood(connection.transport, data), False)

    return deed


def hurried(clock: Clock) -> tuple[Retrier, list[str]]:
    """A retrier whose pauses pass at once, and what was tried again."""
    retried: list[str] = []

    def on_retry(error: ClientError, pause: float) -> None:
        retried.append(f"{pause:g} {error.detail}")
        reactor.callLater(0, clock.advance, pause)

    return Retrier(clock, on_retry, chance=lambda: 1.0), retried


def session_of(case: TestCase, url: str) -> HttpSession:
    """A session with real connections, closed when the test is over."""
    session = HttpSession(reactor, Server(url))
    case.addCleanup(session.close)
    return session


def client_of(
    case: TestCase, server: FaultyServer, clock: Clock, retrier: Retrier | None = None
) -> Client:
    """A Client with real connections and the test's clock, closed when the test is over."""
    treq = HTTPClient(session_of(case, server.url))
    return Client(treq, server.url, retrier or hurried(clock)[0], deadline=30.0)


def checker_of(
    case: TestCase,
    server: FaultyServer,
    clock: Clock,
    method: bytes = b"HEAD",
    retrier: Retrier | None = None,
) -> ImageChecker:
    """An ImageChecker with a real connection and the test's clock, closed after the test."""
    session = session_of(case, server.url)
    return ImageChecker(session, retrier or hurried(clock)[0], method, 30.0)


def image(server: FaultyServer, size: int, path: str = "/images/a.png") -> Image:
    """An image as a page announces it."""
    return Image(
        name="a.png",
        url=server.url + path,
        size=size,
        modified="2025-01-01T00:00:00Z",
        media_type="image/png",
    )


HEALTH = messages.encode(Health(version="1", uptime_seconds=1.0))
SIZE = 20


class FaultCase(TestCase):
    """A server with its deeds, and both ways of asking it."""

    timeout = 60

    def setUp(self) -> None:
        self.clock = Clock()

    def serve(self, *deeds: Deed) -> FaultyServer:
        server = FaultyServer(*deeds)
        self.addCleanup(server.stop)
        return server

    def check(
        self, server: FaultyServer, size: int = SIZE, method: bytes = b"HEAD"
    ) -> Deferred[None]:
        self.retrier, self.retried = hurried(self.clock)
        checker = checker_of(self, server, self.clock, method, self.retrier)
        return Deferred.fromCoroutine(checker.check(image(server, size)))

    def health(self, server: FaultyServer) -> Deferred[Health]:
        self.retrier, self.retried = hurried(self.clock)
        return client_of(self, server, self.clock, self.retrier).health()

    async def fails(self, asked: Awaitable[Any], kind: type[ClientError]) -> str:
        """The detail of the error, which must be of this kind."""
        try:
            await asked
        except ClientError as error:
            self.assertIsInstance(error, kind, error.detail)
            return error.detail
        raise AssertionError("nothing failed")
