"""PNG and JPEG of arrays and pictures."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from isal import isal_zlib
from numpy.typing import NDArray
from PIL import Image

JPEG: Final = "image/jpeg"
PNG: Final = "image/png"
JSON: Final = "application/json"
_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
_COLOUR_TYPES: Final = {1: 0, 3: 2, 4: 6}  # by channels
_SUB: Final = 1  # the filter: each byte less that of the pixel before it


def png(pixels: NDArray[Any], text: Mapping[str, str] | None = None) -> bytes:
    """A picture of (height, width) or (height, width, channels), uint8 or uint16, as PNG (ISO/IEC
    15948); ``text`` becomes tEXt chunks. Some five times as fast as Pillow's.
    """
    rows = pixels.reshape(*pixels.shape[:2], -1)
    height, width, channels = rows.shape
    bits = 8 * rows.itemsize
    stored = np.ascontiguousarray(rows, rows.dtype.newbyteorder(">")).view(np.uint8)
    step = channels * rows.itemsize
    stored = stored.reshape(height, width * step)
    filtered = np.empty((height, 1 + width * step), np.uint8)
    filtered[:, 0] = _SUB
    filtered[:, 1 : 1 + step] = stored[:, :step]
    np.subtract(stored[:, step:], stored[:, :-step], out=filtered[:, 1 + step :])
    header = struct.pack(">IIBBBBB", width, height, bits, _COLOUR_TYPES[channels], 0, 0, 0)
    texts = (f"{key}\0{value}".encode("latin-1") for key, value in (text or {}).items())
    return b"".join(
        (
            _SIGNATURE,
            _chunk(b"IHDR", header),
            *(_chunk(b"tEXt", data) for data in texts),
            _chunk(b"IDAT", isal_zlib.compress(filtered.data, 1)),
            _chunk(b"IEND", b""),
        )
    )


def _chunk(kind: bytes, data: bytes) -> bytes:
    checksum = zlib.crc32(data, zlib.crc32(kind))
    return b"".join((struct.pack(">I", len(data)), kind, data, struct.pack(">I", checksum)))


def jpeg(image: Image.Image, quality: int = 80) -> bytes:
    """A picture of mode L or RGB as JPEG, without metadata."""
    out = io.BytesIO()
    image.save(out, "JPEG", quality=quality)
    return out.getvalue()
