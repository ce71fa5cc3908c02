"""The ``Range`` header."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from imgd.core import ranges
from imgd.core.ranges import Slice

PROPERTY = settings(deadline=None, database=None, max_examples=300)
HUGE = b"9" * 40
Spec = tuple[int | None, int | None]


class ParseTests(SynchronousTestCase):
    """The table of headers and what they ask of a file of ten bytes."""

    def check(self, size: int, table: dict[bytes, tuple[Slice, ...] | None]) -> None:
        for header, expected in table.items():
            self.assertEqual(ranges.parse(header, size), expected, header)

    def test_one_range(self) -> None:
        """First and last are positions, both counted in; what is beyond the end is cut off."""
        self.check(
            10,
            {
                b"bytes=0-0": (Slice(0, 1),),
                b"bytes=0-9": (Slice(0, 10),),
                b"bytes=0-10": (Slice(0, 10),),
                b"bytes=9-9": (Slice(9, 1),),
                b"bytes=9-": (Slice(9, 1),),
                b"bytes=0-": (Slice(0, 10),),
                b"bytes=5-" + HUGE: (Slice(5, 5),),
                b"bytes=0000005-006": (Slice(5, 2),),
                b"bytes=-1": (Slice(9, 1),),
                b"bytes=-10": (Slice(0, 10),),
                b"bytes=-11": (Slice(0, 10),),
                b"bytes=-" + HUGE: (Slice(0, 10),),
            },
        )

    def test_spelling(self) -> None:
        """The unit's case, blanks around a range and empty list elements do not matter."""
        self.check(
            10,
            {
                b"BYTES=0-0": (Slice(0, 1),),
                b"bYtEs=0-0": (Slice(0, 1),),
                b"bytes= 0-0": (Slice(0, 1),),
                b"bytes=\t0-0 \t": (Slice(0, 1),),
                b"bytes=0-0,": (Slice(0, 1),),
                b"bytes=,0-0": (Slice(0, 1),),
                b"bytes=0-0, ,\t,2-3": (Slice(0, 1), Slice(2, 2)),
            },
        )

    def test_several(self) -> None:
        """Several ranges come in the order asked, overlapping or not, without the unsatisfiable."""
        self.check(
            10,
            {
                b"bytes=8-,0-1": (Slice(8, 2), Slice(0, 2)),
                b"bytes=0-2,1-3": (Slice(0, 3), Slice(1, 3)),
                b"bytes=10-,0-0": (Slice(0, 1),),
                b"bytes=-0,-1": (Slice(9, 1),),
                b"bytes=" + b",".join([b"0-0"] * 10): (Slice(0, 1),) * 10,
            },
        )

    def test_unsatisfiable(self) -> None:
        """If every range lies beyond the end, no slice is left, which is a 416."""
        self.check(
            10,
            {
                b"bytes=10-": (),
                b"bytes=10-10": (),
                b"bytes=" + HUGE + b"-": (),
                b"bytes=-0": (),
                b"bytes=-00": (),
                b"bytes=10-,99-100,-0": (),
            },
        )

    def test_whole(self) -> None:
        """A header that is malformed, of another unit or asks for more than the file is ignored."""
        for header in (
            *(b"", b"bytes", b"bytes=", b"bytes=,", b"bytes= , ", b"=0-0", b"bytes:0-0", b"0-0"),
            *(b"items=0-0", b"bytes=-", b"bytes=--1", b"bytes=0", b"bytes=a-b", b"bytes=0x0-1"),
            *(b"bytes=1-0", b"bytes=0-0,2-1", b"bytes=0-0,x", b"bytes=+0-0", b"bytes=0 - 0"),
            *(b"bytes=1_0-", b"bytes=0-0;1-1", b"bytes=0-0\n1-1", b"bytes=0-0,bytes=1-1"),
            *(b"bytes=0-" + b"9" * 1_000, b"bytes=" + b"9" * 5_000 + b"-", b"bytes=\xb2-"),
            *(b"bytes=0-,0-0", b"bytes=-10,-1", b"bytes=-10,-10"),
        ):
            self.assertIsNone(ranges.parse(header, 10), header)

    def test_cap(self) -> None:
        """Sixteen ranges are served, seventeen are not, whether they could be satisfied or not."""
        for spec in (b"0-0", b"999-"):
            header = b"bytes=" + b",".join([spec] * 16)
            self.assertIsNotNone(ranges.parse(header, 100), header)
            self.assertIsNone(ranges.parse(header + b"," + spec, 100), header)

    def test_empty_file(self) -> None:
        """No range of an empty file can be satisfied; its last bytes are the whole file."""
        self.check(
            0,
            {
                b"bytes=0-": (),
                b"bytes=0-0": (),
                b"bytes=-0": (),
                b"bytes=-1": None,
                b"bytes=0-0,-1": None,
            },
        )


def model(specs: list[Spec], content: bytes) -> list[bytes] | None:
    """What RFC 9110 section 14 says of these ranges, as pieces of the content; None: the whole."""
    pieces = []
    for first, last in specs:
        if first is None:
            if last and not content:
                return None
            pieces.append(content[-last:] if last else b"")
        elif last is not None and last < first:
            return None
        else:
            pieces.append(content[first:] if last is None else content[first : last + 1])
    return [p for p in pieces if p] if sum(map(len, pieces)) <= len(content) else None


NUMBERS = st.integers(0, 40)
SPECS = st.lists(
    st.tuples(NUMBERS, st.none() | NUMBERS) | st.tuples(st.none(), NUMBERS), min_size=1, max_size=16
)


class PropertyTests(SynchronousTestCase):
    """The parser against its model, and against noise."""

    @PROPERTY
    @given(SPECS, st.binary(max_size=32))
    def test_model(self, specs: list[Spec], content: bytes) -> None:
        """Every list of ranges asks for the bytes that the model says."""
        written = ("-".join("" if n is None else str(n) for n in spec) for spec in specs)
        slices = ranges.parse(b"bytes=" + ",".join(written).encode(), len(content))
        pieces = None if slices is None else [content[s.offset :][: s.length] for s in slices]
        self.assertEqual(pieces, model(specs, content))

    @PROPERTY
    @given(st.text("0123456789-, \t=x").map(str.encode) | st.binary(), st.integers(0, 50))
    def test_noise(self, noise: bytes, size: int) -> None:
        """No header raises, and no slice is empty or leaves the file."""
        slices = ranges.parse(b"bytes=" + noise, size) or ()
        for s in slices:
            self.assertTrue(0 <= s.offset < s.offset + s.length <= size, s)
        self.assertLessEqual(sum(s.length for s in slices), size)
