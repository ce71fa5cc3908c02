"""A connection: bytes in, past the lane to twisted.web's parser, and answers out.

What arrives takes these steps, in this order: the strict check of a head
(``imgd.core.http_rules``) -> lane -> HTTPChannel, which sees no body: a body is judged at its head
and read here (``imgd.core.request_body``). A read that is one whole head, and nothing else, may be
answered by the lane at once: it recognises nothing that the check refuses.
"""

from __future__ import annotations

from typing import Any, Final

from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.python.failure import Failure
from twisted.web.http import Request as TwistedRequest
from twisted.web.http_headers import Headers
from zope.interface import implementer

from imgd.core.http_rules import MAX_LINE, MAX_SECTION, Head, HeadError, HeadReader
from imgd.core.request_body import Body, BodyReader, body_reader
from imgd.core.request_head import Announced, RequestHead, read_head
from imgd.errors import ImgdError
from imgd.net import tcp
from imgd.web import early_errors
from imgd.web.connection_state import ConnectionState
from imgd.web.discard import DiscardingReader
from imgd.web.request import WITH_BODY
from imgd.web.response_headers import EVERY_ANSWER

MISDIRECTED: Final = HeadError(421, "An https URL is answered over TLS alone.")
_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"


@implementer(IHalfCloseableProtocol)
class Channel(ConnectionState):
    """One HTTP/1.1 connection of an ``imgd.web.server.Site``.

    Head and body of an answer leave in one write where they are ready together. While a client
    does not read, no further request of it is answered: what waits for it stays bounded.
    """

    # What twisted.web counts itself is above what the strict check lets through.
    totalHeadersSize = MAX_LINE + MAX_SECTION
    _writes_now = False
    _head = b""
    _rest = b""  # bytes that came and are not heard yet
    _is_parsing = False  # twisted.web is at it, further up the stack
    _body: BodyReader | None = None  # of the request under way, while its body is not whole
    _has_ended = False  # the client has said all that it will
    _lingers = False  # it may still send when it is closed

    def connectionMade(self) -> None:
        """The connection is there."""
        self._reader = HeadReader()
        super().connectionMade()
        if tcp.is_tcp(self.transport):
            self._writes_now = True

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]
        """The connection is gone."""
        self._head = self._rest = b""
        self._body = None
        super().connectionLost(reason)

    def readConnectionLost(self) -> None:
        """The client closed its side: what it asked is answered, as nginx does it."""
        self._has_ended = True
        self._close_if_done()

    def writeConnectionLost(self) -> None:
        """This side is closed: all was said (``_linger``)."""

    def _close_if_done(self) -> None:
        """Close where nothing is left to answer of what came before the end."""
        is_answering = self.requests and self.requests[0].is_whole
        if self._has_ended and not is_answering and not (self.paused and self._rest):
            self.loseConnection()

    # In

    def dataReceived(self, data: bytes) -> None:
        """Bytes came: each head is checked, then it is for the lane, or for twisted.web."""
        if data:
            self.has_pending_bytes = True
        self._rest += data
        if self._is_parsing:
            return  # what followed a body, handed back: heard once twisted.web is done with that
        while self._rest and self._hear():
            pass
        if self._has_ended:
            self._close_if_done()

    def _hear(self) -> bool:
        """Hear what is there: one head, or anything of a body. False where more must come first."""
        if self._body is not None:
            return self._hear_body(self._body)
        if self.requests or not (self.line_mode and self.persistent):
            data, self._rest = self._rest, b""
            self._parse(data)
            return True
        if self.paused:
            return False
        data, self._rest = self._rest, b""
        self.has_pending_bytes = True
        was_asked = self._reader.is_new
        if was_asked and self._answer(data):
            return True
        match self._reader.feed(data):
            case Head(head, rest):
                self._rest = rest
                was_asked = was_asked and len(head) == len(data)
                if was_asked or not self._answer(head):
                    self._ask(read_head(head))
                return True
            case HeadError() as refusal:
                self.refuse(refusal)
        return False

    def _answer(self, head: bytes) -> bool:
        """Whether the lane took it."""
        answer = self.site.fast_path.answer(head, self)
        if answer is None:
            return False
        self.has_pending_bytes = False
        self.send(answer)
        return True

    def _parse(self, data: bytes) -> None:
        self._is_parsing = True
        try:
            super().dataReceived(data)
        finally:
            self._is_parsing = False

    def _ask(self, asked: RequestHead) -> None:
        """Hand on a request that is not for the lane, and judge the body that it announces."""
        if asked.scheme == b"https" and not self.isSecure():
            self.refuse(MISDIRECTED, asked.method)  # RFC 9110 section 7.4
            return
        if asked.body is not None:
            self._body = body_reader(asked.body, is_read=asked.method in WITH_BODY)
        self._parse(asked.plain)
        if asked.body is not None and self.requests:
            self._judge(asked, asked.body)

    def allHeadersReceived(self) -> None:
        """Called by twisted.web, which takes a request for whole unless it has a length."""
        super().allHeadersReceived()
        if self._body is not None:
            self.length = None

    def _judge(self, asked: RequestHead, body: Announced) -> None:
        if error := self.requests[-1].judge(asked, body):
            self._refuse_body(error)
        elif body.waits and not self._rest:
            self.send(_CONTINUE)

    def _hear_body(self, reader: BodyReader) -> bool:
        data, self._rest = self._rest, b""
        match reader.feed(data):
            case Body(content, rest):
                self._rest = rest
                self._end_body(content)
                return True
            case HeadError(status, reason):
                self._refuse_body(ImgdError.of(status, reason))
        return False

    def _refuse_body(self, error: ImgdError) -> None:
        """Answer at once, close, and hear nothing more."""
        self._rest = b""
        self.persistent = False
        self._lingers = True
        self.requests[-1].refuse(error)
        self._end_body(b"")

    def _end_body(self, content: bytes) -> None:
        self._body = None
        self.requests[-1].take(content)
        self._is_parsing = True
        try:
            self.allContentReceived()
        finally:
            self._is_parsing = False

    def refuse(self, refusal: HeadError, method: bytes = b"GET") -> None:
        """Answer what is no request, close, and hear nothing more."""
        self._rest = b""
        self.persistent = False
        self._lingers = True
        policy = () if method == b"POST" else self.site.header_policy.of(None, is_file=True)
        self.write(early_errors.answer(refusal, (*EVERY_ANSWER, *policy)))
        self.loseConnection()

    def requestDone(self, request: TwistedRequest) -> None:
        """An answer was given; the next request is heard once there is room for another."""
        self._flush_head()
        self.has_pending_bytes = False
        if self._is_full and self.persistent:
            self.paused = True
            self.transport.pauseProducing()  # type: ignore[union-attr]
        super().requestDone(request)
        self.site.limiter.note_idle(self)
        if self._has_ended and not self._is_parsing:
            self._close_if_done()

    # Out

    def send(self, data: bytes) -> None:
        """Write, within this call where the socket takes it."""
        self.sent += len(data)
        if self._writes_now:
            tcp.write_now(self.transport, data)
        else:
            self.transport.write(data)  # type: ignore[union-attr]

    def give_way(self) -> None:
        """Let other connections have their turn: a producer here is paused until its next."""
        if self._writes_now:
            tcp.give_way(self.transport)
        elif give_way := getattr(self.transport, "give_way", None):
            give_way()

    def writeHeaders(self, version: bytes, code: bytes, reason: bytes, headers: Any) -> None:
        """Keep the head of an answer until its first bytes, or its end."""
        self._head = b"%b %b %b\r\n%b\r\n" % (version, code, reason, header_lines(headers))

    def write(self, data: bytes) -> None:
        """A part of an answer."""
        head, self._head = self._head, b""
        self.send(head + data if head else data)

    def writeSequence(self, iovec: Any) -> None:
        """The same, in pieces."""
        self.write(b"".join(iovec))

    def _flush_head(self) -> None:
        if self._head:
            self.write(b"")

    def loseConnection(self) -> None:
        """Close, once everything is sent."""
        self._flush_head()
        if self._lingers and self._writes_now and not (self._is_closing or self._has_ended):
            self._linger()
        else:
            super().loseConnection()

    def _linger(self) -> None:
        """Close this side alone, until the other end or the deadline for closing.

        A socket that is closed while something is unread in it resets the connection, and the
        client loses what it was told (RFC 9112 section 9.6).
        """
        self._is_closing = True
        self.dataReceived = DiscardingReader(self.transport).feed  # type: ignore[method-assign]
        self.transport.unregisterProducer()  # type: ignore[union-attr]
        self.transport.resumeProducing()  # type: ignore[union-attr]
        self.transport.loseWriteConnection()  # type: ignore[union-attr]

    def pauseProducing(self) -> None:
        """The transport is full."""
        self._is_full = True
        self.paused = self.paused or not self.requests
        super().pauseProducing()

    def resumeProducing(self) -> None:
        """The transport has room again: for a body under way, else for the next request."""
        self._is_full = False
        was_paused, self.paused = self.paused, False
        super().resumeProducing()
        if was_paused and not self._is_full:
            self.dataReceived(b"")


def header_lines(headers: Headers) -> bytes:
    """Headers as they stand in a message, without the empty line."""
    return b"".join(
        b"%b: %b\r\n" % (name, value)
        for name, values in headers.getAllRawHeaders()
        for value in values
    )
