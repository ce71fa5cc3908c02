"""Headers of NRRD: https://teem.sourceforge.net/nrrd/format.html."""

from __future__ import annotations

import math
import re
from typing import Final, NamedTuple

import numpy as np

from imgd.pictures.worker.header_text import base_name, is_pattern, whole_number, whole_numbers
from imgd.pictures.worker.nrrd_axes import axes_of
from imgd.pictures.worker.source import NotAPicture, SourceFile
from imgd.pictures.worker.streams import Compression, is_gzip
from imgd.pictures.worker.volume import Data, Volume, head_of

MAGIC: Final = b"NRRD000"
MOST_HEADER: Final = 1 << 20  # bytes

_TYPES: Final = {
    name: code
    for code, names in {
        "i1": "signed char,int8,int8_t",
        "u1": "uchar,unsigned char,uint8,uint8_t",
        "i2": "short,short int,signed short,signed short int,int16,int16_t",
        "u2": "ushort,unsigned short,unsigned short int,uint16,uint16_t",
        "i4": "int,signed int,int32,int32_t",
        "u4": "uint,unsigned int,uint32,uint32_t",
        "i8": "longlong,long long,long long int,signed long long,signed long long int,int64,"
        "int64_t",
        "u8": "ulonglong,unsigned long long,unsigned long long int,uint64,uint64_t",
        "f4": "float",
        "f8": "double",
    }.items()
    for name in names.split(",")
}
_ENCODINGS: Final[dict[str, Compression]] = {"raw": "", "gz": "gzip", "gzip": "gzip"}


class _NrrdHeader(NamedTuple):
    fields: dict[str, str]
    length: int  # bytes, with the empty line that ends it

    def number(self, name: str) -> int:
        """0 without this field, whose name may be written in one word."""
        text = self.fields.get(name, self.fields.get(name.replace(" ", ""), "0"))
        return whole_number(text, name)


def is_one(head: bytes) -> bool:
    """Whether a file that begins like this is one."""
    return head.startswith(MAGIC) and head[7:8].isdigit()


def data_name(head: bytes) -> str:
    """The file in the same folder that holds the voxels, "" if they follow the header."""
    fields = _header(head).fields
    name = fields.get("data file", fields.get("datafile", ""))
    if name.startswith("LIST") or is_pattern(name):
        raise NotAPicture("its voxels are in many files.")
    return base_name(name) if name else ""


def read(file: SourceFile, data_file: SourceFile | None) -> Volume:
    """The volume of a header; ``data_file`` holds the voxels of one that is apart."""
    head = head_of(file, MOST_HEADER)
    header = _header(head)
    fields = header.fields
    sizes = whole_numbers(fields.get("sizes", ""), "sizes")
    if whole_number(fields.get("dimension", ""), "dimension") != len(sizes) or not sizes:
        raise NotAPicture("its header has other than 'dimension' sizes.")
    if len(sizes) > 16 or min(sizes) < 1:
        raise NotAPicture("its header's sizes are none.")
    dtype = _dtype(fields)
    axes = axes_of(fields, sizes, are_bytes=dtype == np.uint8)
    missing = "".join(role for role in "xyz" if role not in axes.roles)
    dims = (*sizes, *(1 for _ in missing))
    return Volume(
        "NRRD", dims, axes.roles + missing, dtype, axes.affine,
        _data(file, head, header, data_file, math.prod(dims) * dtype.itemsize),
        notes=axes.notes,
    )  # fmt: skip


def _header(head: bytes) -> _NrrdHeader:
    """``FIELD: VALUE`` by lines to the first that is empty, or the file's end."""
    end = re.search(rb"\r?\n\r?\n", head)
    if end is None and len(head) >= MOST_HEADER:
        raise NotAPicture("its header is too long.")
    text = (head[: end.start()] if end else head).decode("utf-8", "replace")
    fields: dict[str, str] = {}
    for line in text.splitlines()[1:]:
        name, colon, value = line.partition(": ")
        if colon and not line.startswith("#") and ":=" not in name:  # KEY:=VALUE is no field
            fields[name.strip().lower()] = value.strip()
    return _NrrdHeader(fields, end.end() if end else len(head))


def _dtype(fields: dict[str, str]) -> np.dtype[np.generic]:
    code = _TYPES.get(fields.get("type", "").lower())
    if code is None:
        raise NotAPicture("its voxels are of a type that is not shown.")
    endian = fields.get("endian", "").lower()
    if code[1] != "1" and endian not in ("little", "big"):
        raise NotAPicture("its header does not say the order of bytes.")
    return np.dtype(code).newbyteorder(">" if endian == "big" else "<")


def _data(
    file: SourceFile, head: bytes, header: _NrrdHeader, data_file: SourceFile | None, claim: int
) -> Data:
    compression = _ENCODINGS.get(header.fields.get("encoding", "").lower())
    if compression is None:
        raise NotAPicture("its encoding is neither raw nor gzip.")
    if header.number("line skip"):
        raise NotAPicture("its voxels begin after lines of text.")
    skip = header.number("byte skip")
    if skip < 0 and (skip < -1 or compression):
        raise NotAPicture("its header does not say where the voxels begin.")
    is_apart = bool(data_name(head))
    if is_apart and data_file is None:
        raise NotAPicture("the file of its voxels is not here.")
    if is_gzip(file.read(0, 18)) and not is_apart:
        if compression or skip < 0:
            raise NotAPicture("it is compressed twice.")
        return Data(file, 0, header.length + skip, "gzip")
    start = 0 if is_apart else header.length
    file = data_file or file
    if skip < 0:  # the voxels are at the end of the file
        return Data(file, max(0, file.size - claim))
    return Data(file, start, skip, compression)
