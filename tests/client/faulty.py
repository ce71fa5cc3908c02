"""A server that does as badly as it is told: real sockets on the loopback, plain HTTP/1.1."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase

from imgd.client import discovery
from imgd.client.agents import treq_client
from imgd.client.api import Client
from imgd.client.line import Line, endpoints
from imgd.client.retry import Patience, RetryPolicy
from imgd.client.trust import policy
from imgd.client.verify import Checker
from imgd.core.messages import Image

Deed = Callable[["Connection"], object]
CHUNK = 64 * 1024


class Connection(Protocol):
    """Reads a request up to its blank line, and does the next deed with it."""

    server: Server

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


class Server:
    """``deeds`` says what is done with requests in turn, the last for ever after."""

    def __init__(self, *deeds: Deed) -> None:
        self.deeds = list(deeds)
        self.requests: list[str] = []
        self.heads: list[str] = []
        self.open: set[Connection] = set()
        self.waiting: Deferred[None] | None = None
        self.heard: Deferred[None] = Deferred()
        factory = Factory.forProtocol(self._connection)
        factory.noisy = False
        self._port = reactor.listenTCP(0, factory, interface="127.0.0.1")
        self.url = f"http://127.0.0.1:{self._port.getHost().port}"

    def _connection(self) -> Connection:
        connection = Connection()
        connection.server = self
        return connection

    def asked(self, head: str, connection: Connection) -> None:
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

    async def stop(self) -> None:
        await maybeDeferred(self._port.stopListening)
        for connection in list(self.open):
            connection.transport.abortConnection()
        await self.all_closed()


def answer(
    body: bytes = b"", status: str = "200 OK", length: int | None = None, **headers: str
) -> Deed:
    """An answer; ``length`` is what it claims of its body, -1 nothing."""

    def deed(connection: Connection) -> None:
        lines = [f"HTTP/1.1 {status}"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        if length != -1:
            lines.append(f"Content-Length: {len(body) if length is None else length}")
        connection.transport.write("\r\n".join([*lines, "", ""]).encode() + body)

    return deed


def raw(data: bytes) -> Deed:
    return lambda connection: connection.transport.write(data)


def then_close(deed: Deed) -> Deed:
    def both(connection: Connection) -> None:
        deed(connection)
        connection.transport.loseConnection()

    return both


def reset(connection: Connection) -> None:
    """RST, before a byte."""
    connection.transport.abortConnection()


def stall(connection: Connection) -> None:
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

    def deed(connection: Connection) -> None:
        connection.transport.write(head)
        connection.transport.registerProducer(_Flood(connection.transport, data), False)

    return deed


def hurried(clock: Clock, policy_: RetryPolicy | None = None) -> tuple[Patience, list[str]]:
    """A patience whose pauses pass at once, and what it was told."""
    told: list[str] = []

    def hear(error: Any, pause: float) -> None:
        told.append(f"{pause:g} {error.detail}")
        reactor.callLater(0, clock.advance, pause)

    return Patience(clock, policy_ or RetryPolicy(), chance=lambda: 1.0, told=hear), told


def client_of(
    case: TestCase, server: Server, clock: Clock, patience: Patience | None = None
) -> Client:
    """A Client with real connections and the test's clock, closed when the test is over."""
    treq = treq_client(reactor, policy(None))
    case.addCleanup(treq.close)
    return Client(treq, server.url, patience or hurried(clock)[0], deadline=30.0)


def checker_of(
    case: TestCase,
    server: Server,
    clock: Clock,
    method: bytes = b"HEAD",
    patience: Patience | None = None,
) -> Checker:
    """A Checker with a real connection and the test's clock, closed when the test is over."""
    trusted = policy(None)
    endpoint_for = endpoints(reactor, trusted, trusted, discovery.Server(server.url))
    line = Line(endpoint_for, clock, 30.0)
    case.addCleanup(line.close)
    return Checker(line, patience or hurried(clock)[0], method)


def image(server: Server, size: int, path: str = "/images/a.png") -> Image:
    """An image as a page announces it."""
    return Image(
        name="a.png",
        url=server.url + path,
        size=size,
        modified="2025-01-01T00:00:00Z",
        media_type="image/png",
    )
