"""Where the pixels of a DICOM file are: a range of it, or the fragments of each frame."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Final, NamedTuple

from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.uid import UID, ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from imgd.pictures.instances import Pixels
from imgd.pictures.worker.dicom_header import UNDEFINED, Parsed, PixelPlace
from imgd.pictures.worker.source import SourceFile

MAX_FRAGMENTS: Final = 100_000
_ITEM: Final = 0xE000FFFE  # the tags of items (PS3.5 section 7.5), their two halves exchanged
_END: Final = 0xE0DDFFFE
_NATIVE: Final = (ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian)
_MARKER: Final = b"\xff\xd9"  # the end of a JPEG, JPEG-LS or JPEG 2000 codestream
_TAIL: Final = 10  # bytes of a fragment in which it is looked for: padding may follow


class BadPixels(Exception):
    """``why`` is one sentence."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class _Fragment(NamedTuple):
    item: int  # where its header begins in the file
    offset: int
    length: int


def places(source: SourceFile, parsed: Parsed, place: PixelPlace, frames: int, size: int) -> Pixels:
    """``size`` is what all frames take if they are native, in bytes, 0 if the header does not say.
    BadPixels if they cannot be found.
    """
    if parsed.is_deflated:
        raise BadPixels("Its pixels are deflated together with its header.")
    if parsed.syntax not in _NATIVE:
        if place.length != UNDEFINED and not _is_encapsulated(parsed.syntax):
            raise BadPixels("Its transfer syntax is not known.")
        fragments = _of_frames(source, parsed.dataset, _fragments(source, place), frames)
        return Pixels(place.keyword, place.offset, 0, fragments)
    if place.length == UNDEFINED:
        raise BadPixels("The length of its pixels is not given.")
    if not size:
        raise BadPixels("The size of its pixels is not given.")
    if place.offset + place.length > source.size or size > place.length:
        raise BadPixels("Its pixels are cut short.")
    return Pixels(place.keyword, place.offset, size)


def _is_encapsulated(syntax: UID) -> bool:
    return syntax.is_transfer_syntax and syntax.is_encapsulated


def _fragments(source: SourceFile, place: PixelPlace) -> list[_Fragment]:
    """The offset table, which may be empty, and all fragments (PS3.5 section A.4)."""
    end = source.size if place.length == UNDEFINED else place.offset + place.length
    found: list[_Fragment] = []
    for fragment in _items(source, place.offset, end):
        if fragment.offset + fragment.length > source.size:
            raise BadPixels("Its pixels are cut short.")
        found.append(fragment)
        if len(found) > MAX_FRAGMENTS:
            raise BadPixels(f"Its pixels are in more than {MAX_FRAGMENTS} fragments.")
    if len(found) < 2:
        raise BadPixels("It has no fragments of pixels.")
    return found


def _items(source: SourceFile, at: int, end: int) -> Iterator[_Fragment]:
    """Only their headers are read."""
    while at < end:
        header = source.read(at, 8)
        if len(header) < 8:
            raise BadPixels("Its pixels are cut short.")
        tag, length = struct.unpack("<II", header)
        if tag == _END:
            return
        if tag != _ITEM or length == UNDEFINED:
            raise BadPixels("Its fragments of pixels are broken.")
        yield _Fragment(at, at + 8, length)
        at += 8 + length


def _of_frames(
    source: SourceFile, dataset: Dataset, found: Sequence[_Fragment], frames: int
) -> list[list[int]]:
    """The fragments of each frame: by a table, one for each, or all of the only frame."""
    table, fragments = found[0], found[1:]
    if extended := _extended(dataset):
        return _by_extended_table(fragments, extended, frames)
    if frames == 1:
        return [_flat(fragments)]
    if table.length:
        if table.length != 4 * frames:
            raise BadPixels("Its table of offsets has not one for each frame.")
        starts = struct.unpack(f"<{frames}I", source.read(table.offset, table.length))
        return _by_table(fragments, starts)
    if len(fragments) == frames:
        return [_flat([fragment]) for fragment in fragments]
    return _by_markers(source, fragments, frames)


def _flat(fragments: Sequence[_Fragment]) -> list[int]:
    return [number for fragment in fragments for number in fragment[1:]]


def _extended(dataset: Dataset) -> list[tuple[int, int]]:
    """Offset and length of each frame (PS3.3 section C.7.6.3.1.8)."""
    columns: list[tuple[int, ...]] = []
    for keyword in ("ExtendedOffsetTable", "ExtendedOffsetTableLengths"):
        raw = dataset.get_item(keyword) if keyword in dataset else None
        value = raw.value if isinstance(raw, RawDataElement) else None
        whole = (value or b"")[: len(value or b"") // 8 * 8]
        columns.append(struct.unpack(f"<{len(whole) // 8}Q", whole))
    return list(zip(*columns, strict=False))


def _by_extended_table(
    fragments: Sequence[_Fragment], table: Sequence[tuple[int, int]], frames: int
) -> list[list[int]]:
    by_start = {fragment.item - fragments[0].item: fragment for fragment in fragments}
    if len(table) != frames:
        raise BadPixels("Its table of offsets has not one for each frame.")
    placed = []
    for start, length in table:
        fragment = by_start.get(start)
        if fragment is None or length > fragment.length:
            raise BadPixels("Its table of offsets names places where no frame is.")
        placed.append([fragment.offset, length])
    return placed


def _by_table(fragments: Sequence[_Fragment], starts: Sequence[int]) -> list[list[int]]:
    """Each start is that of a frame's first fragment, counted from the first of all."""
    numbers = {
        fragment.item - fragments[0].item: number for number, fragment in enumerate(fragments)
    }
    if any(start not in numbers for start in starts) or starts[0]:
        raise BadPixels("Its table of offsets names places where no frame is.")
    firsts = [numbers[start] for start in starts]
    if any(later <= earlier for earlier, later in pairwise(firsts)):
        raise BadPixels("Its table of offsets is in no order.")
    ends = [*firsts[1:], len(fragments)]
    return [_flat(fragments[first:end]) for first, end in zip(firsts, ends, strict=True)]


def _by_markers(source: SourceFile, fragments: Sequence[_Fragment], frames: int) -> list[list[int]]:
    """A frame ends with the fragment that ends a codestream, as pydicom has it."""
    placed: list[list[int]] = [[]]
    for fragment in fragments:
        placed[-1] += fragment[1:]
        tail = min(_TAIL, fragment.length)
        if _MARKER in source.read(fragment.offset + fragment.length - tail, tail):
            placed.append([])
    if not placed[-1]:
        placed.pop()
    if len(placed) != frames:
        raise BadPixels("Which of its fragments are of which frame is not told.")
    return placed
