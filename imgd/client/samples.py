"""Sample images made of nothing: PNG frames and a NIfTI-1 volume, with the standard library."""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from collections.abc import Iterator
from typing import Final

_PNG: Final = b"\x89PNG\r\n\x1a\n"
_DISC: Final = b"\xff\xf4\xd6"
_UINT8: Final = 2  # NIfTI-1 datatype code


def frame(number: int, count: int, width: int = 320, height: int = 200) -> bytes:
    """Frame ``number`` of ``count`` as an RGB PNG (W3C PNG, section 5): a disc over a gradient."""
    turn = 2 * math.pi * number / count
    x, y = width / 2 + width / 4 * math.cos(turn), height / 2 + height / 4 * math.sin(turn)
    reds = bytes(255 * column // width for column in range(width))
    greens = bytes([int(160 * number / count) + 40]) * width
    pixels = bytearray()
    for row in range(height):
        line = bytearray(3 * width)
        line[0::3], line[1::3], line[2::3] = reds, greens, bytes([255 * row // height]) * width
        half = math.sqrt(max(0.0, (height / 5) ** 2 - (row - y) ** 2))  # of the disc's width here
        first, last = round(x - half), round(x + half)
        line[3 * first : 3 * last] = _DISC * (last - first)
        pixels += b"\0" + line  # filter type: none
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = (b"IHDR", head), (b"IDAT", zlib.compress(pixels, 6)), (b"IEND", b"")
    return _PNG + b"".join(_chunk(kind, data) for kind, data in chunks)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def volume(size: int = 48) -> bytes:
    """A gzipped NIfTI-1 volume of ``size`` cubed voxels of 2 mm: a sphere within a sphere."""
    offset = 352.0  # bytes: the header's 348 and an empty extension's 4
    header = bytearray(348)
    struct.pack_into("<i", header, 0, 348)
    struct.pack_into("<8h", header, 40, 3, size, size, size, 1, 1, 1, 1)
    struct.pack_into("<hh", header, 70, _UINT8, 8)
    struct.pack_into("<8f", header, 76, 1.0, 2.0, 2.0, 2.0, 1.0, 1.0, 1.0, 1.0)
    struct.pack_into("<3f", header, 108, offset, 1.0, 0.0)  # vox_offset, slope, intercept
    struct.pack_into("<B", header, 123, 2)  # xyzt_units: millimetres
    struct.pack_into("<80s", header, 148, b"imgd demo: synthetic, not a patient")
    struct.pack_into("<hh", header, 252, 0, 1)  # qform unknown, sform: scanner
    for axis, position in enumerate((280, 296, 312)):
        row = [2.0 if column == axis else 0.0 for column in range(3)]
        struct.pack_into("<4f", header, position, *row, -float(size))
    struct.pack_into("<4s", header, 344, b"n+1\0")
    return gzip.compress(bytes(header) + bytes(4) + b"".join(_slices(size)), 6, mtime=0)


def _slices(size: int) -> Iterator[bytes]:
    middle = (size - 1) / 2
    outer, inner = (size * 0.45) ** 2, (size * 0.2) ** 2
    for z in range(size):
        for y in range(size):
            across = (y - middle) ** 2 + (z - middle) ** 2
            yield bytes(
                220 if far < inner else 110 if far < outer else 0
                for far in (across + (x - middle) ** 2 for x in range(size))
            )
