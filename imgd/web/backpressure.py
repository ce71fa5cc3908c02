"""A long answer that is written piece by piece, no faster than the client takes it."""

from __future__ import annotations

from types import TracebackType

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IPushProducer
from zope.interface import implementer

from imgd.web.request import Request


@implementer(IPushProducer)
class BackpressuredWriter:
    """Writes to a request; each ``write`` is done when there is room for the next.

    A context manager: it is the request's producer inside, and no longer after, however that ends.
    """

    def __init__(self, request: Request) -> None:
        self._request = request
        self._room: Deferred[None] | None = None
        self._is_paused = False
        self._is_stopped = False

    def __enter__(self) -> BackpressuredWriter:
        if not self.is_over:
            self._request.registerProducer(self, True)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if not self.is_over:
            self._request.unregisterProducer()

    @property
    def is_over(self) -> bool:
        """Whether the client is gone."""
        return self._is_stopped or self._request.is_gone

    async def write(self, data: bytes) -> None:
        """Write, and wait for room; nothing if the client is gone."""
        if self.is_over:
            return
        self._request.write(data)
        if self._is_paused and not self.is_over:
            self._room = Deferred()
            await self._room

    def pauseProducing(self) -> None:
        self._is_paused = True

    def resumeProducing(self) -> None:
        self._is_paused = False
        room, self._room = self._room, None
        if room is not None:
            room.callback(None)

    def stopProducing(self) -> None:
        self._is_stopped = True
        self.resumeProducing()
