"""A long answer made piece by piece, no faster than its reader takes it."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IPushProducer
from zope.interface import implementer

from imgd.web.request import Request


@implementer(IPushProducer)
class BackpressuredWriter:
    """Writes to a request; each ``write`` is done when there is room for the next."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self._room: Deferred[None] | None = None
        self._paused = False
        self.is_over = request.is_gone
        if not self.is_over:
            request.registerProducer(self, True)

    async def write(self, data: bytes) -> None:
        """Write, and wait for room. Does nothing once ``is_over``: the client has gone."""
        if self.is_over:
            return
        self._request.write(data)
        if self._paused and not self.is_over:
            self._room = Deferred()
            await self._room

    def finish(self) -> None:
        """End the answer."""
        if not self.is_over:
            self._request.unregisterProducer()
            self._request.finish()

    def pauseProducing(self) -> None:
        """The transport is full."""
        self._paused = True

    def resumeProducing(self) -> None:
        """The transport has room."""
        self._paused = False
        room, self._room = self._room, None
        if room is not None:
            room.callback(None)

    def stopProducing(self) -> None:
        """The client has gone."""
        self.is_over = True
        self.resumeProducing()
