"""Files that a picture server should not decode: small ones that become huge, loops, lies.

All are made here, in some seconds together, and none is from elsewhere.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from PIL import Image

from benchmarks.pictures.inputs import nifti_header

PIECE: Final = 1 << 24  # bytes of zeros that are packed at once


def png_of_zeros(
    width: int, height: int, *, colour_type: int = 0, interlaced: bool = False
) -> bytes:
    """A black PNG (ISO/IEC 15948), packed a thousand times smaller than its pixels."""
    channels = {0: 1, 2: 3, 6: 4}[colour_type]
    length = height * (1 + width * channels)
    if interlaced:  # seven passes, each with the filter bytes of its rows; zeros all the same
        length += 3 * height
    header = struct.pack(">IIBBBBB", width, height, 8, colour_type, 0, 0, interlaced)
    data = packed_zeros(length, wbits=15)
    chunks = ((b"IHDR", header), (b"IDAT", data), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks
    )


def packed_zeros(length: int, *, wbits: int, before: bytes = b"") -> bytes:
    """``before`` and so many zeros by deflate, with the header that ``wbits`` means to zlib.

    The zeros are packed once and repeated, so the checksum at the end is that of too few.
    """
    pieces, rest = divmod(length, PIECE)
    deflate = zlib.compressobj(9, wbits=wbits)
    start = deflate.compress(before) + deflate.flush(zlib.Z_FULL_FLUSH)
    piece = b""
    if pieces:
        piece = deflate.compress(bytes(PIECE)) + deflate.flush(zlib.Z_FULL_FLUSH)
    return start + piece * pieces + deflate.compress(bytes(rest)) + deflate.flush()


def encoded(form: str, width: int, height: int, **options: object) -> bytes:
    """One colour in a format of Pillow."""
    out = io.BytesIO()
    Image.new("RGB", (width, height), (1, 2, 3)).save(out, form, **options)
    return out.getvalue()


def tiff_loop() -> bytes:
    """A grey picture of 8 x 8, whose two image file directories each name the other as the next."""
    tags = ((256, 8), (257, 8), (258, 8), (259, 1), (262, 1), (273, 212), (278, 8), (279, 64))
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)

    def directory(following: int) -> bytes:
        return struct.pack("<H", len(tags)) + entries + struct.pack("<I", following)

    second = 8 + len(directory(0))
    head = struct.pack("<2sHI", b"II", 42, 8)
    return head + directory(second) + directory(8) + bytes(64)


def dicom_lie() -> bytes:
    """A DICOM file whose pixel data claims 4 GB, of 65,535 x 65,535 pixels, and has 16 bytes."""

    def element(group: int, number: int, kind: bytes, value: bytes) -> bytes:
        if kind == b"OW":
            return struct.pack("<HH2sHI", group, number, kind, 0, 0xFFFFFFF0) + value
        return struct.pack("<HH2sH", group, number, kind, len(value)) + value

    little_endian = element(2, 0x10, b"UI", b"1.2.840.10008.1.2.1\0")
    length = element(2, 0, b"UL", struct.pack("<I", len(little_endian)))
    shorts = ((0x02, 1), (0x10, 65535), (0x11, 65535), (0x100, 16), (0x101, 16), (0x102, 15))
    fields = b"".join(element(0x28, n, b"US", struct.pack("<H", v)) for n, v in shorts)
    pixels = element(0x7FE0, 0x10, b"OW", bytes(16))
    return bytes(128) + b"DICM" + length + little_endian + fields + pixels


def huge_nifti() -> bytes:
    """A header that claims 10^12 voxels, and nothing behind it."""
    return nifti_header((10_000, 10_000, 10_000))


def gzip_of_4_gb(scale: float = 1.0) -> bytes:
    """A NIfTI volume of zeros, 1,024 x 1,024 x 2,048 of int16, in 4 MB."""
    side, slices = int(1024 * scale), int(2048 * scale)
    header = nifti_header((side, side, slices))
    return packed_zeros(side * side * slices * 2, wbits=31, before=header)


def gzip_with_a_tail(scale: float = 1.0) -> bytes:
    """A volume of 8 x 8 x 8, with 4 GB of zeros behind it, in 4 MB."""
    return packed_zeros(int((4 << 30) * scale**3), wbits=31, before=nifti_header((8, 8, 8)))


def makers(scale: float = 1.0) -> Mapping[str, Callable[[], bytes]]:
    """How each file is made, by its name; ``scale`` makes all smaller that are large."""

    def side(pixels: int) -> int:
        return int(pixels * scale)

    photo = encoded("JPEG", 640, 480)
    return {
        "400-megapixels.png": lambda: png_of_zeros(side(20_000), side(20_000)),
        "49-megapixels.png": lambda: png_of_zeros(
            side(7000), side(7000), colour_type=6, interlaced=True
        ),
        "49-megapixels.webp": lambda: encoded("WEBP", side(7000), side(7000), quality=1, method=0),
        "48-megapixels.avif": lambda: encoded("AVIF", side(8000), side(6000), speed=10),
        "256-megapixels.tif": lambda: encoded(
            "TIFF", side(16_000), side(16_000), compression="tiff_adobe_deflate"
        ),
        "4-gigabytes.nii.gz": lambda: gzip_of_4_gb(scale),
        "long-tail.nii.gz": lambda: gzip_with_a_tail(scale),
        "10-to-the-12.nii": huge_nifti,
        "loop.tif": tiff_loop,
        "lie.dcm": dicom_lie,
        "empty.png": bytes,
        "truncated.jpg": lambda: photo[: len(photo) // 2],
        "photo.nii.gz": lambda: photo,
        "zeros.mgz": lambda: packed_zeros(int((4 << 30) * scale**3), wbits=31),
    }


def write_all(folder: Path, scale: float = 1.0) -> list[Path]:
    """Every file, made if it is missing."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, make in makers(scale).items():
        path = folder / name
        if not path.exists():
            path.write_bytes(make())
        paths.append(path)
    return paths
