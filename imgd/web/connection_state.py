"""A connection as the site's connection table sees it: its progress, and how to end it."""

from __future__ import annotations

from typing import Any, Final

from twisted.internet.interfaces import IHandshakeListener
from twisted.python.failure import Failure
from twisted.web.http import HTTPChannel
from twisted.web.http import Request as TwistedRequest
from zope.interface import implementer

from imgd.core.connections import ConnectionProgress, Phase
from imgd.core.http_rules import HeadError
from imgd.core.request_head import is_last
from imgd.net import tcp
from imgd.net.bulk_tls import IPlainListener
from imgd.web import early_errors
from imgd.web.response_headers import EVERY_ANSWER

TOO_SLOW: Final = HeadError(408, "The request did not arrive in time. Send it again.")
_CLOSE: Final = [b"close"]


@implementer(IHandshakeListener, IPlainListener)
class ConnectionState(HTTPChannel):
    """The part of a channel that is an ``imgd.core.connections.Connection``.

    A subclass sets ``has_pending_bytes`` when bytes come and clears it when a request is answered,
    and adds to ``sent`` what it writes. The timeout of twisted.web stays unused: every byte starts
    it again.
    """

    site: Any
    has_pending_bytes = False  # bytes came that are not answered yet
    sent = 0  # bytes handed to the transport
    _is_full = False  # the transport takes no more for now
    _is_handshaking = False
    _is_closing = False
    _tcp: Any = None  # the TCP transport, which is below TLS if there is TLS

    def connectionMade(self) -> None:
        super().connectionMade()
        lowest = getattr(self.transport, "transport", self.transport)
        self._is_handshaking = lowest is not self.transport
        self._tcp = lowest if tcp.is_tcp(lowest) else None
        self.site.limiter.add(self, getattr(self.getPeer(), "host", ""))

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]
        self.site.limiter.remove(self)
        super().connectionLost(reason)

    def begin_plain(self, transport: Any) -> None:
        """Go on over this transport, which is below that of TLS, in the same place in the table."""
        self.transport = transport
        self._is_handshaking = False
        super().connectionMade()

    def handshakeCompleted(self) -> None:
        self._is_handshaking = False

    def checkPersistence(self, request: TwistedRequest, version: bytes) -> bool:
        """Whether the connection stays open after this request: not if the site is draining."""
        values = request.requestHeaders.getRawHeaders(b"connection", ())
        is_1_0 = version == b"HTTP/1.0"
        return not (self.site.limiter.is_draining or is_last(values, is_1_0=is_1_0))

    def loseConnection(self) -> None:
        """Close once everything is sent; bytes that still come are dropped."""
        self._is_closing = True
        self.dataReceived = _drop  # type: ignore[method-assign]
        super().loseConnection()

    # imgd.core.connections.Connection

    def progress(self) -> ConnectionProgress:
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
        """Bytes that the socket does not take; 1 if it is unknown how many."""
        waiting = 0 if self._tcp is None else tcp.waiting(self._tcp)
        return waiting or self._is_full

    def _phase_of_request(self) -> Phase:
        if self.requests[0].is_whole:
            return Phase.ANSWER
        return Phase.HEAD if self.line_mode else Phase.BODY

    def is_idle(self) -> bool:
        is_busy = (
            self.requests or self.has_pending_bytes or self._is_closing or self._is_handshaking
        )
        return not is_busy and not self._waiting()

    def bytes_taken(self) -> int:
        """Bytes that the kernel took, whether they are on their way or in its buffer."""
        return self.sent - (0 if self._tcp is None else tcp.waiting(self._tcp))

    def expire(self, phase: Phase) -> None:
        """End a connection that is too slow. A request under way is answered 408."""
        if phase == Phase.IDLE or self.is_idle():
            self.loseConnection()
        elif phase in (Phase.HEAD, Phase.BODY):
            self.write(early_errors.answer(TOO_SLOW, EVERY_ANSWER))
            self.loseConnection()
        else:
            self.abort()

    def close_now(self) -> None:
        self.loseConnection()
        if self._tcp is not None:
            self._tcp.loseConnection()

    def close_when_idle(self) -> None:
        if self._is_handshaking or self.is_idle():
            self.close_now()
            return
        for request in self.requests:
            if request.is_whole:
                self.persistent = False
                if not request.startedWriting:
                    request.responseHeaders.setRawHeaders(b"Connection", _CLOSE)

    def abort(self) -> None:
        self.transport.abortConnection()  # type: ignore[union-attr]


def _drop(_data: bytes) -> None:
    pass
