"""The size that a compressed frame claims for itself: JPEG, JPEG-LS, JPEG 2000."""

from __future__ import annotations

import struct
from typing import Final

_START: Final = b"\xff\xd8"
# The markers of a frame's header: of JPEG (ISO/IEC 10918-1 table B.1), and of JPEG-LS, SOF55.
_FRAMES: Final = {*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC}
_JPEG_2000: Final = b"\xff\x4f\xff\x51"


def size(frame: bytes) -> tuple[int, int] | None:
    """Rows and columns; None if they are not told where they should be."""
    if frame.startswith(_JPEG_2000):
        if len(frame) < 24:
            return None
        width, height, left, top = struct.unpack_from(">4I", frame, 8)
        return height - top, width - left
    return _jpeg_size(frame) if frame.startswith(_START) else None


def _jpeg_size(frame: bytes) -> tuple[int, int] | None:
    place = 2
    while place + 9 <= len(frame) and frame[place] == 0xFF:
        if frame[place + 1] == 0xFF:  # a byte that fills
            place += 1
        elif frame[place + 1] in _FRAMES:
            rows, columns = struct.unpack_from(">2H", frame, place + 5)
            return rows, columns
        else:
            place += 2 + int.from_bytes(frame[place + 2 : place + 4], "big")
    return None
