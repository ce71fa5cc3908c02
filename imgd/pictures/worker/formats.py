"""Which format the first bytes of a file tell, and which formats are never decoded."""

from __future__ import annotations

import re
from typing import Final

HEAD_SIZE: Final = 1 << 13  # bytes that are enough to tell; headers of text may be long

# What Pillow calls the formats that are given to it, and how a file of each begins.
_PICTURES: Final = (
    ("JPEG", re.compile(rb"\xff\xd8\xff")),
    ("PNG", re.compile(rb"\x89PNG\r\n\x1a\n")),
    ("GIF", re.compile(rb"GIF8[79]a")),
    ("WEBP", re.compile(rb"RIFF....WEBP", re.DOTALL)),
    ("TIFF", re.compile(rb"II[*+]\0|MM\0[*+]")),
    # The size of the second header tells a bitmap from a text that begins with BM.
    ("BMP", re.compile(rb"BM.{12}[\x0c\x28\x34\x38\x40\x6c\x7c]\0\0\0", re.DOTALL)),
    ("AVIF", re.compile(rb"....ftyp(?:.{4}){0,8}?avi[fs]", re.DOTALL)),
    ("JPEG2000", re.compile(rb"\0\0\0\x0cjP  \r\n\x87\n|\xff\x4f\xff\x51")),
)
_NAMES: Final = {"WEBP": "WebP", "JPEG2000": "JPEG 2000"}
_REFUSED: Final = (
    ("PDF", re.compile(rb".{0,64}?%PDF-", re.DOTALL)),
    ("PostScript", re.compile(rb"%!PS|\xc5\xd0\xd3\xc6")),
    ("HTML", re.compile(rb"(?:\xef\xbb\xbf)?\s*<(?:!doctype html|html\b)", re.IGNORECASE)),
    ("SVG", re.compile(rb"(?:\xef\xbb\xbf)?\s*<(?:svg\b|[?!].*?<svg\b)", re.DOTALL)),
    ("HEIC", re.compile(rb"....ftyp(?:hei[cxms]|hev[cx]|mif1|msf1)", re.DOTALL)),
    ("JPEG XL", re.compile(rb"\xff\x0a|\0\0\0\x0cJXL ")),
    ("JPEG XR", re.compile(rb"II\xbc")),
    ("Photoshop's format", re.compile(rb"8BPS")),
    ("OpenEXR", re.compile(rb"v/1\x01")),
    ("video", re.compile(rb"....(?:ftyp|moov|mdat|wide)|RIFF....AVI ", re.DOTALL)),
    ("video", re.compile(rb"\x1aE\xdf\xa3|\0\0\x01[\xb3\xba]|FLV\x01|OggS|\x30\x26\xb2\x75")),
    ("video", re.compile(rb"\x47.{187}\x47", re.DOTALL)),
)


def picture_format(head: bytes) -> str | None:
    """Pillow's name of the format of a picture, None if it is none that is given to Pillow."""
    return next((name for name, begins in _PICTURES if begins.match(head)), None)


def format_name(pillow_name: str) -> str:
    """How people write the name of a format."""
    return _NAMES.get(pillow_name, pillow_name)


def refused_format(head: bytes) -> str | None:
    """The format of a file that is known and never decoded, None if it is none of these."""
    return next((name for name, begins in _REFUSED if begins.match(head)), None)
