"""A worker's line to the servers: connections that are kept, deadlines, and a second try."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, cast

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorTime, IStreamClientEndpoint
from twisted.internet.protocol import Factory
from twisted.python.failure import Failure
from twisted.web.client import URI

from imgd.client.agents import Endpoints
from imgd.client.deadline import Watch, within
from imgd.client.discovery import Server
from imgd.client.errors import Misbehaved, Stale
from imgd.client.identity import StrictPolicy
from imgd.client.trust import explain
from imgd.client.urls import Origin, apart, origin_of
from imgd.client.wire import Answer, Wire
from imgd.core.messages import Image

EndpointFor = Callable[[Origin], IStreamClientEndpoint]
_WIRES: Final = Factory.forProtocol(Wire)
_WIRES.noisy = False


def endpoints(reactor: Any, near: StrictPolicy, far: StrictPolicy, server: Server) -> EndpointFor:
    """How to reach an origin: the server's own with one TLS policy, its public ones with another.

    A daemon behind a tunnel hands out URLs of the tunnel, whose certificate is not of the local CA.
    Any other origin is :class:`Misbehaved`: nothing is asked there, not even for its address.
    """
    ours, others, home = Endpoints(reactor, near), Endpoints(reactor, far), server.origins

    def endpoint_for(origin: Origin) -> IStreamClientEndpoint:
        if not server.may_hand_out(origin):
            raise Misbehaved(
                f"Not asked: {origin.scheme}://{origin.authority} is neither the server "
                "nor its public URL, which --public-url names."
            )
        uri = URI.fromBytes(f"{origin.scheme}://{origin.authority}/".encode("ascii"))
        return (ours if origin in home else others).endpoint(uri)

    return endpoint_for


SLOWEST: Final = 1_000_000  # bytes a second, at which a body that is asked for may come


class Line:
    """One connection at a time to each origin, for one request at a time.

    A request gets ``deadline`` seconds on this clock, connecting included, and a body its time.
    ``tokens`` are shown to their origins, and to no other.
    """

    def __init__(
        self,
        endpoint_for: EndpointFor,
        clock: IReactorTime,
        deadline: float,
        tokens: Mapping[Origin, str] = MappingProxyType({}),
    ) -> None:
        self._tokens = tokens
        self._endpoint_for = endpoint_for
        self._clock = clock
        self._deadline = deadline
        self._wires: dict[Origin, Wire] = {}
        self._root = ""
        self._origin = Origin("", "", 0)
        self._authority = b""

    def ask(self, method: bytes, url: str, cap: int) -> Deferred[Answer]:
        """The answer to a GET or HEAD of this URL (see :meth:`Wire.ask`), or a ClientError."""
        seconds = self._deadline + (cap / SLOWEST if method == b"GET" else 0.0)
        return within(seconds, Deferred.fromCoroutine(self._ask(method, url, cap)), self._clock)

    def run(self, images: Sequence[Image], passed: Callable[[], object]) -> Deferred[Answer | None]:
        """See :meth:`Wire.run`: as many of these as are on one origin that is connected already.

        ``passed`` is called for each that is good; each gets the deadline. None also means that
        there is nothing to say of the first that is not.
        """
        origin, authority, _ = self._parts(images[0].url)
        wire = self._wires.get(origin)
        if wire is None or not wire.is_open:
            return succeed(None)
        watch = Watch[Answer | None](self._deadline, self._clock)

        def came() -> None:
            watch.came()
            passed()

        return watch.over(wire.run(authority, self._asks(images), came))

    def _asks(self, images: Sequence[Image]) -> Iterator[tuple[bytes, int]]:
        for image in images:
            root, target = apart(image.url)
            if root != self._root:
                return
            yield target, image.size

    def _parts(self, url: str) -> tuple[Origin, bytes, bytes]:
        """Origin, ``Host``, and request target."""
        root, target = apart(url)
        if root != self._root:
            self._root, self._origin = root, origin_of(root)
            self._authority = self._origin.authority.encode("ascii")
        return self._origin, self._authority, target

    def close(self) -> None:
        """Close every connection."""
        for wire in self._wires.values():
            if wire.is_open:
                wire.abort()
        self._wires.clear()

    async def _ask(self, method: bytes, url: str, cap: int) -> Answer:
        origin, authority, target = self._parts(url)
        wire = self._wires.get(origin)
        if wire is not None and wire.is_open:
            try:
                return await wire.ask(method, authority, target, cap)
            except Stale:
                pass  # closed while idle: that is no failure of the server's
        wire = self._wires[origin] = await self._connect(origin)
        return await wire.ask(method, authority, target, cap)

    async def _connect(self, origin: Origin) -> Wire:
        try:
            wire = cast(Wire, await self._endpoint_for(origin).connect(_WIRES))
        except Exception:
            raise explain(Failure()) from None
        if origin in self._tokens:
            wire.bear(self._tokens[origin])
        return wire
