"""The connection, byte by byte."""

from __future__ import annotations

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from imgd.client.connection import HttpConnection, HttpResponse, is_plain
from imgd.client.errors import ConnectionReset, InvalidResponse, Unreachable
from imgd.client.transport import read_body

HEAD = b'HTTP/1.1 200 OK\r\nContent-Length: 3\r\nETag: "x"\r\n\r\n'


class Transport(StringTransport):
    aborted = False

    def abortConnection(self) -> None:
        self.aborted = True


class ConnectionCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.transport = Transport()
        self.connection = HttpConnection()
        self.connection.fields = b"Host: here:81\r\n"
        self.connection.makeConnection(self.transport)

    def head(self) -> Deferred[HttpResponse]:
        return self.connection.request(b"HEAD", b"/")

    def get(self) -> Deferred[HttpResponse]:
        return self.connection.request(b"GET", b"/")

    def body(self, asking: Deferred[HttpResponse]) -> tuple[Deferred[None], list[bytes]]:
        chunks: list[bytes] = []
        reading = read_body(self.successResultOf(asking), chunks.append)
        return Deferred.fromCoroutine(reading), chunks


class Requests(ConnectionCase):
    def test_request(self) -> None:
        """A request is one line, the headers that HTTP/1.1 wants, and its body."""
        self.connection.request(b"POST", b"/a%20b", b"Content-Length: 2\r\n", b"{}")
        head, body = self.transport.value().split(b"\r\n\r\n")
        first, *headers = head.split(b"\r\n")
        self.assertEqual((first, body), (b"POST /a%20b HTTP/1.1", b"{}"))
        for header in (b"Host: here:81", b"Accept-Encoding: identity", b"Content-Length: 2"):
            self.assertEqual(headers.count(header), 1)

    def test_any_cut(self) -> None:
        """An answer is the same however its bytes are cut."""
        whole = HEAD + b"abc"
        for size in (1, 2, 7, len(whole)):
            asking = self.get()
            reading: Deferred[None] | None = None
            chunks: list[bytes] = []
            for start in range(0, len(whole), size):
                self.assertTrue(reading is None or not reading.called)
                self.connection.dataReceived(whole[start : start + size])
                if reading is None and asking.called:
                    reading, chunks = self.body(asking)
            assert reading is not None
            self.successResultOf(reading)
            self.assertEqual(b"".join(chunks), b"abc")
            self.assertTrue(self.connection.is_idle)
        self.assertFalse(self.transport.aborted)

    def test_head(self) -> None:
        """The answer to a HEAD is whole with its headers."""
        asking = self.head()
        self.connection.dataReceived(HEAD)
        self.assertEqual(self.successResultOf(asking).length, 3)
        self.assertTrue(self.connection.is_idle)

    def test_close(self) -> None:
        """After ``Connection: close`` the connection is given up."""
        asking = self.head()
        self.connection.dataReceived(HEAD.replace(b"ETag", b"Connection: close\r\nETag"))
        self.assertEqual(self.successResultOf(asking).code, 200)
        self.assertTrue(self.transport.aborted)
        self.assertRaises(ConnectionReset, self.head)

    def test_not_asked_for(self) -> None:
        """Bytes that nobody asked for end the connection, behind an answer and between two."""
        self.connection.dataReceived(HEAD)
        self.assertTrue(self.transport.aborted)
        for extra in (b"H", HEAD + b"abc"):
            self.setUp()
            asking = self.get()
            self.connection.dataReceived(HEAD + b"abc" + extra)
            reading, chunks = self.body(asking)
            self.successResultOf(reading)
            self.assertEqual(chunks, [b"abc"])
            self.assertTrue(self.transport.aborted)

    def test_lost(self) -> None:
        """A loss before the answer is a reset on a connection that had served, else unreachable."""
        asking = self.head()
        self.connection.connectionLost(Failure(ConnectionLost()))
        self.assertNotIsInstance(self.failureResultOf(asking, Unreachable).value, ConnectionReset)
        self.setUp()
        self.head()
        self.connection.dataReceived(HEAD)
        asking = self.head()
        self.connection.connectionLost(Failure(ConnectionDone()))
        self.failureResultOf(asking, ConnectionReset)

    def test_lost_in_the_body(self) -> None:
        """A loss within a body says how much of it came; without a length it is the end of it."""
        asking = self.get()
        self.connection.dataReceived(HEAD + b"a")
        reading, _ = self.body(asking)
        self.connection.connectionLost(Failure(ConnectionDone()))
        error = self.failureResultOf(reading, Unreachable)
        self.assertIn("after 1 of 3 bytes", error.value.detail)
        self.setUp()
        asking = self.get()
        self.connection.dataReceived(b"HTTP/1.1 200 OK\r\n\r\nabc")
        reading, chunks = self.body(asking)
        self.connection.connectionLost(Failure(ConnectionDone()))
        self.successResultOf(reading)
        self.assertEqual(chunks, [b"abc"])

    def test_cancelled(self) -> None:
        """Cancelling aborts the connection, before the answer and within its body."""
        asking = self.head()
        asking.cancel()
        self.failureResultOf(asking, CancelledError)
        self.assertTrue(self.transport.aborted)
        self.setUp()
        asking = self.get()
        self.connection.dataReceived(HEAD)
        reading, _ = self.body(asking)
        reading.cancel()
        self.failureResultOf(reading, CancelledError)
        self.assertTrue(self.transport.aborted)

    def test_errors_of_the_reader(self) -> None:
        """What goes wrong in the reader of a body comes back to it, and ends the connection."""
        asking = self.get()
        self.connection.dataReceived(HEAD)

        def broken(data: bytes) -> None:
            raise OSError("no space left")

        response = self.successResultOf(asking)
        reading = Deferred.fromCoroutine(read_body(response, broken))
        self.connection.dataReceived(b"ab")
        self.connection.dataReceived(b"c")
        self.failureResultOf(reading, OSError)
        self.assertTrue(self.transport.aborted)

    def test_not_http(self) -> None:
        """What is not HTTP is no answer, nor is a body whose chunks are not."""
        chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        for data in (b"220 mail.example ESMTP\r\n", chunked + b"x\r\n"):
            self.setUp()
            asking = self.get()
            self.connection.dataReceived(data)
            self.failureResultOf(asking, InvalidResponse)
            self.assertTrue(self.transport.aborted)

    def test_two_lengths(self) -> None:
        """An answer with two different lengths is no answer: RFC 9112 section 6.3."""
        asking = self.get()
        self.connection.dataReceived(HEAD.replace(b"ETag", b"Content-Length: 5\r\nETag"))
        self.failureResultOf(asking, InvalidResponse)


class Runs(ConnectionCase):
    """Many HEADs with one Deferred."""

    def setUp(self) -> None:
        super().setUp()
        self.good = 0

    def on_good(self) -> None:
        self.good += 1

    def run_three(self) -> Deferred[HttpResponse | None]:
        targets = iter([(b"/a", 3), (b"/b", 3), (b"/c", 3)])
        return self.connection.check_sizes(targets, self.on_good)

    def asked(self) -> list[bytes]:
        return [line for line in self.transport.value().split(b"\r\n") if b" HTTP/" in line]

    def test_all_plain(self) -> None:
        """As long as all is well the next is asked, and one Deferred fires at the end."""
        run = self.run_three()
        for number in range(1, 4):
            self.assertEqual(len(self.asked()), number)
            self.assertNoResult(run)
            self.connection.dataReceived(HEAD)
        self.assertIsNone(self.successResultOf(run))
        self.assertEqual(self.asked()[-1], b"HEAD /c HTTP/1.1")
        self.assertEqual(self.good, 3)
        self.assertTrue(self.connection.is_idle)

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
            self.connection.dataReceived(HEAD)
            self.connection.dataReceived(other)
            self.assertIsInstance(self.successResultOf(run), HttpResponse)
            self.assertEqual((self.good, len(self.asked())), (1, 2))

    def test_in_pieces(self) -> None:
        """A plain answer that comes in pieces is left to the parser, and to who asked."""
        run = self.run_three()
        self.connection.dataReceived(HEAD[:9])
        self.connection.dataReceived(HEAD[9:])
        response = self.successResultOf(run)
        assert response is not None
        self.assertEqual((response.code, response.length, self.good), (200, 3, 0))

    def test_lost_and_cancelled(self) -> None:
        """A loss, and cancelling, end the run; what was good stays good."""
        run = self.run_three()
        self.connection.dataReceived(HEAD)
        self.connection.connectionLost(Failure(ConnectionLost()))
        self.failureResultOf(run, ConnectionReset)
        self.assertEqual(self.good, 1)
        self.setUp()
        run = self.run_three()
        run.cancel()
        self.failureResultOf(run, CancelledError)
        self.assertTrue(self.transport.aborted)
        self.connection.dataReceived(HEAD)
        self.assertEqual(self.good, 0)

    def test_errors_of_the_caller(self) -> None:
        """What goes wrong in the caller's own functions comes back to the caller."""

        def broken() -> None:
            raise OSError("no space left")

        run = self.connection.check_sizes(iter([(b"/a", 3), (b"/b", 3)]), broken)
        self.connection.dataReceived(HEAD)
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
