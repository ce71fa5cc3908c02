"""The plan of an answer to a GET or HEAD of a file."""

from __future__ import annotations

from dataclasses import replace
from email import message_from_bytes
from email.message import Message
from typing import cast

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from imgd.core import conditional
from imgd.core.conditional import FileFacts
from imgd.core.plan import (
    CONDITIONS,
    SANDBOX,
    Plan,
    Representation,
    plan,
    serialize_headers,
    unchanged,
)
from imgd.core.ranges import Slice

PROPERTY = settings(deadline=None, database=None, max_examples=300)
NOW = 1_700_000_000.0
MTIME = 1_600_000_000
DATE = conditional.http_date(MTIME)


def represent(size: int, name: str = "a.png") -> Representation:
    return Representation.of(name, FileFacts(size, MTIME * 10**9 + 5, 0, 42), NOW)


def body(answer: Plan, content: bytes) -> bytes:
    """The bytes that a sender of this plan would send."""
    return b"".join(
        content[p.offset :][: p.length] if isinstance(p, Slice) else p for p in answer.parts
    )


def parse(answer: Plan, content: bytes) -> Message:
    """The answer as the email package reads it."""
    kind = dict(answer.headers)[b"Content-Type"]
    return message_from_bytes(b"Content-Type: " + kind + b"\r\n\r\n" + body(answer, content))


class HeaderTests(SynchronousTestCase):
    def test_serialize(self) -> None:
        """Each header is a line of its own, in order; the empty line is not among them."""
        self.assertEqual(serialize_headers(((b"A", b"1"), (b"B", b"2"))), b"A: 1\r\nB: 2\r\n")
        self.assertEqual(serialize_headers(()), b"")


class CacheTests(SynchronousTestCase):
    def test_max_age(self) -> None:
        """How long an answer may be used again; a refusal may not, however long the file may be."""
        for age, said in ((0, b"no-cache"), (60, b"max-age=60")):
            rep = Representation.of("a.png", FileFacts(10, MTIME * 10**9, 0, 42), NOW, age)
            for conditions, status in (
                ({}, 200),
                ({b"range": b"bytes=0-1"}, 206),
                ({b"range": b"bytes=0-1,4-5"}, 206),
                ({b"if-none-match": rep.etag}, 304),
                ({b"range": b"bytes=10-"}, 416),
                ({b"if-match": b'"x"'}, 412),
            ):
                answer = plan(rep, conditions, NOW)
                self.assertEqual(answer.status, status)
                expected = b"no-cache" if status >= 400 else said
                values = [value for name, value in answer.headers if name == b"Cache-Control"]
                self.assertEqual(values, [expected], conditions)


class WholeTests(SynchronousTestCase):
    """200: all of it."""

    def test_headers(self) -> None:
        """A whole file carries its type, length, validators and the offer of ranges."""
        rep = represent(10)
        answer = plan(rep, {}, NOW)
        self.assertEqual(answer.status, 200)
        self.assertEqual(answer.parts, (Slice(0, 10),))
        self.assertEqual(
            dict(answer.headers),
            {
                b"Content-Type": b"image/png",
                b"Content-Length": b"10",
                b"ETag": rep.etag,
                b"Last-Modified": DATE,
                b"Accept-Ranges": b"bytes",
                b"Cache-Control": b"no-cache",
            },
        )

    def test_no_header_twice_and_no_encoding(self) -> None:
        """No answer repeats a header, and none ever names a Content-Encoding."""
        for name in ("a.nii.gz", "a.svg", "a"):
            for conditions in ({}, {b"range": b"bytes=0-0"}, {b"range": b"bytes=0-0,2-3"}):
                names = [n.lower() for n, _ in plan(represent(10, name), conditions, NOW).headers]
                self.assertEqual(len(names), len(set(names)))
                self.assertNotIn(b"content-encoding", names)

    def test_active_documents_are_sandboxed(self) -> None:
        """A document that could run scripts carries the sandbox, on 206, 304 and 416 as well."""
        for conditions in (
            {},
            {b"range": b"bytes=0-0"},
            {b"range": b"bytes=0-0,2-3"},
            {b"range": b"bytes=10-"},
            {b"if-none-match": b"*"},
        ):
            answer = plan(represent(10, "a.svg"), conditions, NOW)
            self.assertIn((b"Content-Security-Policy", SANDBOX), answer.headers)

    def test_ranges_that_do_not_count(self) -> None:
        """A malformed Range, or one whose If-Range fails, gets the whole file."""
        for conditions in (
            {b"range": b"bytes=x"},
            {b"range": b"lines=0-1"},
            {b"range": b"bytes=0-0", b"if-range": b'"other"'},
            {b"range": b"bytes=10-", b"if-range": b'"other"'},
            {b"range": b"bytes=" + b",".join([b"0-0"] * 17)},
            {b"if-range": b'"other"'},
        ):
            answer = plan(represent(10), conditions, NOW)
            self.assertEqual((answer.status, answer.parts), (200, (Slice(0, 10),)), conditions)

    def test_empty_file(self) -> None:
        """An empty file is answered whole, also to a request for its last bytes."""
        for conditions in ({}, {b"range": b"bytes=-5"}):
            answer = plan(represent(0), conditions, NOW)
            self.assertEqual(answer.status, 200)
            self.assertEqual(dict(answer.headers)[b"Content-Length"], b"0")
            self.assertEqual(body(answer, b""), b"")

    def test_times_that_no_date_can_say(self) -> None:
        """A file of any modification time can be sent."""
        for mtime_ns in (-(10**26), 10**26, -1):
            facts = FileFacts(1, mtime_ns, 0, 1)
            self.assertEqual(plan(Representation.of("a", facts, NOW), {}, NOW).status, 200)


class PreconditionTests(SynchronousTestCase):
    """304, 412, and their order."""

    def test_not_modified(self) -> None:
        """304 has the validators, and neither a body nor a length."""
        rep = represent(10)
        answer = plan(rep, {b"if-none-match": rep.etag, b"range": b"bytes=99-"}, NOW)
        self.assertEqual((answer.status, answer.parts), (304, ()))
        headers = dict(answer.headers)
        self.assertEqual((headers[b"ETag"], headers[b"Last-Modified"]), (rep.etag, DATE))
        self.assertNotIn(b"Content-Length", headers)

    def test_precondition_failed(self) -> None:
        """412 is sent whole, with no byte of the file, before a Range is looked at."""
        answer = plan(represent(10), {b"if-match": b'"a"', b"range": b"bytes=99-"}, NOW)
        self.assertEqual((answer.status, answer.parts), (412, ()))
        self.assertEqual(dict(answer.headers)[b"Content-Length"], b"0")

    def test_range_after_the_preconditions(self) -> None:
        """If the preconditions hold, and If-Range does, the range is sent."""
        rep = represent(10)
        for validator in (rep.etag, DATE):
            conditions = {
                b"if-match": rep.etag,
                b"if-none-match": b'"a"',
                b"if-range": validator,
                b"range": b"bytes=2-3",
            }
            answer = plan(rep, conditions, NOW)
            self.assertEqual((answer.status, answer.parts), (206, (Slice(2, 2),)))


class PartialTests(SynchronousTestCase):
    """206 and 416."""

    def test_single(self) -> None:
        """One range says where it lies, in the file's own type."""
        for conditions in ({b"range": b"bytes=-4"}, {b"range": b"bytes=6-,10-"}):
            answer = plan(represent(10), conditions, NOW)
            headers = dict(answer.headers)
            self.assertEqual((answer.status, answer.parts), (206, (Slice(6, 4),)))
            self.assertEqual(headers[b"Content-Range"], b"bytes 6-9/10")
            self.assertEqual(headers[b"Content-Length"], b"4")
            self.assertEqual(headers[b"Content-Type"], b"image/png")

    def test_unsatisfiable(self) -> None:
        """416 says how long the file is."""
        for size, header in ((10, b"bytes=10-"), (10, b"bytes=-0"), (0, b"bytes=0-0")):
            answer = plan(represent(size), {b"range": header}, NOW)
            headers = dict(answer.headers)
            self.assertEqual((answer.status, answer.parts), (416, ()))
            self.assertEqual(headers[b"Content-Range"], b"bytes */%d" % size)
            self.assertEqual(headers[b"Content-Length"], b"0")

    def test_boundary(self) -> None:
        """The boundary is within the 70 characters of RFC 2046, for the largest 64-bit facts."""
        top = 2**64 - 1
        rep = Representation.of("a", FileFacts(top, 2**63, 0, top), NOW)
        answer = plan(rep, {b"range": b"bytes=0-0,2-2"}, NOW)
        boundary = dict(answer.headers)[b"Content-Type"].partition(b"boundary=")[2]
        self.assertRegex(boundary, rb"\A[0-9A-Za-z'()+_,./:=?-]{1,70}\Z")


SPECS = st.lists(
    st.builds("{}-{}".format, st.integers(0, 60), st.just("") | st.integers(0, 60))
    | st.builds("-{}".format, st.integers(0, 60)),
    min_size=1,
    max_size=18,
).map(lambda specs: ("bytes=" + ", ".join(specs)).encode())
TAGS = st.sampled_from((b"*", b'"a"', represent(1).etag, b'W/"a", ' + represent(50).etag))
DATES = st.sampled_from((DATE, b"x", conditional.http_date(MTIME - 1)))
VALUES = {b"range": SPECS, b"if-match": TAGS, b"if-none-match": TAGS, b"if-range": TAGS | DATES}
REQUESTS = st.fixed_dictionaries({}, optional={n: VALUES.get(n, DATES) for n in CONDITIONS})


class PropertyTests(SynchronousTestCase):
    """What holds of every answer."""

    @PROPERTY
    @given(REQUESTS, st.integers(0, 50))
    def test_parts_add_up(self, conditions: dict[bytes, bytes], size: int) -> None:
        """The parts of every answer that has a Content-Length add up to it."""
        answer = plan(represent(size), conditions, NOW)
        self.assertIn(answer.status, (200, 206, 304, 412, 416))
        length = dict(answer.headers).get(b"Content-Length", b"0")
        self.assertEqual(len(body(answer, bytes(size))), int(length))

    @PROPERTY
    @given(
        st.binary(min_size=20, max_size=50), st.lists(st.integers(0, 18), min_size=2, max_size=9)
    )
    def test_multipart(self, content: bytes, starts: list[int]) -> None:
        """Another implementation reads the right bytes and positions out of the parts."""
        byte_ranges = [(first, first + first % 2) for first in starts]
        header = b"bytes=" + b",".join(b"%d-%d" % pair for pair in byte_ranges)
        message = parse(plan(represent(len(content)), {b"range": header}, NOW), content)
        self.assertEqual(message.get_content_type(), "multipart/byteranges")
        parts = cast(list[Message], message.get_payload())
        self.assertEqual(message.defects, [])
        self.assertEqual(
            [(p["Content-Range"], p.get_content_type(), p.get_payload(decode=True)) for p in parts],
            [
                (f"bytes {a}-{b}/{len(content)}", "image/png", content[a : b + 1])
                for a, b in byte_ranges
            ],
        )


class PictureTests(SynchronousTestCase):
    """What is made of a file, and has a tag of its own."""

    def test_tag(self) -> None:
        """A tag that is given is the one of every answer and condition."""
        facts = FileFacts(10, MTIME * 10**9, 0, 42)
        picture = Representation.of("", facts, NOW, 0, "image/png", b'"mine"')
        self.assertEqual(dict(plan(picture, {}, NOW).headers)[b"ETag"], b'"mine"')
        self.assertEqual(plan(picture, {b"if-none-match": b'"mine"'}, NOW).status, 304)

    def test_unchanged(self) -> None:
        """What is unchanged has its validators, and no name."""
        picture = represent(10)
        named = replace(picture, headers=(*picture.headers, (b"Content-Disposition", b"inline")))
        self.assertEqual(unchanged(named), Plan(304, picture.headers, ()))
