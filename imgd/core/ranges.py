"""The ``Range`` header: RFC 9110 section 14."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

MAX_RANGES: Final = 16
_SPEC: Final = re.compile(rb"(\d{0,999})-(\d{0,999})")  # int() refuses more than 4,300 digits


class Slice(NamedTuple):
    """Bytes of a file: from ``offset``, ``length`` of them."""

    offset: int
    length: int


def parse(header: bytes, size: int) -> tuple[Slice, ...] | None:
    """The slices that a ``Range`` header asks of a file of ``size`` bytes, in the order asked.

    None means the whole file: the header is malformed, of another unit, of more than ``MAX_RANGES``
    ranges, or asks for more bytes than the file has (RFC 9110 section 14.2 lets a server ignore
    it). An empty tuple means that no range can be satisfied: a 416.
    """
    unit, equals, specs = header.partition(b"=")
    if unit.strip().lower() != b"bytes" or not equals:
        return None
    stripped = [spec.strip(b" \t") for spec in specs.split(b",")]
    nonempty = [spec for spec in stripped if spec]
    if not 1 <= len(nonempty) <= MAX_RANGES:
        return None
    slices: list[Slice] = []
    for spec in nonempty:
        match = _SPEC.fullmatch(spec)
        if match is None or not (part := _slice(match[1], match[2], size)):
            return None
        if part is not _UNSATISFIABLE:
            slices.append(part)
    return tuple(slices) if sum(s.length for s in slices) <= size else None


_UNSATISFIABLE: Final = Slice(-1, -1)


def _slice(first: bytes, last: bytes, size: int) -> Slice | None:
    """One range: a slice, ``_UNSATISFIABLE``, or None if the whole header must be ignored."""
    if not first:
        return _suffix(last, size)
    start = int(first)
    if last and int(last) < start:
        return None
    if start >= size:
        return _UNSATISFIABLE
    end = min(int(last), size - 1) if last else size - 1
    return Slice(start, end - start + 1)


def _suffix(last: bytes, size: int) -> Slice | None:
    if not last:
        return None
    length = min(int(last), size)
    if int(last) and not size:
        return None  # satisfiable, but no Content-Range can say 0 bytes: the whole, empty file
    return Slice(size - length, length) if length else _UNSATISFIABLE
