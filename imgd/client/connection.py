"""HTTP/1.1 on a kept-alive connection, one request at a time; twisted's Agent is far slower."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone
from twisted.web.http import PotentialDataLoss
from twisted.web.http_headers import Headers
from twisted.web.iweb import UNKNOWN_LENGTH

from imgd import __version__
from imgd.client.errors import ConnectionReset, InvalidResponse, Unreachable
from imgd.client.trust import explain

_TLS_ALERT: Final = b"\x15\x03"  # RFC 8446 section 5.1
_SPEAKS_TLS: Final = "The server speaks TLS on this port: write https:// in the URL."
_NO_HTTP: Final = "The server's answer is not HTTP."
MAX_HEAD: Final = 64 * 1024  # bytes of a status line and its headers
_FIELDS: Final = f"User-Agent: imgd/{__version__}\r\nAccept-Encoding: identity\r\n".encode("ascii")


class HttpResponse:
    """An answer whose head is there, with as much of IResponse as treq uses."""

    def __init__(self, connection: HttpConnection, code: int, headers: Headers) -> None:
        self.code = code
        self.headers = headers
        length = self.header(b"content-length")
        self.length: Any = int(length) if length else UNKNOWN_LENGTH  # the parser has checked it
        self.chunks: list[bytes] = []  # of the body, which the reader does not have yet
        self.end: Failure | None = None
        self._connection = connection
        self._protocol: Any = None

    def header(self, name: bytes) -> str:
        return self.headers.getRawHeaders(name, [b""])[-1].decode("latin-1")

    def refuse_compression(self) -> None:
        for encoding in self.headers.getRawHeaders(b"content-encoding", []):
            if encoding.strip().lower() != b"identity":
                self._connection.loseConnection()
                field = f"Content-Encoding {encoding.decode('latin-1')}"
                raise InvalidResponse(f"The server compressed its answer unasked ({field}).")

    def deliverBody(self, protocol: Any) -> None:
        self._protocol = protocol
        protocol.makeConnection(self._connection)
        self.flush()

    def flush(self) -> None:
        if self._protocol is not None:
            chunks, self.chunks = self.chunks, []
            for chunk in chunks:
                self._protocol.dataReceived(chunk)
            if self.end is not None:
                self._protocol.connectionLost(self.end)

    def discard(self) -> None:
        if self.end is None:
            self._connection.loseConnection()


def is_plain(data: bytes, size: int) -> bool:
    """Whether this surely answers a HEAD of so many bytes; the parser takes five times as long."""
    low = data.lower()
    return (
        low.startswith(b"http/1.1 200 ")
        and low.find(b"\r\n\r\n") == len(low) - 4
        and low.count(b"\n") == low.count(b"\r\n")
        and low.count(b"\r\ncontent-length") == 1
        and b"\r\ncontent-length: %d\r\n" % size in low
        and b"\r\ncontent-encoding" not in low
        and b"\r\ntransfer-encoding" not in low
        and b"\r\nconnection" not in low
    )


class HttpConnection(Protocol):
    """One connection, which is used until either end closes it. Bytes not asked for close it."""

    fields = b""  # header lines of every request: Host, and a token
    _was_used = False
    _waiting: Deferred[Any] | None = None  # for the head of an answer
    _response: HttpResponse | None = None  # whose body is still coming
    _size: int | None = None  # announced, while ``check_sizes`` runs

    @property
    def is_idle(self) -> bool:
        return bool(self.connected) and self._waiting is None and self._response is None

    def request(
        self, method: bytes, target: bytes, fields: bytes = b"", body: bytes = b""
    ) -> Deferred[HttpResponse]:
        """Fires when the head of the answer is there. Cancelling closes the connection."""
        self._size = None
        waiting = self._wait(fields)
        self._send(method, target, body)
        return waiting

    def check_sizes(
        self, targets: Iterator[tuple[bytes, int]], on_good: Callable[[], object]
    ) -> Deferred[HttpResponse | None]:
        """HEAD for each target and announced size, at a third of the cost of requests. Fires with
        the first answer that is not plainly as announced, or with None after the last.
        """
        self._targets, self._on_good = targets, on_good
        waiting = self._wait()
        self._send_next()
        return waiting

    def loseConnection(self) -> None:
        if self.connected:
            self.connected = False
            # Over TLS, twisted's own waits for the peer to close, which may never do so (#8227).
            self.transport.abortConnection()  # type: ignore[union-attr]

    def _wait(self, fields: bytes = b"") -> Deferred[Any]:
        if not self.connected:
            raise ConnectionReset("The connection was closed.")
        self._head_end = b" HTTP/1.1\r\n%b%b%b\r\n" % (self.fields, _FIELDS, fields)
        self._waiting = Deferred(lambda _: self._fail(CancelledError()))
        return self._waiting

    def _send(self, method: bytes, target: bytes, body: bytes = b"") -> None:
        self._is_head = method == b"HEAD"
        self._parser: Any = None
        self._headers = Headers()
        self._head_size = self._body_size = 0
        self._is_whole = self._is_last = False
        self.transport.write(b"%b %b%b%b" % (method, target, self._head_end, body))  # type: ignore[union-attr]

    def _send_next(self) -> None:
        following = next(self._targets, None)
        if following is None:
            self._finish(None)
        else:
            target, self._size = following
            self._send(b"HEAD", target)

    def dataReceived(self, data: bytes) -> None:
        if self.is_idle:
            self.loseConnection()  # what comes next could be taken for another's answer
        if not self.connected:
            return
        if self._parser is not None or self._size is None or not is_plain(data, self._size):
            self._parse(data)
            return
        self._was_used = True
        try:
            self._on_good()
            self._send_next()
        except Exception as error:  # the caller's, who is told, and not the reactor
            self._fail(error)

    def _parse(self, data: bytes) -> None:
        if self._parser is None:
            self._parser = HttpResponseParser(self)
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade):
            if not self._is_whole:
                is_tls = data.startswith(_TLS_ALERT) and not self._head_size
                self._fail(InvalidResponse(_SPEAKS_TLS if is_tls else _NO_HTTP))
                return
            self._is_last = True
        if self._response is None:
            self._head_size += len(data)
            if self._head_size > MAX_HEAD:
                self._fail(InvalidResponse(f"The answer has headers of over {MAX_HEAD} bytes."))
        elif self._is_whole:
            self._was_used = True
            if self._is_last:
                self.loseConnection()
            self._finish(self._response, Failure(ResponseDone()))
        else:
            self._finish(self._response)

    # Called by the parser, within which no code of a caller runs.
    def on_message_begin(self) -> None:
        self._is_last |= self._is_whole  # one more answer, which nobody asked for

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.addRawHeader(name, value)

    def on_headers_complete(self) -> None:
        code = self._parser.get_status_code()
        headers, self._headers = self._headers, Headers()
        if code >= 200 and not self._is_whole:  # less is interim, RFC 9110 section 15.2
            self._response = HttpResponse(self, code, headers)
            # Asked later, llhttp says that every connection can be kept.
            self._is_last = not self._parser.should_keep_alive()
            self._is_whole = self._is_head

    def on_body(self, data: bytes) -> None:
        self._is_last |= self._is_whole
        if self._response is not None and not self._is_whole:
            self._body_size += len(data)
            self._response.chunks.append(data)

    def on_message_complete(self) -> None:
        self._is_whole = self._response is not None  # and not of an interim answer

    def _fail(self, error: Exception) -> None:
        self.loseConnection()
        self._finish(Failure(error), Failure(error))

    def _finish(self, result: HttpResponse | Failure | None, end: Failure | None = None) -> None:
        """Give the result to who waits for the head, and what has come to the body's reader."""
        response, waiting, self._waiting = self._response, self._waiting, None
        if response is not None:
            if end is not None:
                response.end, self._response = end, None
            response.flush()
        if waiting is not None:
            waiting.callback(result)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.connected = False
        response = self._response
        if response is None:
            if self._was_used and not self._head_size:
                self._fail(ConnectionReset("The connection was closed while it was idle."))
            elif self._waiting is not None:
                self._fail(explain(reason.value))
            return
        size = response.header(b"content-length")
        has_end = size or response.headers.hasHeader(b"transfer-encoding")
        if reason.check(ConnectionDone) and not has_end:  # its end is the connection's
            self._finish(response, Failure(PotentialDataLoss()))
            return
        detail = f"The connection closed after {self._body_size} of {size or '?'} bytes."
        self._fail(Unreachable(detail))
