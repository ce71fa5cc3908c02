"""A connection: bytes in, past the lane to twisted.web's parser, and answers out.

What arrives takes these steps, in this order: the strict check of a head
(``imgd.core.http_rules``) -> lane -> HTTPChannel. Bodies are HTTPChannel's alone. A read that is
one whole head, and nothing else, may be answered by the lane at once: it recognises nothing that
the check refuses.
"""

from __future__ import annotations

from typing import Any

from twisted.python.failure import Failure
from twisted.web.http import Request as TwistedRequest
from twisted.web.http_headers import Headers

from imgd.core.http_rules import MAX_LINE, MAX_SECTION, Head, HeadReader, Refusal
from imgd.host import tcp
from imgd.web import refusals
from imgd.web.visit import Visit


class Channel(Visit):
    """One HTTP/1.1 connection of an ``imgd.web.site.Site``.

    Head and body of an answer leave in one write where they are ready together. While a client
    does not read, no further request of it is answered: what waits for it stays bounded.
    """

    # What twisted.web counts itself is above what the strict check lets through.
    totalHeadersSize = MAX_LINE + MAX_SECTION
    _writes_now = False
    _head = b""
    _rest = b""  # bytes that came and are not heard yet
    _is_parsing = False  # twisted.web is at it, further up the stack

    def connectionMade(self) -> None:
        """The connection is there."""
        self._reader = HeadReader()
        super().connectionMade()
        if tcp.is_tcp(self.transport):
            self._writes_now = True

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]
        """The connection is gone."""
        self._head = self._rest = b""
        super().connectionLost(reason)

    # In

    def dataReceived(self, data: bytes) -> None:
        """Bytes came: each head is checked, then it is for the lane, or for twisted.web."""
        if data:
            self.heard = True
        self._rest += data
        if self._is_parsing:
            return  # what followed a body, handed back: heard once twisted.web is done with that
        while self._rest and self._hear():
            pass

    def _hear(self) -> bool:
        """Hear what is there: one head, or anything of a body. False where more must come first."""
        if self.requests or not (self.line_mode and self.persistent):
            data, self._rest = self._rest, b""
            self._parse(data)
            return True
        if self.paused:
            return False
        data, self._rest = self._rest, b""
        self.heard = True
        was_asked = self._reader.is_new
        if was_asked and self._answer(data):
            return True
        match self._reader.feed(data):
            case Head(head, rest):
                self._rest = rest
                was_asked = was_asked and len(head) == len(data)
                if was_asked or not self._answer(head):
                    self._parse(head)
                return True
            case Refusal() as refusal:
                self.refuse(refusal)
        return False

    def _answer(self, head: bytes) -> bool:
        """Whether the lane took it."""
        answer = self.site.lane.answer(head, self)
        if answer is None:
            return False
        self.heard = False
        self.send(answer)
        return True

    def _parse(self, data: bytes) -> None:
        self._is_parsing = True
        try:
            super().dataReceived(data)
        finally:
            self._is_parsing = False

    def refuse(self, refusal: Refusal) -> None:
        """Answer what is no request, close, and hear nothing more."""
        self.persistent = False
        self.write(refusals.answer(refusal, self.site.header_policy.of(b"GET", None)))
        self.loseConnection()

    def requestDone(self, request: TwistedRequest) -> None:
        """An answer was given; the next request is heard once there is room for another."""
        self._flush_head()
        self.heard = False
        if self._is_full and self.persistent:
            self.paused = True
            self.transport.pauseProducing()  # type: ignore[union-attr]
        super().requestDone(request)
        self.site.reception.note(self)

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
        super().loseConnection()

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
