"""What a head asks, which body it announces, and what a parser sees of it."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from imgd.core.http_rules import check
from imgd.core.request_head import Announced, RequestHead, read_head


def read(head: bytes) -> RequestHead:
    """A head that passes the check, and so does what a parser sees of it."""
    assert check(head) is None, head
    found = read_head(head)
    assert check(found.plain) is None, found.plain
    return found


class HeadTests(SynchronousTestCase):
    def test_plain(self) -> None:
        """What is plain already stays as it is, to the byte."""
        for head in (
            b"GET /a?b HTTP/1.1\r\nHost: a\r\n\r\n",
            b"GET / HTTP/1.0\r\n\r\n",
            b"OPTIONS * HTTP/1.1\r\nhost:a\r\nX: b \r\nX:\r\n\r\n",
        ):
            found = read(head)
            self.assertEqual((found.plain, found.body, found.scheme), (head, None, b""))

    def test_versions(self) -> None:
        """1.x is read as 1.1, and 1.0 stays."""
        for given, wanted in ((b"1.2", b"1.1"), (b"1.9", b"1.1"), (b"1.1", b"1.1")):
            head = b"GET / HTTP/" + given + b"\r\nHost: a\r\n\r\n"
            self.assertEqual(read(head).plain, head.replace(given, wanted))

    def test_absolute(self) -> None:
        """An absolute target becomes its path, and its authority the only Host."""
        for target, path, scheme in (
            (b"http://b:80/c?d", b"/c?d", b"http"),
            (b"HTTPS://b:80", b"/", b"https"),
            (b"http://b:80?d", b"/?d", b"http"),
        ):
            found = read(b"GET " + target + b" HTTP/1.2\r\nX: y\r\nhOST: a\r\nZ: z\r\n\r\n")
            wanted = b"GET " + path + b" HTTP/1.1\r\nHost: b:80\r\nX: y\r\nZ: z\r\n\r\n"
            self.assertEqual((found.plain, found.target, found.scheme), (wanted, path, scheme))

    def test_framing(self) -> None:
        """What frames a body, and the expectation, are told, and are not seen by the parser."""
        start = b"POST /a HTTP/1.1\r\nHost: a\r\n"
        for fields, wanted in (
            (b"Content-Length: 5\r\n", Announced(5, (), False)),
            (b"content-length:007\t\r\nX: y\r\n", Announced(7, (), False)),
            (b"Content-Length: 0\r\n", None),
            (b"Content-Length: 000\r\nExpect: 100-continue\r\n", None),
            (b"Expect: 100-continue\r\n", None),
            (b"Transfer-Encoding: chunked\r\n", Announced(None, (), False)),
            (
                b"transfer-encoding:  Chunked \r\nExpect: 100-Continue\r\nX: y\r\n",
                Announced(None, (), True),
            ),
            (b"Content-Length: 1\r\nExpect: 101\r\n", Announced(1, (), False)),
            (
                b"Content-Length: 1\r\nContent-Type: a/b \r\ncontent-type:c\r\n",
                Announced(1, (b"a/b", b"c"), False),
            ),
        ):
            found = read(start + fields + b"\r\n")
            self.assertEqual((found.body, found.method), (wanted, b"POST"), fields)
            for name in (b"content-length", b"transfer-encoding", b"expect"):
                self.assertNotIn(name, found.plain.lower())
            self.assertEqual(b"X: y" in fields, b"X: y" in found.plain)

    def test_no_interim_answers(self) -> None:
        """A client of HTTP/1.0 waits for no 100, whatever it says; one of 1.2 does."""
        for version, waits in ((b"1.0", False), (b"1.1", True), (b"1.2", True)):
            head = b"POST / HTTP/" + version + b"\r\nHost: a\r\n"
            found = read(head + b"Expect: 100-continue\r\nContent-Length: 3\r\n\r\n")
            self.assertEqual(found.body, Announced(3, (), waits))
