"""Requests to a server and its public URL over kept connections."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache, lru_cache
from io import BytesIO
from typing import Any, Final, cast

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint, wrapClientTLS
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.protocol import Factory
from twisted.python.failure import Failure
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent, IBodyProducer, IResponse
from zope.interface import implementer

from imgd.client.connection import HttpConnection, HttpResponse
from imgd.client.discovery import Server, origin_of, redirected, split_url
from imgd.client.errors import ConnectionReset, InvalidResponse
from imgd.client.trust import StrictCreator, explain, trust_root
from imgd.core.messages import Image
from imgd.core.urls import Origin

CONNECT_SECONDS: Final = 10
MAX_REDIRECTS: Final = 5
MAX_IDLE: Final = 2  # connections to one origin that are kept after more were needed at once
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
# What HttpConnection writes itself; treq's Accept-Encoding asks for gzip.
_OWN_FIELDS: Final = frozenset({b"host", b"user-agent", b"accept-encoding", b"content-length"})
_CONNECTIONS: Final = Factory.forProtocol(HttpConnection)
_CONNECTIONS.noisy = False

EndpointFor = Callable[[Origin], IStreamClientEndpoint]


def endpoints(reactor: Any, server: Server) -> EndpointFor:
    """Nothing is sent to, and no name looked up of, an origin that is not one of the server's."""
    root_for = cache(trust_root)

    def endpoint_for(origin: Origin) -> IStreamClientEndpoint:
        if not server.may_hand_out(origin):
            raise InvalidResponse(
                f"Not asked: {origin} is neither the server "
                "nor its public URL, which --public-url names."
            )
        plain = HostnameEndpoint(reactor, origin.host, origin.port, timeout=CONNECT_SECONDS)
        if origin.scheme == "http":
            return plain
        return wrapClientTLS(StrictCreator(origin.host, root_for(server.ca_for(origin))), plain)

    return endpoint_for


@implementer(IAgent)
@dataclass(slots=True, eq=False)
class HttpSession:
    """An agent of treq on kept connections. Each of ``tokens`` is sent to its origin alone."""

    endpoint_for: EndpointFor
    tokens: Mapping[Origin, str] = field(default_factory=dict)
    _connections: dict[Origin, list[HttpConnection]] = field(default_factory=dict, init=False)

    def request(
        self,
        method: bytes,
        uri: bytes,
        headers: Headers | None = None,
        bodyProducer: IBodyProducer | None = None,
    ) -> Deferred[IResponse]:
        sending = self._send_for_treq(method, uri, headers or Headers(), bodyProducer)
        return cast("Deferred[IResponse]", Deferred.fromCoroutine(sending))

    async def _send_for_treq(
        self, method: bytes, uri: bytes, headers: Headers, producer: IBodyProducer | None
    ) -> HttpResponse:
        body = BytesIO()
        if producer is not None:
            await producer.startProducing(cast(Any, body))
        fields = b"".join(
            b"%b: %b\r\n" % (name, value)
            for name, values in headers.getAllRawHeaders()
            for value in values
            if name.lower() not in _OWN_FIELDS
        )
        if method not in (b"GET", b"HEAD"):
            fields += b"Content-Length: %d\r\n" % len(body.getvalue())
        response = await self.send(method, uri.decode("ascii"), fields, body.getvalue())
        response.refuse_compression()  # before treq would inflate it
        return response

    async def send(
        self,
        method: bytes,
        url: str,
        fields: bytes = b"",
        body: bytes = b"",
        response: HttpResponse | None = None,
    ) -> HttpResponse:
        """Go on from ``response``, if one has come, and follow redirects of GET and HEAD, but never
        to another origin, which would get the token, and would be believed.
        """
        for _ in range(MAX_REDIRECTS + 1):
            response = response or await self._exchange(method, url, fields, body)
            location = response.header(b"location")
            if response.code not in _REDIRECTS or method not in (b"GET", b"HEAD") or not location:
                return response
            response.discard()
            url, response = redirected(url, location), None
        detail = f"More than {MAX_REDIRECTS} redirects: the server sends us in a circle."
        raise InvalidResponse(detail)

    async def check_sizes(
        self, images: Sequence[Image], on_good: Callable[[], object]
    ) -> HttpResponse | None:
        """Check as many images as have the first's origin, if there is a connection to it."""
        root, _ = split_url(images[0].url)
        origin, authority = _parse_root(root)
        if connection := self._idle_connection(origin):
            return await connection.check_sizes(authority, _targets(root, images), on_good)
        return None

    def close(self) -> None:
        for connections in self._connections.values():
            for connection in connections:
                connection.loseConnection()
        self._connections.clear()

    async def _exchange(self, method: bytes, url: str, fields: bytes, body: bytes) -> HttpResponse:
        root, target = split_url(url)
        origin, authority = _parse_root(root)
        if connection := self._idle_connection(origin):
            with suppress(ConnectionReset):  # closed while idle: no failure of the server's
                return await connection.request(method, authority, target, fields, body)
        connection = await self._connect(origin)
        return await connection.request(method, authority, target, fields, body)

    def _idle_connection(self, origin: Origin) -> HttpConnection | None:
        connections = [c for c in self._connections.get(origin, ()) if c.is_open]
        idle = [connection for connection in connections if connection.is_idle]
        for spare in idle[MAX_IDLE:]:
            spare.loseConnection()
        self._connections[origin] = connections
        return idle[0] if idle else None

    async def _connect(self, origin: Origin) -> HttpConnection:
        try:
            connection = await self.endpoint_for(origin).connect(_CONNECTIONS)
        except Exception:
            raise explain(Failure()) from None
        connection = cast(HttpConnection, connection)
        if token := self.tokens.get(origin):  # no white space, which could end the line
            value = b" ".join(token.encode("utf-8", "surrogateescape").split())
            connection.fields = b"Authorization: Bearer %b\r\n" % value  # RFC 6750 section 2.1
        self._connections.setdefault(origin, []).append(connection)
        return connection


@lru_cache(16)  # to parse each URL took a tenth of the time of checking
def _parse_root(root: str) -> tuple[Origin, bytes]:
    origin = origin_of(root)
    return origin, origin.authority.encode("ascii")


def _targets(root: str, images: Sequence[Image]) -> Iterator[tuple[bytes, int]]:
    for image in images:
        image_root, target = split_url(image.url)
        if image_root != root:
            return
        yield target, image.size
