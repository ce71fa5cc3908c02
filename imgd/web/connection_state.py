"""A connection as the site's crowd sees it: what it is at, and how it is ended."""

from __future__ import annotations

from typing import Any, Final

from twisted.internet.interfaces import IHandshakeListener
from twisted.python.failure import Failure
from twisted.web.http import HTTPChannel
from twisted.web.http import Request as TwistedRequest
from zope.interface import implementer

from imgd.core.connections import ConnectionProgress, Phase
from imgd.core.http_rules import HeadError
from imgd.net import tcp
from imgd.web import early_errors
from imgd.web.response_headers import EVERY_ANSWER

TOO_SLOW: Final = HeadError(408, "The request did not arrive in time. Send it again.")
_CLOSE: Final = [b"close"]


@implementer(IHandshakeListener)
class ConnectionState(HTTPChannel):
    """The part of a channel that knows what the connection is at.

    Whoever receives bytes sets ``has_pending_bytes``; whoever answers a request clears it.
    Whoever hands bytes of an answer to the transport counts them in ``sent``.
    twisted.web's own timeout stays unused: it begins anew with every byte.
    """

    site: Any
    has_pending_bytes = False  # bytes came that are not answered yet
    sent = 0  # bytes handed to the transport
    _is_full = False  # the transport takes no more for now
    _is_handshaking = False
    _is_closing = False
    _wire: Any = None  # the TCP transport, below TLS where there is TLS

    def connectionMade(self) -> None:
        """The connection is there."""
        super().connectionMade()
        wire = getattr(self.transport, "transport", self.transport)
        self._is_handshaking = wire is not self.transport
        self._wire = wire if tcp.is_tcp(wire) else None
        self.site.limiter.enter(self, getattr(self.getPeer(), "host", ""))

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]
        """The connection is gone."""
        self.site.limiter.leave(self)
        super().connectionLost(reason)

    def handshakeCompleted(self) -> None:
        """Called by the TLS protocol below."""
        self._is_handshaking = False

    def checkPersistence(self, request: TwistedRequest, version: bytes) -> bool:
        """Whether the connection lives on after this request: not while the site is emptied."""
        if self.site.limiter.is_draining:
            request.responseHeaders.setRawHeaders(b"Connection", _CLOSE)
            return False
        return bool(super().checkPersistence(request, version))

    def loseConnection(self) -> None:
        """Close, once everything is sent; whatever still comes is not heard."""
        self._is_closing = True
        self.dataReceived = _ignore  # type: ignore[method-assign]
        super().loseConnection()

    # As imgd.core.connections.Guest

    def mark(self) -> ConnectionProgress:
        """Where it is."""
        if self._is_handshaking:
            return (Phase.HANDSHAKE,)
        if waiting := self._waiting():
            return (Phase.STALLED, self.sent, waiting)
        if self._is_closing:
            return (Phase.CLOSING,)
        if self.requests:
            return (self._phase_of_request(), self.sent)
        if self.has_pending_bytes or not self.sent:
            return (Phase.HEAD, self.sent)
        return (Phase.IDLE, self.sent)

    def _waiting(self) -> int:
        """Bytes that the socket does not take, or one for a producer that waits for it."""
        waiting = 0 if self._wire is None else tcp.waiting(self._wire)
        return waiting or self._is_full

    def _phase_of_request(self) -> Phase:
        if self.requests[0].is_whole:
            return Phase.ANSWER
        return Phase.HEAD if self.line_mode else Phase.BODY

    def is_idle(self) -> bool:
        """Whether nothing is lost by closing."""
        busy = self.requests or self.has_pending_bytes or self._is_closing or self._is_handshaking
        return not busy and not self._waiting()

    def taken(self) -> int:
        """Bytes that the socket took: those that its kernel holds, too."""
        return self.sent - (0 if self._wire is None else tcp.waiting(self._wire))

    def expire(self, phase: Phase) -> None:
        """Too slow: told so where it is in the midst of a request."""
        if phase == Phase.IDLE or self.is_idle():
            self.loseConnection()
        elif phase in (Phase.HEAD, Phase.BODY):
            self.write(early_errors.answer(TOO_SLOW, EVERY_ANSWER))
            self.loseConnection()
        else:
            self.abort()

    def close_now(self) -> None:
        """Close now, not waiting for the other end to agree."""
        self.loseConnection()
        if self._wire is not None:
            self._wire.loseConnection()

    def close_when_idle(self) -> None:
        """Close when the request under way is answered; now, where there is none."""
        if self._is_handshaking or self.is_idle():
            self.close_now()
            return
        for request in self.requests:
            if request.is_whole:
                self.persistent = False
                if not request.startedWriting:
                    request.responseHeaders.setRawHeaders(b"Connection", _CLOSE)

    def abort(self) -> None:
        """Close as it stands."""
        self.transport.abortConnection()  # type: ignore[union-attr]


def _ignore(_data: bytes) -> None:
    """What comes after the last answer is not heard."""
