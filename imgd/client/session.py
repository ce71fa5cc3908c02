"""Requests to a server and its public URL over kept connections."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from io import BytesIO
from typing import Any, Final

from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.endpoints import HostnameEndpoint, wrapClientTLS
from twisted.internet.protocol import Factory
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent
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
_REDIRECTED: Final = (b"GET", b"HEAD")
# What HttpConnection writes itself; treq's Accept-Encoding asks for gzip.
_OWN_FIELDS: Final = frozenset({b"host", b"user-agent", b"accept-encoding", b"content-length"})
_CONNECTIONS: Final = Factory.forProtocol(HttpConnection)
_CONNECTIONS.noisy = False
_origin_of = lru_cache(16)(origin_of)  # to parse each URL took a tenth of the time of checking


@implementer(IAgent)
@dataclass(slots=True, eq=False)
class HttpSession:
    """An agent of treq on kept connections. Each of ``tokens`` is sent to its origin alone."""

    reactor: Any
    server: Server
    tokens: Mapping[Origin, str] = field(default_factory=dict)
    _connections: dict[Origin, list[HttpConnection]] = field(default_factory=dict, init=False)

    @inlineCallbacks
    def request(
        self, method: bytes, uri: bytes, headers: Any = None, bodyProducer: Any = None
    ) -> Generator[Deferred[Any], Any, Any]:
        body = BytesIO()
        if bodyProducer is not None:
            yield bodyProducer.startProducing(body)
        fields = b"".join(
            b"%b: %b\r\n" % (name, value)
            for name, values in (headers or Headers()).getAllRawHeaders()
            for value in values
            if name.lower() not in _OWN_FIELDS
        )
        if method not in _REDIRECTED:
            fields += b"Content-Length: %d\r\n" % len(body.getvalue())
        sending = self.send(method, uri.decode("ascii"), fields, body.getvalue())
        response: HttpResponse = yield Deferred.fromCoroutine(sending)
        response.refuse_compression()  # before treq would inflate it
        return response

    async def send(
        self, method: bytes, url: str, *content: bytes, response: HttpResponse | None = None
    ) -> HttpResponse:
        """Send header lines and a body, or go on from ``response``, and follow redirects of GET and
        HEAD, but never to another origin, which would get the token, and would be believed.
        """
        for _ in range(MAX_REDIRECTS + 1):
            response = response or await self._exchange(method, url, *content)
            location = response.header(b"location")
            if response.code not in _REDIRECTS or method not in _REDIRECTED or not location:
                return response
            response.discard()
            url, response = redirected(url, location), None
        raise InvalidResponse(f"More than {MAX_REDIRECTS} redirects: they lead in a circle.")

    async def check_sizes(
        self, images: Sequence[Image], on_good: Callable[[], object]
    ) -> HttpResponse | None:
        """Check as many images as have the first's origin, if there is a connection to it."""
        root, _ = split_url(images[0].url)
        if connection := self._idle_connection(_origin_of(root)):
            return await connection.check_sizes(_targets(root, images), on_good)
        return None

    def close(self) -> None:
        for connections in self._connections.values():
            for connection in connections:
                connection.loseConnection()
        self._connections.clear()

    async def _exchange(self, method: bytes, url: str, *content: bytes) -> HttpResponse:
        root, target = split_url(url)
        origin = _origin_of(root)
        if connection := self._idle_connection(origin):
            with suppress(ConnectionReset):  # closed while idle: no failure of the server's
                return await connection.request(method, target, *content)
        connection = await self._connect(origin)
        return await connection.request(method, target, *content)

    def _idle_connection(self, origin: Origin) -> HttpConnection | None:
        connections = [c for c in self._connections.get(origin, ()) if c.connected]
        idle = [connection for connection in connections if connection.is_idle]
        for spare in idle[MAX_IDLE:]:
            spare.loseConnection()
        self._connections[origin] = connections
        return idle[0] if idle else None

    async def _connect(self, origin: Origin) -> HttpConnection:
        """Nothing is sent to, and no name looked up of, an origin that is not the server's."""
        if not self.server.may_hand_out(origin):
            names = "neither the server nor its public URL, which --public-url names"
            raise InvalidResponse(f"Not asked: {origin} is {names}.")
        host = origin.host
        endpoint: Any = HostnameEndpoint(self.reactor, host, origin.port, timeout=CONNECT_SECONDS)
        if origin.scheme == "https":
            root = trust_root(self.server.ca_for(origin))
            endpoint = wrapClientTLS(StrictCreator(host, root), endpoint)
        try:
            connection: HttpConnection = await endpoint.connect(_CONNECTIONS)
        except Exception as error:
            raise explain(error) from None
        connection.fields = b"Host: %b\r\n" % origin.authority.encode("ascii")
        if token := self.tokens.get(origin):  # no white space, which could end the line
            value = b" ".join(token.encode("utf-8", "surrogateescape").split())
            connection.fields += b"Authorization: Bearer %b\r\n" % value  # RFC 6750 section 2.1
        self._connections.setdefault(origin, []).append(connection)
        return connection


def _targets(root: str, images: Sequence[Image]) -> Iterator[tuple[bytes, int]]:
    for image in images:
        image_root, target = split_url(image.url)
        if image_root != root:
            return
        yield target, image.size
