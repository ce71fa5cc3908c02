"""A file made of many: which bytes of which file each part of it is."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from imgd.core import joined_file
from imgd.core.conditional import FileFacts
from imgd.core.joined_file import FileSlice, JoinedFile, Piece, Segment
from imgd.core.ranges import Slice

FACTS = FileFacts(100, 1, 1, 1)
OTHER = FileFacts(200, 2, 2, 2)
CONTENTS: dict[tuple[str, ...], bytes] = {
    ("a",): bytes(range(100)),
    ("b",): bytes(range(100, 200)) + bytes(100),
}
A, B = FileSlice(("a",), FACTS, Slice(10, 20)), FileSlice(("b",), OTHER, Slice(0, 50))


def read(pieces: list[Piece]) -> bytes:
    return b"".join(
        piece
        if isinstance(piece, bytes)
        else CONTENTS[piece.names][piece.part.offset :][: piece.part.length]
        for piece in pieces
    )


class JoinedFileTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.joined = JoinedFile([b"head", A, b"", b"--", B, A._replace(part=Slice(5, 0)), b"end"])
        self.whole = b"head" + CONTENTS["a",][10:30] + b"--" + CONTENTS["b",][:50] + b"end"

    def test_whole(self) -> None:
        """The pieces in order, without those that are empty."""
        pieces = list(self.joined.cut([Slice(0, self.joined.size)]))
        self.assertEqual(pieces, [b"head", A, b"--", B, b"end"])
        self.assertEqual(read(pieces), self.whole)

    def test_every_slice(self) -> None:
        """Each range of it is the same range of what it would be on a disk."""
        for start in range(self.joined.size):
            for end in range(start, self.joined.size):
                pieces = list(self.joined.cut([Slice(start, end + 1 - start)]))
                self.assertEqual(read(pieces), self.whole[start : end + 1])

    def test_literals_between(self) -> None:
        """Bytes of the plan itself stay where they are."""
        cut = self.joined.cut([b"\r\n--", Slice(3, 2), b"--\r\n"])
        self.assertEqual(list(cut), [b"\r\n--", b"d", A._replace(part=Slice(10, 1)), b"--\r\n"])

    def test_empty(self) -> None:
        """Of nothing, nothing is cut."""
        self.assertEqual(JoinedFile([]).size, 0)
        self.assertEqual(list(JoinedFile([b""]).cut([Slice(0, 0)])), [])


class SegmentsTests(SynchronousTestCase):
    def test_by_file(self) -> None:
        """Slices of one file that follow each other are one segment, with the bytes around."""
        more = A._replace(part=Slice(50, 1))
        self.assertEqual(
            list(joined_file.segments([b"1", A, b"2", more, b"3", B, b"4", A])),
            [
                Segment(("a",), FACTS, (b"1", A.part, b"2", more.part, b"3")),
                Segment(("b",), OTHER, (B.part, b"4")),
                Segment(("a",), FACTS, (A.part,)),
            ],
        )

    def test_versions(self) -> None:
        """One name in two versions is two files."""
        found = joined_file.segments([A, A._replace(facts=OTHER)])
        self.assertEqual([segment.facts for segment in found], [FACTS, OTHER])

    def test_no_file(self) -> None:
        """Literal bytes alone need no file."""
        self.assertEqual(
            list(joined_file.segments([b"a", b"b"])), [Segment((), None, (b"a", b"b"))]
        )


class PlanTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.joined = JoinedFile([A, B])
        self.tag = joined_file.digest([FACTS, OTHER], b"what")

    def status(self, **conditions: bytes) -> int:
        given = {name.replace("_", "-").encode(): value for name, value in conditions.items()}
        rep = joined_file.represent(self.joined, "application/octet-stream", self.tag, 1e9)
        return joined_file.plan_joined(rep, given, 1e9).status

    def test_digest(self) -> None:
        """It differs with each file's version, with their order and with what is made of them."""
        facts = [FACTS, OTHER]
        changed = [FACTS, OTHER._replace(mtime_ns=3)]
        digests = {
            self.tag,
            joined_file.digest(facts, b"else"),
            joined_file.digest(facts, b"wh", b"at"),
            joined_file.digest(facts[::-1], b"what"),
            joined_file.digest(changed, b"what"),
            joined_file.digest([FACTS], b"what"),
        }
        self.assertEqual(len(digests), 6)
        self.assertEqual(self.tag, joined_file.digest([FACTS, OTHER._replace(ctime_ns=9)], b"what"))

    def test_headers(self) -> None:
        """Type, length, tag and how long it may be kept; no date."""
        for max_age, kept in ((0, b"no-cache"), (60, b"max-age=60")):
            rep = joined_file.represent(self.joined, "image/x", self.tag, 1e9, max_age)
            answer = joined_file.plan_joined(rep, {}, 1e9)
            headers = dict(answer.headers)
            self.assertEqual(
                headers,
                {
                    b"Content-Type": b"image/x",
                    b"Content-Length": b"70",
                    b"ETag": b'"%b"' % self.tag.encode(),
                    b"Accept-Ranges": b"bytes",
                    b"Cache-Control": kept,
                },
            )

    def test_conditions(self) -> None:
        """The tag is a validator; what has no date ignores dates."""
        tag, old, new = b'"%b"' % self.tag.encode(), b"Sun, 09 Sep 2001 01:46:39 GMT", b"x"
        future = b"Sun, 09 Sep 2040 01:46:39 GMT"
        self.assertEqual(self.status(if_none_match=tag), 304)
        self.assertEqual(self.status(if_match=b'"other"'), 412)
        self.assertEqual(self.status(range=b"bytes=0-9"), 206)
        self.assertEqual(self.status(range=b"bytes=0-9", if_range=tag), 206)
        self.assertEqual(self.status(range=b"bytes=0-9", if_range=b'"other"'), 200)
        for date in (old, new, future):
            self.assertEqual(self.status(if_modified_since=date), 200)
            self.assertEqual(self.status(if_unmodified_since=date), 200)
            self.assertEqual(self.status(range=b"bytes=0-9", if_range=date), 200)
