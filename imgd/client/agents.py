"""treq's underside: what every request to the API goes through, as agents around agents."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, cast

from treq.client import HTTPClient
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint, wrapClientTLS
from twisted.internet.interfaces import (
    IProtocol,
    IProtocolFactory,
    IStreamClientEndpoint,
)
from twisted.internet.protocol import connectionDone
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from twisted.python.failure import Failure
from twisted.web.client import URI, Agent, HTTPConnectionPool
from twisted.web.http_headers import Headers
from twisted.web.iweb import (
    IAgent,
    IAgentEndpointFactory,
    IBodyProducer,
    IResponse,
)
from zope.interface import implementer

from imgd.client.bodies import discard
from imgd.client.errors import Misbehaved
from imgd.client.identity import StrictPolicy
from imgd.client.urls import MAX_REDIRECTS, REDIRECTS, redirected
from imgd.client.wire import MAX_HEAD, TOO_MUCH_HEAD

CONNECT_SECONDS: Final = 10


class _Abrupt(ProtocolWrapper):
    """A connection that, once it is given up, is gone; and whose answers' headers have a limit.

    twisted.web's client only ever asks to *lose* a connection; over TLS that waits for the peer to
    say goodbye, which one that sends without end never does (twisted #8227). And it keeps as many
    headers as are sent.
    """

    _in_head = False
    _tail = b""
    _head = 0
    _reason: Failure | None = None

    def write(self, data: bytes) -> None:
        """A request: what comes next is the head of its answer."""
        self._in_head, self._tail, self._head = True, b"", 0
        super().write(data)

    def writeSequence(self, data: Iterable[bytes]) -> None:
        """The same, in parts."""
        self.write(b"".join(data))

    def dataReceived(self, data: bytes) -> None:
        """Some of an answer."""
        if self._in_head:
            seen = self._tail + data
            self._in_head = b"\r\n\r\n" not in seen
            self._tail, self._head = seen[-3:], self._head + len(data)
            if self._in_head and self._head > MAX_HEAD:
                self._reason = Failure(Misbehaved(TOO_MUCH_HEAD))
                self.abortConnection()
                return
        super().dataReceived(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Why it ended, which may have been our own doing."""
        super().connectionLost(self._reason or reason)

    def loseConnection(self) -> None:
        """End it at once."""
        self.abortConnection()


def _unwrapped(wrapper: IProtocol) -> IProtocol:
    return cast(_Abrupt, wrapper).wrappedProtocol


@implementer(IStreamClientEndpoint)
class AbruptEndpoint:
    """An endpoint whose connections are aborted instead of lost."""

    def __init__(self, inner: IStreamClientEndpoint) -> None:
        self._inner = inner

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """Connect; fires with the protocol that the factory built."""
        wrapping = WrappingFactory(protocolFactory)
        wrapping.protocol = _Abrupt
        wrapping.noisy = False
        return self._inner.connect(wrapping).addCallback(_unwrapped)


@implementer(IAgentEndpointFactory)
class Endpoints:
    """From a URL to the endpoint that reaches it, with this TLS policy for https."""

    def __init__(self, reactor: Any, policy: StrictPolicy) -> None:
        self._reactor = reactor
        self._policy = policy

    def endpoint(self, uri: URI) -> IStreamClientEndpoint:
        """The endpoint of this URL; its scheme must be http or https."""
        host = uri.host.decode("ascii").strip("[]")
        plain = HostnameEndpoint(self._reactor, host, uri.port, timeout=CONNECT_SECONDS)
        if uri.scheme == b"http":
            return plain
        if uri.scheme != b"https":
            raise Misbehaved("Only http:// and https:// URLs can be asked.")
        creator = self._policy.creatorForNetloc(host.encode("ascii"), uri.port)
        return wrapClientTLS(creator, plain)

    def endpointForURI(self, uri: URI) -> IStreamClientEndpoint:
        """The same, as twisted.web's client can be trusted with it."""
        return AbruptEndpoint(self.endpoint(uri))


@implementer(IAgent)
class PlainBodies:
    """Asks for bodies as they are, and takes none that is compressed.

    treq inflates whatever calls itself gzip, so that a few kilobytes can become gigabytes; here a
    ``Content-Encoding`` is an error before the first byte of the body is read.
    """

    def __init__(self, inner: IAgent) -> None:
        self._inner = inner

    def request(
        self,
        method: bytes,
        uri: bytes,
        headers: Headers | None = None,
        bodyProducer: IBodyProducer | None = None,
    ) -> Deferred[IResponse]:
        """The answer to this request, or :class:`Misbehaved`."""
        return Deferred.fromCoroutine(self._request(method, uri, headers, bodyProducer))

    async def _request(
        self, method: bytes, uri: bytes, headers: Headers | None, body: IBodyProducer | None
    ) -> IResponse:
        headers = headers.copy() if headers else Headers()
        headers.setRawHeaders(b"Accept-Encoding", [b"identity"])
        response = await self._inner.request(method, uri, headers, body)
        encodings = response.headers.getRawHeaders(b"Content-Encoding", [])
        if any(encoding.strip().lower() != b"identity" for encoding in encodings):
            discard(response)
            raise Misbehaved("The server compressed its answer, which it was asked not to do.")
        return response


@implementer(IAgent)
class SameOrigin:
    """Follows redirects of GET and HEAD, a few of them, and never to another origin.

    What is asked bears a token, and what is answered is believed: neither may move elsewhere.
    """

    def __init__(self, inner: IAgent) -> None:
        self._inner = inner

    def request(
        self,
        method: bytes,
        uri: bytes,
        headers: Headers | None = None,
        bodyProducer: IBodyProducer | None = None,
    ) -> Deferred[IResponse]:
        """The answer at the end of the redirects, or :class:`Misbehaved`."""
        return Deferred.fromCoroutine(self._request(method, uri, headers, bodyProducer))

    async def _request(
        self, method: bytes, uri: bytes, headers: Headers | None, body: IBodyProducer | None
    ) -> IResponse:
        for _ in range(MAX_REDIRECTS + 1):
            response = await self._inner.request(method, uri, headers, body)
            where = response.headers.getRawHeaders(b"Location", [b""])[0]
            if response.code not in REDIRECTS or method not in {b"GET", b"HEAD"} or not where:
                return response
            discard(response)
            uri = redirected(uri.decode("latin-1"), where.decode("latin-1")).encode("ascii")
        raise Misbehaved(f"More than {MAX_REDIRECTS} redirects: the server sends us in a circle.")


class KeptTreq(HTTPClient):
    """treq over kept-alive connections of its own, which end with :meth:`close`."""

    def __init__(self, agent: IAgent, pool: HTTPConnectionPool) -> None:
        super().__init__(agent)
        self._pool = pool

    def close(self) -> Deferred[None]:
        """Close the connections; fires when they are closed."""
        closed: Deferred[None] = self._pool.closeCachedConnections()
        return closed


def treq_client(reactor: Any, policy: StrictPolicy, connections: int = 2) -> KeptTreq:
    """A treq over so many kept-alive connections, with everything above."""
    pool = HTTPConnectionPool(reactor, persistent=True)
    pool.maxPersistentPerHost = connections
    pool.retryAutomatically = False
    agent = Agent.usingEndpointFactory(reactor, Endpoints(reactor, policy), pool)
    return KeptTreq(PlainBodies(SameOrigin(agent)), pool)
