"""Bodies: judged at the head, and read strictly by RFC 9112 section 7.1."""

from __future__ import annotations

import h11
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from imgd.core.http_rules import HeadError
from imgd.core.request_body import (
    MAX_BODY,
    MAX_PADDING,
    MAX_TRAILERS,
    Body,
    ChunkedReader,
    LengthReader,
    body_reader,
    check_announced,
    is_json,
)
from imgd.core.request_head import AnnouncedBody

PROPERTY = settings(deadline=None, database=None, max_examples=300)
JSON = (b"application/json",)
TAIL = b"GET / HTTP/1.1\r\n"
FULL = b"10000\r\n" + bytes(MAX_BODY) + b"\r\n"
END = b"0\r\n\r\n"


def trailers(size: int) -> bytes:
    """A trailer section of so many octets, its line end too, without the empty line."""
    return b"X: " + b"a" * (size - 5) + b"\r\n"


# A chunked body, and what is read of it.
GOOD: tuple[tuple[bytes, bytes], ...] = (
    (b"0\r\n\r\n", b""),
    (b"000\r\n\r\n", b""),
    (b"2\r\n{}\r\n0\r\n\r\n", b"{}"),
    (b"1\r\n{\r\n1\r\n}\r\n0\r\n\r\n", b"{}"),
    (b"a\r\n0123456789\r\n0\r\n\r\n", b"0123456789"),
    (b"0A\r\n0123456789\r\n00\r\n\r\n", b"0123456789"),
    (b"4\r\n\r\n\r\n\r\n0\r\n\r\n", b"\r\n\r\n"),
    (b"1;a\r\nx\r\n0;b=c\r\n\r\n", b"x"),
    (b'1;a="b \\" ; c";d= e ; f\r\nx\r\n0\r\n\r\n', b"x"),
    (b"1;" + b"a" * (MAX_PADDING - 1) + b"\r\nx\r\n0\r\n\r\n", b"x"),
    (b"0" * (MAX_PADDING + 1) + b"\r\n\r\n", b""),
    (FULL + END, bytes(MAX_BODY)),
    (b"0\r\nX: y\r\n\r\n", b""),
    (b"0\r\nX: y\r\nContent-Length: 7\r\nHost:\r\nX:\xe9\r\n\r\n", b""),
    (b"0\r\n" + trailers(MAX_TRAILERS) + b"\r\n", b""),
)

# What no chunked body begins with, and its status; refused with the last byte at the latest.
BAD: tuple[tuple[bytes, int], ...] = (
    *((size + b"\r\na\r\n" + END, 400) for size in (
        *(b"x", b"-1", b"+1", b"0x1", b"1 ", b" 1", b"1\t", b"1_0", b"\xd9\xa1", b"", b";a"),
        *(b"1;", b"1;;a", b"1; ", b"1 ;a", b"1;a=", b'1;a="b', b'1;a="b"c', b"1;a b", b"1;\xe9"),
    )),
    *((start, 400) for start in (b"x", b"1 ", b"\r", b"\n", b"1\n", b"1\ra", b"1;\x00", b"1;\n")),
    (b"1;a\n0\r\n\r\n", 400),
    (b"1\na\r\n" + END, 400),
    (b"1;a\x00\r\na\r\n" + END, 400),
    # A chunk and its line end
    (b"1\r\nab\r\n", 400),
    (b"1\r\na\n", 400),
    (b"1\r\na0\r\n", 400),
    (b"1\r\na\r\r", 400),
    # Too large, refused as soon as the size line is there
    (b"10001\r\n", 413),
    (FULL + b"1\r\n", 413),
    (b"ffff\r\n" + bytes(0xFFFF) + b"\r\n2\r\n", 413),
    (b"FFFFFFFFFFFFFFFF\r\n", 413),
    (b"10000000000000000\r\n", 413),
    (b"1" + b"0" * 40 + b"\r\n", 413),
    (b"7" * 1000 + b";a\r\n", 413),
    (b"f" * 2000, 400),
    # Padding
    (b"1;" + b"a" * MAX_PADDING + b"\r\n", 400),
    (b"1;" + b"a" * 2000, 400),
    (b"0" * (MAX_PADDING + 2) + b"\r\n", 400),
    ((b"1;" + b"a" * 99 + b"\r\na\r\n") * 11, 400),
    # Trailers
    *((b"0\r\n" + line + b"\r\n\r\n", 400) for line in (
        *(b"X", b"X y", b": y", b"X : y", b" X: y", b"X: y\r\n z: a", b"X\xe9: y", b"X: \x00"),
    )),
    *((b"0\r\n" + start, 400) for start in (b"\n", b"X: y\n", b"X\ry", b"\x00", b"X: y\r\n\n")),
    (b"0\r\n" + trailers(MAX_TRAILERS + 1) + b"\r\n", 400),
    (b"0\r\n" + b"X: a\r\n" * 20_000, 400),
    (b"0\r\n" + b"X" * (MAX_TRAILERS + 2), 400),
)  # fmt: skip


def read(data: bytes, size: int) -> tuple[Body | HeadError | None, bytes]:
    """What a reader says to bytes that come so many at a time, and what it was not given."""
    reader = ChunkedReader(is_kept=True)
    for start in range(0, len(data), size):
        if (outcome := reader.feed(data[start : start + size])) is not None:
            return outcome, data[start + size :]
    return None, b""


class ChunkedTests(SynchronousTestCase):
    def test_good(self) -> None:
        """Each body is read, whole, in pieces and byte by byte, up to its end and no further."""
        for data, content in GOOD:
            for size in (len(data), len(data) + len(TAIL), 1, 7, 1000):
                with self.subTest(data=data[:40], size=size):
                    outcome, rest = read(data + TAIL, size)
                    assert isinstance(outcome, Body), outcome
                    self.assertEqual((outcome.content, outcome.rest + rest), (content, TAIL))

    def test_bad(self) -> None:
        """Each is refused by its own bytes, however they come; nothing more is waited for."""
        for data, status in BAD:
            for size in (len(data), 1, 7):
                with self.subTest(data=data[:40], size=size):
                    outcome, _ = read(data, size)
                    assert isinstance(outcome, HeadError), outcome
                    self.assertEqual(outcome.status, status, outcome)
                    self.assertTrue(outcome.reason.endswith("."))

    def test_unfinished(self) -> None:
        """What can still become a body is neither refused nor whole."""
        for data, _ in GOOD:
            for end in {*range(min(len(data), 40)), *range(max(0, len(data) - 40), len(data))}:
                self.assertIsNone(read(data[:end], max(1, end))[0], data[:end][:40])

    def test_dropped(self) -> None:
        """A body that nobody reads is read to its end under the same rules, and not kept."""
        reader = ChunkedReader(is_kept=False)
        self.assertEqual(reader.feed(FULL + END + TAIL), Body(b"", TAIL))
        outcome = ChunkedReader(is_kept=False).feed(FULL + b"1\r\n")
        self.assertEqual(isinstance(outcome, HeadError) and outcome.status, 413)

    @PROPERTY
    @given(
        st.lists(st.binary(min_size=1, max_size=40), max_size=6),
        st.sampled_from((b"", b";a", b";a=b", b';a="b;c"')),
        st.sampled_from((b"", b"X: y\r\n", b"X: y\r\nZ:\r\n")),
        st.integers(1, 60),
    )
    def test_like_h11(
        self, chunks: list[bytes], extension: bytes, fields: bytes, size: int
    ) -> None:
        """Good bodies are read as h11 reads them."""
        data = b"".join(b"%x%b\r\n%b\r\n" % (len(c), extension, c) for c in chunks)
        data += b"0" + extension + b"\r\n" + fields + b"\r\n"
        outcome, _ = read(data, size)
        assert isinstance(outcome, Body), outcome
        self.assertEqual(outcome.content, h11_body(data))
        self.assertEqual(outcome.content, b"".join(chunks))

    @PROPERTY
    @given(
        st.lists(
            st.sampled_from(
                (b"0", b"1", b"a", b"\r\n", b"\r", b"\n", b";", b"=", b'"', b" ", b"X: y", b"\x00")
            ),
            max_size=30,
        ).map(b"".join),
        st.integers(1, 9),
    )
    def test_anything(self, data: bytes, size: int) -> None:
        """Whole or in pieces, any bytes come to one end, and what is read h11 reads the same."""
        whole, pieces = read(data, len(data) or 1)[0], read(data, size)[0]
        self.assertIs(type(whole), type(pieces))
        if isinstance(whole, Body) and isinstance(pieces, Body):
            self.assertEqual(whole.content, pieces.content)
            self.assertEqual(whole.content, h11_body(data[: len(data) - len(whole.rest)]))


def h11_body(data: bytes) -> bytes:
    """A chunked body as h11 reads it, to its end."""
    connection = h11.Connection(h11.SERVER)
    connection.receive_data(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
    connection.next_event()
    connection.receive_data(data)
    content = b""
    while isinstance(event := connection.next_event(), h11.Data):
        content += event.data
    assert isinstance(event, h11.EndOfMessage), event
    assert connection.trailing_data == (b"", False), connection.trailing_data
    return content


class LengthTests(SynchronousTestCase):
    def test_pieces(self) -> None:
        """So many octets are the body, and no more, however they come."""
        for size in (1, 4, 5, 6, 100):
            reader = LengthReader(5, is_kept=True)
            data, outcome = b"hello" + TAIL, None
            while outcome is None:
                piece, data = data[:size], data[size:]
                outcome = reader.feed(piece)
            assert isinstance(outcome, Body)
            self.assertEqual((outcome.content, outcome.rest + data), (b"hello", TAIL))

    def test_dropped(self) -> None:
        """A body that nobody reads is not kept."""
        reader = LengthReader(5, is_kept=False)
        self.assertIsNone(reader.feed(b"hell"))
        self.assertEqual(reader.feed(b"oG"), Body(b"", b"G"))


class AnnouncedTests(SynchronousTestCase):
    def test_types(self) -> None:
        """JSON is one field that says so, whatever its parameters."""
        for types, wanted in (
            (JSON, True),
            ((b"Application/JSON; charset=utf-8",), True),
            ((b"application/json ;a",), True),
            ((), False),
            ((b"",), False),
            ((b"text/plain",), False),
            ((b"application/jsonp",), False),
            ((b"application/json, text/plain",), False),
            ((b"application/json", b"application/json"), False),
            ((b"text/plain; application/json",), False),
        ):
            self.assertEqual(is_json(types), wanted, types)

    def test_form(self) -> None:
        """A form is one field that says so, and has the same length at most."""
        form = (b"application/x-www-form-urlencoded; charset=UTF-8",)
        for length, types, wanted in (
            (5, form, 0),
            (None, form, 0),
            (MAX_BODY + 1, form, 413),
            (5, JSON, 415),
            (5, (), 415),
            (5, (*form, *form), 415),
            (5, (b"multipart/form-data",), 415),
        ):
            both = {"is_read": True, "is_form": True}
            error = check_announced(AnnouncedBody(length, types, waits=False), **both)
            self.assertEqual(error.status if error else 0, wanted, (length, types))

    def test_announced(self) -> None:
        """A body is refused for its type where it is read, and for its length always."""
        for length, types, is_read, wanted in (
            (5, JSON, True, 0),
            (None, JSON, True, 0),
            (MAX_BODY, JSON, True, 0),
            (MAX_BODY + 1, JSON, True, 413),
            (MAX_BODY + 1, (), True, 415),
            (None, (), True, 415),
            (5, (), False, 0),
            (MAX_BODY + 1, (), False, 413),
        ):
            outcome = check_announced(AnnouncedBody(length, types, waits=False), is_read=is_read)
            self.assertEqual(0 if outcome is None else outcome.status, wanted, (length, types))

    def test_reader(self) -> None:
        """Each framing has its reader."""
        for length, data in ((2, b"{}"), (None, b"2\r\n{}\r\n0\r\n\r\n")):
            reader = body_reader(AnnouncedBody(length, JSON, waits=False), is_read=True)
            self.assertEqual(reader.feed(data), Body(b"{}", b""))
