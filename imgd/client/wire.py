"""The lean way to ask for many URLs: HTTP/1.1 on a kept-alive connection, one request at a time.

twisted.web's Agent costs several times what the daemon spends on the same request (see
``benchmarks/client.py``), so that checking would run at the client's pace and not at the
daemon's. Nothing here knows of imgd: a request goes out, and what came back is told.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final, NamedTuple, cast

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure

from imgd import __version__
from imgd.client.errors import ClientError, Misbehaved, Stale, Unreachable
from imgd.client.trust import explain

MAX_HEAD: Final = 64 * 1024  # bytes of a status line and its headers
TOO_MUCH_HEAD: Final = f"The server's headers are longer than {MAX_HEAD} bytes."
_HEADERS: Final = (
    b"User-Agent: imgd/%b\r\nAccept: */*\r\nAccept-Encoding: identity\r\n\r\n"
    % __version__.encode("ascii")
)
_WANTED: Final = frozenset(
    {b"content-length", b"content-encoding", b"transfer-encoding", b"location", b"retry-after"}
)


class Answer(NamedTuple):
    """What came back: the status, headers by lower-case name, and how many bytes of body.

    ``headers`` has those that matter here. ``received`` goes one read past the cap at most.
    """

    status: int
    headers: dict[bytes, bytes]
    received: int

    @property
    def length(self) -> int | None:
        """``Content-Length``, which the parser has found to be a number."""
        value = self.headers.get(b"content-length")
        return None if value is None else int(value)


def is_plain(data: bytes, size: int) -> bool:
    """Whether this is plainly the whole answer to a HEAD of a whole file of so many bytes.

    What is not wholly recognised goes to the parser, which takes five times as long.
    """
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


class Wire(Protocol):
    """One connection, which is used until either end closes it."""

    def __init__(self) -> None:
        self.is_open = False
        self._used = False
        self._waiting: Deferred[Answer | None] | None = None
        self._asks: Iterator[tuple[bytes, int]] = iter(())
        self._size: int | None = None
        self._came: Callable[[], object] = int
        self._headers_sent = _HEADERS

    def connectionMade(self) -> None:
        """Ready for the first request."""
        self.is_open = True

    def bear(self, token: str) -> None:
        """Show this token with every request from now on (RFC 6750 section 2.1)."""
        plain = b" ".join(token.encode("utf-8", "surrogateescape").split())  # ends no line
        self._headers_sent = b"Authorization: Bearer %b\r\n%b" % (plain, _HEADERS)

    def ask(self, method: bytes, authority: bytes, target: bytes, cap: int) -> Deferred[Answer]:
        """The answer to a GET or HEAD; of a body, not more than ``cap`` bytes are waited for.

        One request at a time. Cancelling aborts the connection.
        """
        self._size = None
        waiting = self._expect(authority)
        self._send(method, target, cap)
        return cast("Deferred[Answer]", waiting)

    def run(
        self,
        authority: bytes,
        asks: Iterable[tuple[bytes, int]],
        came: Callable[[], object],
    ) -> Deferred[Answer | None]:
        """HEAD for one target after the other, as long as each answer is plainly a whole file's.

        ``asks`` has targets and the sizes that are announced for them; ``came`` is called for each
        that is so. Fires with the first answer that is not, or with None after the last: which
        means that nothing is decided here but what needs no thought, at a third of the cost of
        :meth:`ask`. Cancelling aborts the connection.
        """
        self._asks, self._came = iter(asks), came
        waiting = self._expect(authority)
        self._next()
        return waiting

    def _expect(self, authority: bytes) -> Deferred[Answer | None]:
        if not self.is_open:
            raise Stale("The connection was closed.")
        self._rest = b" HTTP/1.1\r\nHost: %b\r\n%b" % (authority, self._headers_sent)
        waiting: Deferred[Answer | None] = Deferred(lambda _: self._forget())
        self._waiting = waiting
        return waiting

    def _send(self, method: bytes, target: bytes, cap: int) -> None:
        self._bodiless, self._cap = method == b"HEAD", cap
        self._status = self._received = self._head = 0
        self._headers: dict[bytes, bytes] = {}
        self._is_whole = self._is_last = False
        self._parser: HttpResponseParser | None = None
        self.transport.write(b"%b %b%b" % (method, target, self._rest))  # type: ignore[union-attr]

    def _next(self) -> None:
        """The next request of a run, or its end."""
        ask = next(self._asks, None)
        if ask is None:
            self._deliver(None)
            return
        target, self._size = ask
        self._send(b"HEAD", target, 0)

    def abort(self) -> None:
        """Give the connection up at once."""
        self.is_open = False
        self.transport.abortConnection()  # type: ignore[union-attr]

    def _forget(self) -> None:
        self._waiting = None
        self.abort()

    def dataReceived(self, data: bytes) -> None:
        """Some of an answer, or all of it."""
        if self._waiting is None:
            self.abort()  # nobody asked: what comes next could be taken for another's answer
        elif self._parser is None and self._size is not None and is_plain(data, self._size):
            self._go_on()
        else:
            self._parse(data)

    def _go_on(self) -> None:
        self._used = True
        try:
            self._came()
            self._next()
        except Exception as error:  # the asker's, who shall hear of it, and not the reactor
            self._fail(error)

    def _parse(self, data: bytes) -> None:
        if self._parser is None:
            self._parser = HttpResponseParser(self)
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade):
            if not self._is_whole:
                self._fail(Misbehaved("The server's answer is not HTTP."))
                return
            self._is_last = True
        if self._is_whole:
            self._finish()
        elif not self._status:
            self._head += len(data)
            if self._head > MAX_HEAD:
                self._fail(Misbehaved(TOO_MUCH_HEAD))

    def on_header(self, name: bytes, value: bytes) -> None:
        """Called by the parser."""
        name = name.lower()
        if name in _WANTED:
            self._headers[name] = value

    def on_headers_complete(self) -> None:
        """Called by the parser."""
        parser = cast(HttpResponseParser, self._parser)
        status = parser.get_status_code()
        if status < 200:  # interim, RFC 9110 section 15.2: the answer is still to come
            self._headers = {}
            return
        self._status = status
        # Asked later, llhttp says that every connection can be kept.
        self._is_last = not parser.should_keep_alive()
        self._is_whole = self._bodiless

    def on_body(self, data: bytes) -> None:
        """Called by the parser. A body where none may be spoils the connection."""
        self._received += len(data)
        if self._bodiless or self._received > self._cap:
            self._is_whole = self._is_last = True

    def on_message_complete(self) -> None:
        """Called by the parser, and after an interim answer too."""
        self._is_whole = self._status != 0

    def _finish(self) -> None:
        self._used = True
        if self._is_last:
            self.abort()
        self._deliver(Answer(self._status, self._headers, self._received))

    def _deliver(self, answer: Answer | None) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting.callback(answer)

    def _fail(self, error: Exception) -> None:
        self.abort()
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting.errback(Failure(error))

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Whoever waits hears why there is no answer, or that its end was this."""
        self.is_open = False
        if self._waiting is None:
            return
        if self._status and not self._is_delimited() and reason.check(ConnectionDone):
            self._finish()  # the end of the connection is the end of the body
        else:
            self._fail(self._loss(reason))

    def _is_delimited(self) -> bool:
        return b"content-length" in self._headers or b"transfer-encoding" in self._headers

    def _loss(self, reason: Failure) -> ClientError:
        if self._status:
            announced = self._headers.get(b"content-length", b"?").decode("latin-1")
            return Unreachable(
                f"The connection closed after {self._received} of {announced} bytes."
            )
        if self._used and not self._head:
            return Stale("The connection was closed while it was idle.")
        return explain(reason)
