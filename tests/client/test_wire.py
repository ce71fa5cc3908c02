"""The lean connection, byte by byte."""

from __future__ import annotations

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from imgd.client.errors import Misbehaved, Stale, Unreachable
from imgd.client.urls import apart
from imgd.client.wire import Answer, Wire, is_plain

HEAD = b'HTTP/1.1 200 OK\r\nContent-Length: 3\r\nETag: "x"\r\n\r\n'


class Transport(StringTransport):
    aborted = False

    def abortConnection(self) -> None:
        self.aborted = True


class Wires(SynchronousTestCase):
    def setUp(self) -> None:
        self.transport = Transport()
        self.wire = Wire()
        self.wire.makeConnection(self.transport)

    def test_request(self) -> None:
        """A request is one line and the headers that HTTP/1.1 wants."""
        self.wire.ask(b"HEAD", b"here:81", b"/images/a%20b", 0)
        head, blank = self.transport.value().split(b"\r\n\r\n")
        first, *headers = head.split(b"\r\n")
        self.assertEqual((first, blank), (b"HEAD /images/a%20b HTTP/1.1", b""))
        self.assertIn(b"Host: here:81", headers)

    def test_token(self) -> None:
        """A token that it is given is shown with every request, and ends no line."""
        for token, header in (
            ("abc", b"Authorization: Bearer abc"),
            ("abc\r\nX: y\n", b"Authorization: Bearer abc X: y"),
            ("ü", b"Authorization: Bearer \xc3\xbc"),
        ):
            self.setUp()
            self.wire.bear(token)
            self.wire.ask(b"HEAD", b"here", b"/a", 0)
            self.wire.dataReceived(HEAD)
            self.wire.run(b"here", [(b"/b", 3)], int)
            for sent in self.transport.value().split(b"\r\n\r\n")[:2]:
                self.assertEqual(sent.split(b"\r\n").count(header), 1)
                self.assertEqual(len(sent.split(b"\r\n")), 6)

    def test_any_cut(self) -> None:
        """An answer is the same however its bytes are cut."""
        whole = HEAD + b"abc"
        for size in (1, 2, 7, len(whole)):
            answer = self.wire.ask(b"GET", b"here", b"/", 3)
            for start in range(0, len(whole), size):
                self.assertNoResult(answer)
                self.wire.dataReceived(whole[start : start + size])
            self.assertEqual(
                self.successResultOf(answer), Answer(200, {b"content-length": b"3"}, 3)
            )
        self.assertFalse(self.transport.aborted)

    def test_head(self) -> None:
        """The answer to a HEAD is whole with its headers."""
        answer = self.wire.ask(b"HEAD", b"here", b"/", 0)
        self.wire.dataReceived(HEAD)
        self.assertEqual(self.successResultOf(answer).length, 3)
        self.assertTrue(self.wire.is_open)

    def test_close(self) -> None:
        """After ``Connection: close`` the connection is given up."""
        answer = self.wire.ask(b"HEAD", b"here", b"/", 0)
        self.wire.dataReceived(HEAD.replace(b"ETag", b"Connection: close\r\nETag"))
        self.assertEqual(self.successResultOf(answer).status, 200)
        self.assertTrue(self.transport.aborted)
        self.assertRaises(Stale, self.wire.ask, b"HEAD", b"here", b"/", 0)

    def test_unasked(self) -> None:
        """Bytes that nobody asked for end the connection."""
        self.wire.dataReceived(HEAD)
        self.assertTrue(self.transport.aborted)

    def test_lost(self) -> None:
        """A loss before the answer is stale on a connection that had served, else unreachable."""
        answer = self.wire.ask(b"HEAD", b"here", b"/", 0)
        self.wire.connectionLost(Failure(ConnectionLost()))
        self.assertNotIsInstance(self.failureResultOf(answer, Unreachable).value, Stale)
        self.setUp()
        self.wire.ask(b"HEAD", b"here", b"/", 0)
        self.wire.dataReceived(HEAD)
        answer = self.wire.ask(b"HEAD", b"here", b"/", 0)
        self.wire.connectionLost(Failure(ConnectionDone()))
        self.failureResultOf(answer, Stale)

    def test_cancelled(self) -> None:
        """Calling it off aborts the connection."""
        answer = self.wire.ask(b"HEAD", b"here", b"/", 0)
        answer.cancel()
        self.failureResultOf(answer, CancelledError)
        self.assertTrue(self.transport.aborted)

    def test_two_lengths(self) -> None:
        """An answer with two different lengths is no answer: RFC 9112 section 6.3."""
        answer = self.wire.ask(b"GET", b"here", b"/", 9)
        self.wire.dataReceived(HEAD.replace(b"ETag", b"Content-Length: 5\r\nETag"))
        self.failureResultOf(answer, Misbehaved)


class Runs(SynchronousTestCase):
    """Many HEADs with one Deferred."""

    def setUp(self) -> None:
        self.transport = Transport()
        self.wire = Wire()
        self.wire.makeConnection(self.transport)
        self.came: list[None] = []

    def run_three(self) -> Deferred[Answer | None]:
        asks = [(b"/a", 3), (b"/b", 3), (b"/c", 3)]
        return self.wire.run(b"here", asks, lambda: self.came.append(None))

    def asked(self) -> list[bytes]:
        return [line for line in self.transport.value().split(b"\r\n") if b" HTTP/" in line]

    def test_all_plain(self) -> None:
        """As long as all is well the next is asked, and one Deferred fires at the end."""
        run = self.run_three()
        for number in range(1, 4):
            self.assertEqual(len(self.asked()), number)
            self.assertNoResult(run)
            self.wire.dataReceived(HEAD)
        self.assertIsNone(self.successResultOf(run))
        self.assertEqual(self.asked()[-1], b"HEAD /c HTTP/1.1")
        self.assertEqual(len(self.came), 3)
        self.assertTrue(self.wire.is_open)

    def test_another_answer(self) -> None:
        """An answer that needs thought ends the run, and is given back for it."""
        for other in (
            HEAD.replace(b"200 OK", b"404 Gone"),
            HEAD.replace(b": 3", b": 4"),
            HEAD.replace(b"ETag", b"Content-Encoding: gzip\r\nETag"),
            HEAD.replace(b"ETag", b"connection: close\r\nETag"),
        ):
            self.setUp()
            run = self.run_three()
            self.wire.dataReceived(HEAD)
            self.wire.dataReceived(other)
            self.assertIsInstance(self.successResultOf(run), Answer)
            self.assertEqual((len(self.came), len(self.asked())), (1, 2))

    def test_in_pieces(self) -> None:
        """A plain answer that comes in pieces is left to the parser, and to who asked."""
        run = self.run_three()
        self.wire.dataReceived(HEAD[:9])
        self.wire.dataReceived(HEAD[9:])
        answer = self.successResultOf(run)
        assert answer is not None
        self.assertEqual((answer.status, answer.length, self.came), (200, 3, []))

    def test_lost_and_cancelled(self) -> None:
        """A loss, and calling it off, end the run; what was good stays good."""
        run = self.run_three()
        self.wire.dataReceived(HEAD)
        self.wire.connectionLost(Failure(ConnectionLost()))
        self.failureResultOf(run, Stale)
        self.assertEqual(len(self.came), 1)
        self.setUp()
        run = self.run_three()
        run.cancel()
        self.failureResultOf(run, CancelledError)
        self.assertTrue(self.transport.aborted)

    def test_errors_of_the_asker(self) -> None:
        """What goes wrong in the asker's own functions comes back to the asker."""

        def broken() -> None:
            raise OSError("no space left")

        run = self.wire.run(b"here", [(b"/a", 3), (b"/b", 3)], broken)
        self.wire.dataReceived(HEAD)
        self.failureResultOf(run, OSError)
        self.assertTrue(self.transport.aborted)

    def test_plain(self) -> None:
        """Only what is wholly recognised is plain."""
        self.assertTrue(is_plain(HEAD, 3))
        self.assertTrue(is_plain(HEAD.replace(b"Content-L", b"content-l"), 3))
        for data, size in (
            (HEAD, 4),
            (HEAD, 33),
            (HEAD[:-2], 3),
            (HEAD + b"abc", 3),
            (HEAD + HEAD, 3),
            (HEAD.replace(b"200", b"206"), 3),
            (HEAD.replace(b"200 OK", b"2000 OK"), 3),
            (HEAD.replace(b"HTTP/1.1", b"HTTP/1.0"), 3),
            (HEAD.replace(b"Content-Length: 3\r\n", b""), 3),
            (HEAD.replace(b"Content-Length: 3", b"X: 1\nContent-Length: 3"), 3),
            (HEAD.replace(b"ETag", b"Content-Length: 3\r\nETag"), 3),
            (HEAD.replace(b"ETag", b"Content-Length : 9\r\nETag"), 3),
            (HEAD.replace(b"ETag", b"Transfer-Encoding: chunked\r\nETag"), 3),
        ):
            self.assertFalse(is_plain(data, size), data)


class Urls(SynchronousTestCase):
    def test_apart(self) -> None:
        """A URL is taken apart into what stands for its origin and what is asked there."""
        for url, root, target in (
            ("https://a/b?c#d", "https://a", b"/b?c"),
            ("http://a:81", "http://a:81", b"/"),
            ("http://[::1]:81/x", "http://[::1]:81", b"/x"),
            ("https://a?q", "https://a", b"/?q"),
        ):
            self.assertEqual(apart(url), (root, target))

    def test_not_urls(self) -> None:
        """What could end a request line, or is no http URL, is refused."""
        for url in (
            "https://a/\r\nX: y",
            "https://a/b c",
            "https://a/\x00",
            "https://a/ü",
            "file:///etc/passwd",
            "https://",
            "",
        ):
            self.assertRaises(Misbehaved, apart, url)
