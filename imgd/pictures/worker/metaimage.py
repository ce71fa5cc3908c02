"""Headers of MetaImage, MHA and MHD: https://itk.org/Wiki/MetaIO/Documentation."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

from imgd.pictures.worker.header_text import (
    base_name,
    is_pattern,
    numbers,
    whole_number,
    whole_numbers,
)
from imgd.pictures.worker.source import NotAPicture, SourceFile
from imgd.pictures.worker.streams import Compression, is_gzip
from imgd.pictures.worker.volume import (
    Data,
    Floats,
    Volume,
    affine_of,
    head_of,
    is_usable,
    length_or_one,
)

MOST_HEADER: Final = 1 << 16  # bytes

_TYPES: Final = {
    "MET_CHAR": "i1", "MET_UCHAR": "u1", "MET_SHORT": "i2", "MET_USHORT": "u2", "MET_INT": "i4",
    "MET_UINT": "u4", "MET_LONG": "i4", "MET_ULONG": "u4", "MET_LONG_LONG": "i8",
    "MET_ULONG_LONG": "u8", "MET_FLOAT": "f4", "MET_DOUBLE": "f8",
}  # fmt: skip
_START: Final = re.compile(rb"\s*(?:ObjectType|NDims|Comment)\s*=", re.ASCII)
_LINE: Final = re.compile(rb"[ \t]*([A-Za-z]+)[ \t]*=[ \t]*([^\r\n]*)\r?\n?")
_TO_RAS: Final = np.array([-1, -1, 1])  # the format's world is LPS
# AnatomicalOrientation says from where each axis comes: RAI is the identity in LPS.
_FROM: Final = {
    "R": (1, 0, 0), "L": (-1, 0, 0), "A": (0, 1, 0), "P": (0, -1, 0), "I": (0, 0, 1),
    "S": (0, 0, -1),
}  # fmt: skip


class _MetaHeader(NamedTuple):
    fields: dict[str, str]
    length: int  # bytes, to the end of the line with ElementDataFile

    def first(self, *names: str) -> str:
        """The value of the first of these fields that there is, "" without."""
        return next((self.fields[name] for name in names if name in self.fields), "")

    def is_true(self, *names: str) -> bool:
        return self.first(*names).lower() in ("true", "1", "yes")


def may_be_one(head: bytes) -> bool:
    """Whether a file that begins like this may be one, by its first field."""
    return bool(_START.match(head))


def is_one(head: bytes) -> bool:
    """Whether these bytes, ``MOST_HEADER`` if there are so many, are a header and more."""
    return may_be_one(head) and b"ElementDataFile" in head[:MOST_HEADER]


def data_name(head: bytes) -> str:
    """The file in the same folder that holds the voxels, "" if they follow the header."""
    name = _header(head).first("ElementDataFile")
    if name.upper() == "LOCAL":
        return ""
    if name.startswith("LIST") or is_pattern(name):
        raise NotAPicture("its voxels are in many files.")
    return base_name(name)


def read(file: SourceFile, data_file: SourceFile | None) -> Volume:
    """The volume of a header; ``data_file`` holds the voxels of one that is apart."""
    head = head_of(file, MOST_HEADER)
    header = _header(head)
    number = whole_number(header.first("NDims"), "NDims")
    sizes = whole_numbers(header.first("DimSize"), "DimSize")
    if len(sizes) != number or not 1 <= number <= 8 or min(sizes) < 1:
        raise NotAPicture("its header's DimSize is none.")
    dtype = _dtype(header)
    channels = whole_number(
        header.first("ElementNumberOfChannels") or "1", "ElementNumberOfChannels"
    )
    sizes += [1] * (3 - number)
    roles = "xyzt"[: len(sizes)] + "-" * (len(sizes) - 4)
    notes = [f"Only the first along axis {axis + 1} is shown." for axis in range(4, len(sizes))]
    if channels != 1:
        sizes = [channels, *sizes]
        if channels in (3, 4) and dtype == np.uint8:
            roles = "c" + roles
        else:
            roles = ("-" if "t" in roles else "t") + roles
            notes += ["Only the first channel is shown."] if roles[0] == "-" else []
    volume = Volume(
        "MetaImage",
        tuple(sizes),
        roles,
        dtype,
        _affine(header, number),
        Data(file),
        notes=tuple(notes),
    )
    return volume._replace(data=_data(file, head, header, data_file, volume.byte_length))


def _header(head: bytes) -> _MetaHeader:
    """``KEY = VALUE`` by lines to ElementDataFile, which is the last."""
    fields: dict[str, str] = {}
    end = 0
    while line := _LINE.match(head, end):
        end = line.end()
        fields[line[1].decode("ascii")] = line[2].decode("utf-8", "replace").strip()
        if "ElementDataFile" in fields:
            return _MetaHeader(fields, end)
    raise NotAPicture("its header does not end with ElementDataFile.")


def _dtype(header: _MetaHeader) -> np.dtype[np.generic]:
    code = _TYPES.get(header.first("ElementType").upper())
    if code is None:
        raise NotAPicture("its voxels are of a type that is not shown.")
    is_big = header.is_true("BinaryDataByteOrderMSB", "ElementByteOrderMSB")
    return np.dtype(code).newbyteorder(">" if is_big else "<")


def _affine(header: _MetaHeader, number: int) -> Floats:
    spacing = _three(numbers(header.first("ElementSpacing", "ElementSize"), "ElementSpacing"), 1.0)
    sides = [length_or_one(side) for side in spacing]
    origin = _three(numbers(header.first("Offset", "Position", "Origin"), "Offset"), 0.0)
    columns = _directions(header, number) * np.array(sides)[:, np.newaxis]
    affine = affine_of((columns * _TO_RAS).tolist(), (np.array(origin) * _TO_RAS).tolist())
    if is_usable(affine):
        return affine
    return affine_of((np.diag(sides) * _TO_RAS).tolist(), (0, 0, 0))


def _directions(header: _MetaHeader, number: int) -> Floats:
    """The direction of each axis in LPS, by rows."""
    directions = np.eye(3)
    text = header.first("TransformMatrix", "Rotation", "Orientation")
    if text:
        cosines = numbers(text, "TransformMatrix")
        if len(cosines) != number * number:
            raise NotAPicture("its header's TransformMatrix has other than NDims x NDims numbers.")
        used = min(3, number)
        directions[:used, :used] = np.array(cosines).reshape(number, number)[:used, :used]
        return directions
    letters = header.first("AnatomicalOrientation").upper()
    if len(letters) == 3 and all(letter in _FROM for letter in letters):
        directions = np.array([_FROM[letter] for letter in letters], float)
    return directions


def _three(values: Sequence[float], default: float) -> list[float]:
    return [*values[:3], *[default] * (3 - len(values[:3]))]


def _data(
    file: SourceFile, head: bytes, header: _MetaHeader, data_file: SourceFile | None, claim: int
) -> Data:
    if header.first("BinaryData") and not header.is_true("BinaryData"):
        raise NotAPicture("its voxels are written as text.")
    skip = whole_number(header.first("HeaderSize") or "0", "HeaderSize")
    if data_name(head):
        if data_file is None:
            raise NotAPicture("the file of its voxels is not here.")
        file, start = data_file, 0
    else:
        start, skip = header.length, 0
    if not header.is_true("CompressedData"):
        if file.read(0, 2) == b"\x1f\x8b" and not data_name(head):
            return Data(file, 0, start, "gzip")
        return Data(file, max(0, file.size - claim) if skip == -1 else start, max(0, skip))
    compression: Compression = "gzip" if is_gzip(file.read(start, 18)) else "zlib"
    return Data(file, start, 0, compression)
