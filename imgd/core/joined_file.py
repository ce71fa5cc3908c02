"""A file that is on no disk: bytes of many files, and bytes between them, in one order."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import blake2b
from itertools import accumulate, chain
from typing import Final, NamedTuple

from imgd.core import conditional
from imgd.core.conditional import FileFacts
from imgd.core.plan import Plan, Representation, plan
from imgd.core.ranges import Slice

_OF_DATES: Final = (b"if-modified-since", b"if-unmodified-since")


class FileSlice(NamedTuple):
    """Bytes of a file. ``names`` lead to it from its root, ``facts`` are of the version meant."""

    names: tuple[str, ...]
    facts: FileFacts
    part: Slice


Piece = bytes | FileSlice


class Segment(NamedTuple):
    """What is sent while one file is open: its slices, and the literal bytes around them.
    ``facts`` is None if all of them are literal.
    """

    names: tuple[str, ...]
    facts: FileFacts | None
    parts: tuple[bytes | Slice, ...]


class JoinedFile:
    """Pieces one after the other. ``size`` is in bytes."""

    def __init__(self, pieces: Iterable[Piece]) -> None:
        self._pieces: Sequence[Piece] = [piece for piece in pieces if _length(piece)]
        self._ends = list(accumulate(map(_length, self._pieces)))
        self.size = self._ends[-1] if self._ends else 0

    def cut(self, parts: Iterable[bytes | Slice]) -> Iterator[Piece]:
        """The pieces that the parts of a plan are made of, in order: its slices are of this file,
        its literal bytes stay.
        """
        return chain.from_iterable(
            self._cut(part) if isinstance(part, Slice) else (part,) for part in parts
        )

    def _cut(self, part: Slice) -> Iterator[Piece]:
        """The slice ``part``, which ends within this file."""
        number, offset, left = bisect_right(self._ends, part.offset), part.offset, part.length
        while left:
            piece, end = self._pieces[number], self._ends[number]
            skipped = offset - (end - _length(piece))
            taken = min(end - offset, left)
            yield _within(piece, skipped, taken)
            number, offset, left = number + 1, offset + taken, left - taken


def segments(pieces: Iterable[Piece]) -> Iterator[Segment]:
    """The pieces, file by file: what is literal before the first is sent with it, what is literal
    after one with that one.
    """
    names: tuple[str, ...] = ()
    facts: FileFacts | None = None
    parts: list[bytes | Slice] = []
    for piece in pieces:
        if isinstance(piece, bytes):
            parts.append(piece)
            continue
        if facts is not None and (names, facts) != piece[:2]:
            yield Segment(names, facts, tuple(parts))
            parts = []
        names, facts = piece[:2]
        parts.append(piece.part)
    yield Segment(names, facts, tuple(parts))


def digest(versions: Iterable[FileFacts], *more: bytes) -> str:
    """A short text that differs with the version of any of these files, their order, and ``more``.

    It tells no more of an inode or a time than an ETag of one file does.
    """
    hashed = blake2b(b"\0".join(more), digest_size=16)
    for facts in versions:
        hashed.update(conditional.etag(facts))
    return hashed.hexdigest()


def represent(
    joined: JoinedFile, media_type: str, tag: str, now: float, max_age: int = 0
) -> Representation:
    """What HTTP is told of it, but for a date: the newest of many files can be deleted, and an old
    one added. ``tag`` is a ``digest``; ``now`` and ``max_age`` as for a file.
    """
    quoted = b'"%b"' % tag.encode("ascii")
    headers = (
        (b"ETag", quoted),
        (b"Accept-Ranges", b"bytes"),
        (b"Cache-Control", b"max-age=%d" % max_age if max_age else b"no-cache"),
    )
    return Representation(media_type.encode("ascii"), joined.size, quoted, int(now), headers)


def plan_joined(rep: Representation, conditions: Mapping[bytes, bytes], now: float) -> Plan:
    """``plan``, whose slices are of the joined file. What has no date ignores conditions by date
    (RFC 9110 sections 13.1.3 and 13.1.4).
    """
    return plan(rep, {n: v for n, v in conditions.items() if n not in _OF_DATES}, now)


def _length(piece: Piece) -> int:
    return len(piece) if isinstance(piece, bytes) else piece.part.length


def _within(piece: Piece, offset: int, length: int) -> Piece:
    if isinstance(piece, bytes):
        return piece[offset : offset + length]
    return piece._replace(part=Slice(piece.part.offset + offset, length))
