"""A connection: bytes in, past the fast path to twisted.web's parser, and answers out.

Each head is parsed once (``imgd.core.request_head``), and given to the fast path. What that leaves
is written out for HTTPChannel, which sees no body: a body is judged at its head and read here
(``imgd.core.request_body``). HTTPChannel is fed bytes, and not given a finished Request, for what
it does between requests (pipelining, pausing, closing) leans on what its parser notes in private.
"""

from __future__ import annotations

from typing import Any, Final

from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.python.failure import Failure
from twisted.web.http import NO_BODY_CODES
from twisted.web.http import Request as TwistedRequest
from twisted.web.http_headers import Headers
from zope.interface import implementer

from imgd.core.http_rules import MAX_LINE, MAX_SECTION, HeadError
from imgd.core.plan import serialize_headers
from imgd.core.request_body import Body, BodyReader, body_reader
from imgd.core.request_head import AnnouncedBody, HeadReader, RequestHead
from imgd.errors import ImgdError
from imgd.net import tcp
from imgd.web import early_errors, plain_on_tls
from imgd.web.connection_state import ConnectionState
from imgd.web.discard import DiscardingReader
from imgd.web.request import WITH_BODY
from imgd.web.response_headers import EVERY_ANSWER

MISDIRECTED: Final = HeadError(421, "An https URL is answered over TLS alone.")
_OPTIONS: Final = (b"close", b"keep-alive")  # of Connection, by whether it stays open
_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"


@implementer(IHalfCloseableProtocol)
class Channel(ConnectionState):
    """One HTTP/1.1 connection of an ``imgd.web.server.Site``.

    Head and body of an answer leave in one write if they are ready together. While a client does
    not read, no further request of it is answered: what waits for it stays bounded.
    """

    # What twisted.web counts itself is above what the strict parser lets through.
    totalHeadersSize = MAX_LINE + MAX_SECTION
    _writes_now = False
    _head = b""  # of an answer, until its first bytes
    _rest = b""  # bytes that came and are not parsed yet
    _is_parsing = False  # twisted.web runs, further up the stack
    _body: BodyReader | None = None  # of the request under way, while its body is not whole
    _has_ended = False  # the client closed its side
    _is_plain_on_tls = False  # plain HTTP on a TLS port: no request is answered
    _lingers = False  # it may still send when it is closed

    def connectionMade(self) -> None:
        self._reader = HeadReader()
        super().connectionMade()
        if tcp.is_tcp(self.transport):
            self._writes_now = True

    def begin_plain(self, transport: Any) -> None:
        """Refuse every request: the client speaks plain HTTP to a TLS port."""
        super().begin_plain(transport)
        self._writes_now = tcp.is_tcp(transport)
        self._is_plain_on_tls = True
        self._answer = _leave_to_the_tree  # type: ignore[method-assign,assignment]

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]
        self._head = self._rest = b""
        self._body = None
        super().connectionLost(reason)

    def readConnectionLost(self) -> None:
        """The client closed its side: its requests are still answered, as nginx does it, unless one
        needs its client.
        """
        self._has_ended = True
        if self.requests and self.requests[0].needs_client:
            self.abort()
        else:
            self._close_if_done()

    def require_client(self) -> None:
        """Called when the request under way begins to need its client, who may have gone."""
        if self._has_ended:
            self.abort()

    def writeConnectionLost(self) -> None:
        """This side is closed: everything was sent (``_linger``)."""

    def _close_if_done(self) -> None:
        """Close if nothing is left to answer of what came before the end."""
        is_answering = self.requests and self.requests[0].is_whole
        if self._has_ended and not is_answering and not (self.paused and self._rest):
            self.loseConnection()

    # In

    def dataReceived(self, data: bytes) -> None:
        if data:
            self.has_pending_bytes = True
        self._rest += data
        if self._is_parsing:
            return  # what followed a body, handed back: read once twisted.web is done
        while self._rest and self._read_next():
            pass
        if self._has_ended:
            self._close_if_done()

    def _read_next(self) -> bool:
        """Take one head, or anything of a body, from what is there; False if more must come."""
        if self._body is not None:
            return self._read_body(self._body)
        if not self.persistent:
            self._rest, self._lingers = b"", True  # nothing that follows the last request counts
            return False
        if self.requests or not self.line_mode:
            data, self._rest = self._rest, b""
            self._feed_parser(data)  # keeps it until the request under way is answered
            return True
        if self.paused:
            return False
        data, self._rest = self._rest, b""
        self.has_pending_bytes = True
        head = self._reader.feed(data)
        if isinstance(head, RequestHead):
            self._rest = self._reader.rest
            if not self._answer(head):
                self._hand_on(head)
            return True
        if head is not None:
            self.refuse(head)
        return False

    def _answer(self, head: RequestHead) -> bool:
        """Whether the fast path answered."""
        answer = self.site.fast_path.answer(head, self) if head.is_plain else None
        if answer is None:
            return False
        self.has_pending_bytes = False
        self.send(answer)
        if head.fields.closes:
            self._end()
        return True

    def _end(self) -> None:
        """Close after an answer of the fast path, and answer nothing that came after it."""
        self.persistent = False
        if self._writes_now and not self._rest:
            self._is_closing = True
            tcp.close(self.transport)
        else:
            self._lingers = bool(self._rest)
            self._rest = b""
            self.loseConnection()

    def _feed_parser(self, data: bytes) -> None:
        self._is_parsing = True
        try:
            super().dataReceived(data)
        finally:
            self._is_parsing = False

    def _hand_on(self, head: RequestHead) -> None:
        """Give a request to twisted.web, and judge the body that it announces."""
        if self._is_plain_on_tls:
            self.refuse(plain_on_tls.refusal(head, self.site.hosts, self.getHost()), head.method)
            return
        if head.url is not None and head.url.origin.scheme == "https" and not self.isSecure():
            self.refuse(MISDIRECTED, head.method)  # RFC 9110 section 7.4
            return
        body = head.body
        if body is not None:
            self._body = body_reader(body, is_read=head.method in WITH_BODY)
        self._feed_parser(head.without_framing())
        if body is not None and self.requests:
            self._judge_body(head, body)

    def allHeadersReceived(self) -> None:
        """Called by twisted.web, which takes a request for whole unless it has a length."""
        super().allHeadersReceived()
        if self._body is not None:
            self.length = None

    def _judge_body(self, head: RequestHead, body: AnnouncedBody) -> None:
        if error := self.requests[-1].judge_body(head, body):
            self._refuse_body(error)
        elif body.waits and not self._rest:
            self.send(_CONTINUE)

    def _read_body(self, reader: BodyReader) -> bool:
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
        """Answer at once, close, and read nothing more."""
        self._close_after_answer()
        self.requests[-1].refuse(error)
        self._end_body(b"")

    def _end_body(self, content: bytes) -> None:
        self._body = None
        self.requests[-1].set_body(content)
        self._is_parsing = True
        try:
            self.allContentReceived()
        finally:
            self._is_parsing = False

    def refuse(self, error: HeadError, method: bytes = b"GET") -> None:
        """Answer what is no request, close, and read nothing more."""
        self._close_after_answer()
        policy = () if method == b"POST" else self.site.header_policy.of(None, is_file=True)
        self.write(early_errors.answer(error, (*EVERY_ANSWER, *policy), method))
        self.loseConnection()

    def _close_after_answer(self) -> None:
        self._rest = b""
        self.persistent = False
        self._lingers = True

    def requestDone(self, request: TwistedRequest) -> None:
        """An answer was given; the next request is read once there is room for its answer."""
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
        """Write, within this call if the socket takes it."""
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
        """Keep the head of an answer until its first bytes, or its end.

        A client of HTTP/1.0 that would keep the connection must be told that it may, and the length
        of what it gets.
        """
        if version == b"HTTP/1.0" and self.persistent:
            self.persistent = headers.hasHeader(b"content-length") or int(code) in NO_BODY_CODES
            headers.setRawHeaders(b"Connection", [_OPTIONS[self.persistent]])
        lines = serialize_headers(_pairs(headers))
        self._head = b"%b %b %b\r\n%b\r\n" % (version, code, reason, lines)

    def write(self, data: bytes) -> None:
        """A part of an answer."""
        head, self._head = self._head, b""
        self.send(head + data if head else data)

    def writeSequence(self, iovec: Any) -> None:
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
        client loses the answer (RFC 9112 section 9.6).
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


def _leave_to_the_tree(_head: RequestHead) -> bool:
    return False


def _pairs(headers: Headers) -> list[tuple[bytes, bytes]]:
    return [(name, value) for name, values in headers.getAllRawHeaders() for value in values]
