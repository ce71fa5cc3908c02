"""The parser of heads, row by row from RFC 9110 and RFC 9112."""

from __future__ import annotations

import h11
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from imgd.core.http_rules import MAX_FIELDS, MAX_LINE, MAX_SECTION, HeadError
from imgd.core.request_head import (
    MAX_REMEMBERED,
    MAX_REMEMBERED_FIELDS,
    MAX_REMEMBERED_OCTETS,
    AnnouncedBody,
    HeadReader,
    RequestHead,
    is_last,
    parse_head,
)

PROPERTY = settings(deadline=None, database=None, max_examples=300)
GET = b"GET / HTTP/1.1\r\n"
HOST = b"Host: a\r\n"
POST = b"POST /unload HTTP/1.1\r\nHost: a\r\n"


def line(text: bytes) -> bytes:
    """A head with this request line."""
    return text + b"\r\n" + HOST + b"\r\n"


def field(text: bytes) -> bytes:
    """A head with this header field, or these, besides a good Host."""
    return GET + HOST + text + b"\r\n\r\n"


def host(text: bytes) -> bytes:
    """A head with this Host and no other."""
    return GET + b"Host: " + text + b"\r\n\r\n"


def body(text: bytes) -> bytes:
    """A POST with these header fields."""
    return POST + text + b"\r\n\r\n"


# Where the rule stands, the head, and what it becomes: 0 is accepted.
ROWS: tuple[tuple[str, bytes, int], ...] = (
    # The request line
    ("9112 3", line(b"GET / HTTP/1.1"), 0),
    ("9112 3", line(b"GET /a%20b?c=d&e HTTP/1.1"), 0),
    ("9112 3", line(b"GET  / HTTP/1.1"), 400),
    ("9112 3", line(b"GET /  HTTP/1.1"), 400),
    ("9112 3", line(b" GET / HTTP/1.1"), 400),
    ("9112 3", line(b"GET / HTTP/1.1 "), 400),
    ("9112 3", line(b"GET\t/\tHTTP/1.1"), 400),
    ("9112 3.2", line(b"GET /a b HTTP/1.1"), 400),
    ("9112 3", line(b"GET /"), 400),
    ("9112 3", line(b"GET"), 400),
    ("9112 3", line(b""), 400),
    ("9112 3", line(b"GET /" + b"a" * (MAX_LINE - len(b"GET / HTTP/1.1")) + b" HTTP/1.1"), 0),
    ("9112 3", line(b"GET /" + b"a" * (MAX_LINE - len(b"GET / HTTP/1.1") + 1) + b" HTTP/1.1"), 414),
    # Methods
    *(("9110 9.1", line(method + b" / HTTP/1.1"), 0) for method in (b"HEAD", b"POST", b"OPTIONS")),
    *(("9110 9.1", line(method + b" / HTTP/1.1"), 0) for method in (b"PUT", b"DELETE", b"PATCH")),
    ("9110 9.1", line(b"TRACE / HTTP/1.1"), 0),
    ("9110 9.1", line(b"QUERY / HTTP/1.1"), 0),
    ("9110 9.1", line(b"get / HTTP/1.1"), 501),
    ("9110 9.1", line(b"BREW / HTTP/1.1"), 501),
    ("9110 9.1", line(b"GET1 / HTTP/1.1"), 501),
    ("9110 5.6.2", line(b"G@T / HTTP/1.1"), 400),
    ("9110 5.6.2", line(b"G\xc3\x89T / HTTP/1.1"), 400),
    # Versions
    ("9110 2.5", line(b"GET / HTTP/1.0"), 0),
    ("9110 15.6.6", line(b"GET / HTTP/2.0"), 505),
    *(("9110 2.5", line(b"GET / HTTP/" + v), 0) for v in (b"1.2", b"1.9")),
    ("9110 2.5", b"GET / HTTP/1.2\r\n\r\n", 400),  # without Host, as in 1.1
    ("9110 15.6.6", line(b"GET / HTTP/3.0"), 505),
    ("9110 15.6.6", line(b"GET / HTTP/0.9"), 505),
    ("9110 15.6.6", b"PRI * HTTP/2.0\r\n\r\n", 505),
    ("9112 2.3", line(b"GET / http/1.1"), 400),
    ("9112 2.3", line(b"GET / HTTP/1"), 400),
    ("9112 2.3", line(b"GET / HTTP/1.10"), 400),
    ("9112 2.3", line(b"GET / HTTP/11"), 400),
    ("9112 2.3", line(b"GET / HTTPS/1.1"), 400),
    ("9112 2.3", line(b"GET / HTTP/1.1;x"), 400),
    # Targets
    ("9112 3.2.1", line(b"GET //a HTTP/1.1"), 0),
    ("9112 3.2.1", line(b"GET a HTTP/1.1"), 400),
    ("9112 3.2.1", line(b"GET ?a HTTP/1.1"), 400),
    ("9112 3.2", line(b"GET /a#b HTTP/1.1"), 400),
    ("9112 3.2", line(b"GET /a\x00b HTTP/1.1"), 400),
    ("9112 3.2", line(b"GET /a\x7fb HTTP/1.1"), 400),
    ("9112 3.2", line(b"GET /\xc3\xa9 HTTP/1.1"), 400),
    ("9112 3.2.2", line(b"GET http://a/b HTTP/1.1"), 0),
    ("9112 3.2.2", line(b"GET HTTPS://a.example:8888/b?c HTTP/1.1"), 0),
    ("9112 3.2.2", line(b"GET http://a HTTP/1.1"), 0),
    ("9112 3.2.2", line(b"GET http://a?b HTTP/1.1"), 0),
    ("9112 3.2.2", line(b"GET http://[::1]:80/ HTTP/1.1"), 0),
    ("9110 4.2.1", line(b"GET http:///b HTTP/1.1"), 400),
    ("9110 4.2.1", line(b"GET http://:80/b HTTP/1.1"), 400),
    ("9110 4.2.4", line(b"GET http://user@a/b HTTP/1.1"), 400),
    ("9112 3.2.2", line(b"GET ftp://a/b HTTP/1.1"), 400),
    ("9112 3.2.2", line(b"GET http:/a HTTP/1.1"), 400),
    ("9112 3.2.2", line(b"GET http://a:port/ HTTP/1.1"), 400),
    ("9112 3.2.2", line(b"GET file:///etc/passwd HTTP/1.1"), 400),
    ("9112 3.2.3", line(b"CONNECT a:443 HTTP/1.1"), 501),
    ("9112 3.2.3", line(b"GET a:443 HTTP/1.1"), 400),
    ("9112 3.2.4", line(b"OPTIONS * HTTP/1.1"), 0),
    ("9112 3.2.4", line(b"GET * HTTP/1.1"), 400),
    ("9112 3.2.4", line(b"OPTIONS *a HTTP/1.1"), 400),
    # Host
    ("9112 3.2", GET + b"\r\n", 400),
    ("9112 3.2", b"GET http://a/ HTTP/1.1\r\n\r\n", 400),
    ("9112 3.2", b"GET / HTTP/1.0\r\n\r\n", 0),
    ("9112 3.2", GET + HOST + HOST + b"\r\n", 400),
    ("9112 3.2", GET + HOST + b"hOST: b\r\n\r\n", 400),
    ("9112 3.2", b"GET / HTTP/1.0\r\n" + HOST + HOST + b"\r\n", 400),
    *(("9112 3.2", host(good), 0) for good in (b"a", b"a.b-c_d:8888", b"127.0.0.1", b"A.", b"a:")),
    *(("9112 3.2", host(good), 0) for good in (b"[::1]", b"[2001:db8::1]:443", b"%41", b"  a \t")),
    *(("9112 3.2", host(bad), 400) for bad in (b"", b":80", b"a b", b"a, b", b"a:b", b"a:65536")),
    *(("9112 3.2", host(bad), 400) for bad in (b"a:-1", b"a:123456", b"a/b", b"a?b", b"u@a")),
    *(("9112 3.2", host(bad), 400) for bad in (b"http://a", b"::1", b"[::1", b"[]", b"[a]")),
    *(("9112 3.2", host(bad), 400) for bad in (b"[::1]a", b"%zz", b"\xc3\xa9", b"[::ffff:1.2.3]")),
    # Lines
    ("9112 2.2", GET.replace(b"\r", b"") + HOST + b"\r\n", 400),
    ("9112 2.2", GET + b"Host: a\n\r\n\r\n", 400),
    ("9112 2.2", GET + b"Host: a\rX: b\r\n\r\n", 400),
    ("9112 2.2", GET + b"\rHost: a\r\n\r\n", 400),
    ("9112 2.2", field(b"X: a\r\r\n"), 400),
    ("9112 2.2", GET + b" Host: a\r\n\r\n", 400),
    ("9112 5.2", field(b"X: a\r\n b"), 400),
    ("9112 5.2", field(b"X: a\r\n\tb"), 400),
    # Fields
    ("9110 5.5", field(b"X:"), 0),
    ("9110 5.5", field(b"X: \xff\xc3\xa9\ta"), 0),
    ("9110 5.6.2", field(b"!#$%&'*+.^_`|~0-9Az-: a"), 0),
    ("9112 5.1", field(b"X : a"), 400),
    ("9112 5.1", field(b"X\t: a"), 400),
    ("9112 5.1", field(b"Content-Length : 5"), 400),
    ("9112 5", field(b"X"), 400),
    ("9112 5", field(b": a"), 400),
    ("9112 5", field(b"X Y: a"), 400),
    ("9110 5.6.2", field(b"X(: a"), 400),
    ("9110 5.6.2", field(b"\xc3\xa9: a"), 400),
    *(
        ("9110 5.5", field(b"X: a" + bytes([c]) + b"b"), 400)
        for c in (0, 1, 8, 11, 12, 27, 31, 127)
    ),
    *(("9110 5.1", field(b"X" + bytes([c]) + b": a"), 400) for c in (0, 1, 8, 11, 12, 27, 31, 127)),
    ("9110 5.4", field(b"X: " + b"a" * (MAX_SECTION - len(HOST) - 7)), 0),
    ("6585 5", field(b"X: " + b"a" * (MAX_SECTION - len(HOST) - 6)), 431),
    ("9110 5.4", field(b"\r\n".join([b"X: a"] * (MAX_FIELDS - 1))), 0),
    ("6585 5", field(b"\r\n".join([b"X: a"] * MAX_FIELDS)), 431),
    # Content-Length
    ("9110 8.6", body(b"Content-Length: 0"), 0),
    ("9110 8.6", body(b"content-length:007"), 0),
    *(("9110 8.6", body(b"Content-Length: " + bad), 400) for bad in (b"", b"+5", b"-5", b"0x5")),
    *(("9110 8.6", body(b"Content-Length: " + bad), 400) for bad in (b"5, 5", b"5 5", b"5.0")),
    *(
        ("9110 8.6", body(b"Content-Length: " + bad), 400)
        for bad in (b"1e3", b"\xb2", b"1_0", b'"5"')
    ),
    ("9110 8.6", body(b"Content-Length: 5\r\nContent-Length: 5"), 400),
    ("9110 8.6", body(b"Content-Length: 5\r\ncontent-length: 6"), 400),
    ("9110 8.6", body(b"Content-Length: " + b"9" * 18), 0),
    ("9110 8.6", body(b"Content-Length: " + b"9" * 19), 413),
    ("9110 8.6", body(b"Content-Length: " + b"9" * 5000), 413),
    # Transfer-Encoding
    ("9112 6.1", body(b"Transfer-Encoding: chunked"), 0),
    ("9112 7", body(b"transfer-encoding:  CHUNKED "), 0),
    ("9112 6.3", body(b"Transfer-Encoding: chunked\r\nContent-Length: 5"), 400),
    ("9112 6.3", body(b"Content-Length: 5\r\nTransfer-Encoding: chunked"), 400),
    ("9112 6.3", body(b"Transfer-Encoding: chunked, gzip"), 400),
    ("9112 6.3", body(b"Transfer-Encoding: chunked, identity"), 400),
    ("9112 6.3", body(b"Transfer-Encoding:"), 400),
    ("9112 6.3", body(b"Transfer-Encoding: ,chunked"), 400),
    ("9112 6.1", body(b"Transfer-Encoding: chunked, chunked"), 400),
    ("9112 6.1", body(b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"), 400),
    ("9112 7", body(b"Transfer-Encoding: chunked;a=b"), 400),
    *(
        ("9112 6.1", body(b"Transfer-Encoding: " + n), 501)
        for n in (b"gzip", b"identity", b"xchunked")
    ),
    *(
        ("9112 6.1", body(b"Transfer-Encoding: " + n), 501)
        for n in (b"gzip, chunked", b"chunked x")
    ),
    ("9112 6.1", body(b"Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked"), 501),
    ("9112 6.1", POST.replace(b"1.1", b"1.0") + b"Transfer-Encoding: chunked\r\n\r\n", 400),
)

# What was accepted but must be refused without waiting for an empty line that may never come.
HOPELESS: tuple[tuple[bytes, int], ...] = (
    (b"GET / HTTP/1.1\nHost: a\n\n", 400),
    (b"GET / HTTP/1.1\rH", 400),
    (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),  # the ClientHello of TLS
    (b"GET /\x00", 400),
    (b"GET /" + b"a" * MAX_LINE, 414),
    (GET + b"X: " + b"a" * MAX_SECTION, 431),
    (GET + b"X: a\r\n" * (MAX_SECTION // 6 + 1), 431),
)


def status(outcome: RequestHead | HeadError | None) -> int:
    """0 for a head, -1 while more is needed."""
    if outcome is None:
        return -1
    return outcome.status if isinstance(outcome, HeadError) else 0


def feed(data: bytes, size: int) -> RequestHead | HeadError | None:
    """What a reader says of these bytes, so many at a time, and of no more than it needs."""
    reader = HeadReader()
    for start in range(0, len(data), size):
        if (outcome := reader.feed(data[start : start + size])) is not None:
            return outcome
    return None


def assert_same(case: SynchronousTestCase, head: bytes) -> None:
    """h11 reads the same method, target, version and fields."""
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 20)
    connection.receive_data(head)
    event = connection.next_event()
    assert isinstance(event, h11.Request), event
    first, *fields = head.split(b"\r\n")[:-2]
    read = b"%b %b HTTP/%b" % (event.method, event.target, event.http_version)
    case.assertEqual(read, first)
    pairs = [f.partition(b":") for f in fields]
    written = [(name.lower(), value.strip(b" \t")) for name, _, value in pairs]
    # h11 lowers these two, whose values know no case.
    case.assertEqual(
        [(n, v.lower()) for n, v in event.headers], [(n, v.lower()) for n, v in written]
    )


class CheckTests(SynchronousTestCase):
    """What a whole head becomes."""

    def test_rows(self) -> None:
        """Each head is accepted or refused with the status that its section asks for."""
        for section, head, expected in ROWS:
            with self.subTest(section=section, head=head[:80]):
                outcome = parse_head(head)
                self.assertEqual(status(outcome), expected, outcome)

    def test_no_end(self) -> None:
        """What has no empty line at its end is no head."""
        for head in (b"", b"GET / HTTP/1.1", GET, GET + HOST, GET + HOST + b"\r", b"\r\n\r\n"):
            self.assertEqual(status(parse_head(head)), 400, head)

    def test_reasons(self) -> None:
        """A refusal says what is wrong in one sentence, which repeats nothing of the request."""
        errors = [parse_head(head) for _, head, _ in ROWS]
        reasons = {error.reason for error in errors if isinstance(error, HeadError)}
        self.assertGreater(len(reasons), 20)
        for reason in reasons:
            self.assertRegex(reason, r"^[A-Z][ -~]+\.$")
        bad = parse_head(field(b"<script>: a"))
        assert isinstance(bad, HeadError)
        self.assertNotIn("<", bad.reason)

    def test_same_as_h11(self) -> None:
        """What is accepted of the table is read by h11 as it was written."""
        for section, head, expected in ROWS:
            if not expected:
                with self.subTest(section=section, head=head[:80]):
                    assert_same(self, head)


class HeadReaderTests(SynchronousTestCase):
    """Bytes as they come from a connection."""

    def test_in_pieces(self) -> None:
        """Whole, byte by byte, or in threes: a head comes to the same end."""
        for section, head, expected in ROWS:
            if head.startswith(b"\r\n"):
                continue  # one empty line before a request is skipped
            for size in (len(head), 3, 1):
                with self.subTest(section=section, head=head[:80], size=size):
                    outcome = feed(head, size)
                    self.assertEqual(status(outcome), expected, outcome)
                    if isinstance(outcome, RequestHead):
                        self.assertEqual(outcome.raw, head)

    def test_tail(self) -> None:
        """What follows a head is handed back as it came, be it a body or another request."""
        for tail in (b"", b"{", b"\r\n", b"\x00\n\r", field(b"X: a") * 2, b"a" * 100_000):
            head = field(b"X: y")
            for pieces in ([head + tail], [head[:-1], head[-1:] + tail]):
                reader = HeadReader()
                *outcomes, outcome = [reader.feed(piece) for piece in pieces]
                self.assertEqual(outcomes, [None] * len(outcomes))
                assert isinstance(outcome, RequestHead)
                self.assertEqual((outcome.raw, reader.rest), (head, tail))

    def test_again(self) -> None:
        """After a head, or a refusal, a reader is as new."""
        reader = HeadReader()
        for _ in range(3):
            self.assertEqual(reader.feed(field(b"X: a")), parse_head(field(b"X: a")))
            self.assertEqual(status(reader.feed(b"GET /\n")), 400)
            self.assertIsNone(reader.feed(b"GET"))
            self.assertEqual(reader.feed(field(b"X: a")[3:]), parse_head(field(b"X: a")))
            self.assertEqual(reader.rest, b"")

    def test_empty_line(self) -> None:
        """One empty line before a request is skipped (RFC 9112 section 2.2), a second is not."""
        head = field(b"X: a")
        for size in (len(head) + 2, 3, 2, 1):
            with self.subTest(size=size):
                self.assertEqual(feed(b"\r\n" + head, size), parse_head(head))
                self.assertEqual(status(feed(b"\r\n\r\n" + head, size)), 400)
        self.assertEqual(status(feed(b"\n" + head, 1)), 400)

    def test_hopeless(self) -> None:
        """What can no longer become a head is refused at once, however long its client waits."""
        for data, expected in HOPELESS:
            for size in (len(data), 7, 1):
                with self.subTest(data=data[:40], size=size):
                    self.assertEqual(status(feed(data, size)), expected)

    def test_unfinished(self) -> None:
        """Every beginning of a good head is waited for, and kept within the limits."""
        head = b"GET /" + b"a" * 200 + b" HTTP/1.1\r\n" + HOST + b"X: b\r\n\r\n"
        for end in range(len(head)):
            self.assertIsNone(HeadReader().feed(head[:end]))


def read(head: bytes) -> RequestHead:
    """A head that passes the check, and so does what a parser sees of it."""
    parsed = parse_head(head)
    assert isinstance(parsed, RequestHead), parsed
    assert isinstance(parse_head(parsed.without_framing()), RequestHead), parsed
    return parsed


class HeadTests(SynchronousTestCase):
    def test_plain(self) -> None:
        """What is plain already stays as it is, to the byte."""
        for head in (
            b"GET /a?b HTTP/1.1\r\nHost: a\r\n\r\n",
            b"GET / HTTP/1.0\r\n\r\n",
            b"OPTIONS * HTTP/1.1\r\nhost:a\r\nX: b \r\nX:\r\n\r\n",
        ):
            parsed = read(head)
            self.assertEqual(
                (parsed.without_framing(), parsed.body, parsed.url), (head, None, None)
            )

    def test_versions(self) -> None:
        """1.x is read as 1.1, and 1.0 stays."""
        for version, expected in ((b"1.2", b"1.1"), (b"1.9", b"1.1"), (b"1.1", b"1.1")):
            head = b"GET / HTTP/" + version + b"\r\nHost: a\r\n\r\n"
            self.assertEqual(read(head).without_framing(), head.replace(version, expected))

    def test_absolute(self) -> None:
        """An absolute target becomes its path, and its authority the only Host."""
        for target, path, scheme in (
            (b"http://b:81/c?d", b"/c?d", "http"),
            (b"HTTPS://B.:81", b"/", "https"),
            (b"http://b:81?d", b"/?d", "http"),
            (b"http://b:81//c", b"//c", "http"),
        ):
            parsed = read(b"GET " + target + b" HTTP/1.2\r\nX: y\r\nhOST: a\r\nZ: z\r\n\r\n")
            expected = b"GET " + path + b" HTTP/1.1\r\nHost: b:81\r\nX: y\r\nZ: z\r\n\r\n"
            assert parsed.url is not None
            self.assertEqual(parsed.without_framing(), expected)
            self.assertEqual((parsed.target, parsed.url.origin.scheme), (path, scheme))

    def test_is_plain(self) -> None:
        """Plain is a GET or HEAD of a path or a picture in HTTP/1.1, remembered or not."""
        for request_line, is_plain in (
            (b"GET /a HTTP/1.1", True),
            (b"HEAD /a%20b HTTP/1.1", True),
            (b"GET /a?b HTTP/1.1", False),
            (b"GET /a?thumb=256 HTTP/1.1", True),
            (b"GET http://a/b HTTP/1.1", False),
            (b"GET /a HTTP/1.0", False),
            (b"GET /a HTTP/1.2", False),
            (b"OPTIONS /a HTTP/1.1", False),
        ):
            for _ in range(2):
                outcome = HeadReader().feed(request_line + b"\r\nHost: plain\r\n\r\n")
                assert isinstance(outcome, RequestHead)
                self.assertEqual(outcome.is_plain, is_plain, request_line)

    def test_remembered(self) -> None:
        """A section is remembered unless it is long or wide, or of one range."""
        for more, is_remembered in (
            (b"X: a\r\n", True),
            (b"X: " + b"a" * MAX_REMEMBERED_OCTETS + b"\r\n", False),
            (b"".join(b"X-%d:\r\n" % n for n in range(MAX_REMEMBERED_FIELDS)), False),
            (b"Range: bytes=0-1\r\n", False),
        ):
            first, second = (read(GET + HOST + more + b"\r\n") for _ in range(2))
            self.assertEqual(first.fields is second.fields, is_remembered, more[:20])
            self.assertEqual(first.fields.is_remembered, is_remembered)
            self.assertEqual(first.fields.values, second.fields.values)

    def test_forgotten(self) -> None:
        """Sections that are remembered are bounded in number; the oldest goes first."""
        heads = [host(b"forgotten-%d" % number) for number in range(MAX_REMEMBERED + 1)]
        first = read(heads[0]).fields
        for head in heads[1:-1]:
            read(head)
        self.assertIs(read(heads[0]).fields, first)
        read(heads[-1])
        self.assertIsNot(read(heads[0]).fields, first)

    def test_known_section(self) -> None:
        """With a section that is known, a request line is judged as strictly as ever."""
        read(GET + HOST + b"\r\n")
        for section, head, expected in ROWS:
            if head == line(head.partition(b"\r\n")[0]):
                for _ in range(2):
                    outcome = HeadReader().feed(head)
                    self.assertEqual(status(outcome), expected, (section, head[:40]))

    def test_known_but_for_its_range(self) -> None:
        """A section with one ``Range`` more than a known one is parsed as if nothing were known."""
        agent = HOST + b"User-Agent: known-but-for-its-range\r\n"
        read(GET + agent + b"\r\n")
        for fields, expected in (
            (b"Range: bytes=0-1\r\n" + agent, [b"bytes=0-1"]),
            (agent + b"range:\tbytes=2-\t\r\n", [b"bytes=2-"]),
            (agent + b"Range:\r\n", [b""]),
            (agent + b"Range: bytes=0-1\r\nRange: bytes=2-3\r\n", [b"bytes=0-1", b"bytes=2-3"]),
            (agent + b"Range: bytes=0-1\r\nX: y\r\n", [b"bytes=0-1"]),
            (agent + b"Range: bytes=%b\r\n" % (b"1" * 3000), [b"bytes=" + b"1" * 3000]),
        ):
            for _ in range(2):
                head = read(GET + fields + b"\r\n")
                self.assertEqual(list(head.fields.values[b"range"]), expected)
                self.assertEqual(list(head.fields.values[b"host"]), [HOST[6:-2]])
                self.assertEqual(head.raw, GET + fields + b"\r\n")
        for fields in (b"Range: a\x00b\r\n", b"Range : x\r\n", b"Range: x\n", b" Range: x\r\n"):
            self.assertIsInstance(HeadReader().feed(GET + agent + fields + b"\r\n"), HeadError)

    def test_range_behind_a_known_head(self) -> None:
        """What follows a head is no field of it."""
        known = GET + HOST + b"\r\n"
        read(known)
        reader = HeadReader()
        head = reader.feed(known + b"Range: bytes=0-1\r\n")
        assert isinstance(head, RequestHead)
        self.assertNotIn(b"range", head.fields.values)
        self.assertEqual((head.raw, reader.rest), (known, b"Range: bytes=0-1\r\n"))

    def test_framing(self) -> None:
        """What frames a body, and the expectation, are parsed, and hidden from twisted.web."""
        start = b"POST /a HTTP/1.1\r\nHost: a\r\n"
        for fields, expected in (
            (b"Content-Length: 5\r\n", AnnouncedBody(5, (), False)),
            (b"content-length:007\t\r\nX: y\r\n", AnnouncedBody(7, (), False)),
            (b"Content-Length: 0\r\n", None),
            (b"Content-Length: 000\r\nExpect: 100-continue\r\n", None),
            (b"Expect: 100-continue\r\n", None),
            (b"Transfer-Encoding: chunked\r\n", AnnouncedBody(None, (), False)),
            (
                b"transfer-encoding:  Chunked \r\nExpect: 100-Continue\r\nX: y\r\n",
                AnnouncedBody(None, (), True),
            ),
            (b"Content-Length: 1\r\nExpect: 101\r\n", AnnouncedBody(1, (), False)),
            (
                b"Content-Length: 1\r\nContent-Type: a/b \r\ncontent-type:c\r\n",
                AnnouncedBody(1, (b"a/b", b"c"), False),
            ),
        ):
            parsed = read(start + fields + b"\r\n")
            self.assertEqual((parsed.body, parsed.method), (expected, b"POST"), fields)
            for name in (b"content-length", b"transfer-encoding", b"expect"):
                self.assertNotIn(name, parsed.without_framing().lower())
            self.assertEqual(b"X: y" in fields, b"X: y" in parsed.without_framing())

    def test_no_interim_answers(self) -> None:
        """A client of HTTP/1.0 waits for no 100, whatever it says; one of 1.2 does."""
        for version, waits in ((b"1.0", False), (b"1.1", True), (b"1.2", True)):
            head = b"POST / HTTP/" + version + b"\r\nHost: a\r\n"
            parsed = read(head + b"Expect: 100-continue\r\nContent-Length: 3\r\n\r\n")
            self.assertEqual(parsed.body, AnnouncedBody(3, (), waits))


WORDS = st.sampled_from(
    (
        *(b"GET", b"POST", b"OPTIONS", b" ", b"  ", b"/", b"*", b"http://a", b"HTTP/1.1"),
        *(
            b"HTTP/1.0",
            b"\r\n",
            b"\n",
            b"\r",
            b"\r\n\r\n",
            b"Host",
            b":",
            b": ",
            b"a",
            b"\t",
            b"\0",
        ),
        *(b"\xff", b"#", b"Content-Length", b"Transfer-Encoding", b"chunked", b"5", b",", b"[::1]"),
        *(b"@", b"\r\n a"),
    )
)
FIELD = st.tuples(
    st.sampled_from([b"Host", b"X", b"Content-Length", b"Transfer-Encoding", b"x-\xe9", b"Y "]),
    st.one_of(st.sampled_from([b"a", b"5", b"chunked", b"gzip"]), st.binary(max_size=8)),
).map(lambda pair: pair[0] + b": " + pair[1])
HEADS = st.builds(
    lambda first, fields: b"\r\n".join([first, *fields, b"", b""]),
    st.one_of(
        st.sampled_from([b"GET / HTTP/1.1", b"POST http://b/ HTTP/1.1", b"OPTIONS * HTTP/1.0"]),
        st.binary(max_size=12).map(lambda b: b"GET /" + b + b" HTTP/1.1"),
    ),
    st.lists(FIELD, max_size=4).map(lambda fields: [b"Host: h", *fields]),
)
ANY = st.one_of(st.binary(max_size=200), st.lists(WORDS, max_size=20).map(b"".join), HEADS)


class PropertyTests(SynchronousTestCase):
    """Whatever the bytes."""

    @PROPERTY
    @given(ANY, st.integers(1, 40))
    def test_anything(self, data: bytes, size: int) -> None:
        """Nothing raises, and pieces come to the same end as the whole."""
        whole = HeadReader().feed(data)
        self.assertIn(status(whole), (-1, 0, 400, 413, 414, 431, 501, 505))
        self.assertEqual(status(feed(data, size)), status(whole))

    @PROPERTY
    @given(ANY)
    def test_differential(self, data: bytes) -> None:
        """What is accepted of anything is read by h11 as it was written."""
        outcome = HeadReader().feed(data)
        if isinstance(outcome, RequestHead):
            assert_same(self, outcome.raw)

    @PROPERTY
    @given(HEADS)
    def test_check(self, head: bytes) -> None:
        """A head that is checked alone neither raises nor passes where h11 reads another."""
        if isinstance(parse_head(head), RequestHead):
            assert_same(self, head)


class PersistenceTests(SynchronousTestCase):
    def test_is_last(self) -> None:
        """RFC 9112 section 9.3: close always counts; HTTP/1.0 must ask to be kept."""
        for values, last_1_1, last_1_0 in (
            ((), False, True),
            ((b"close",), True, True),
            ((b"Close",), True, True),
            ((b"keep-alive",), False, False),
            ((b"Keep-Alive, Upgrade",), False, False),
            ((b"TE ,\tclose",), True, True),
            ((b"TE", b"close"), True, True),
            ((b"close, keep-alive",), True, True),
            ((b"closed",), False, True),
            ((b"",), False, True),
            ((b"TE close",), False, True),
        ):
            self.assertEqual(is_last(values, is_1_0=False), last_1_1, values)
            self.assertEqual(is_last(values, is_1_0=True), last_1_0, values)
