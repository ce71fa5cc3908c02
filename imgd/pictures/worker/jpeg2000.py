"""JPEG 2000 (ISO/IEC 15444-1) decoded at a half, a quarter or less of its size, as it is stored."""

from __future__ import annotations

from typing import Final

from PIL import Image, Jpeg2KImagePlugin

HEAD_SIZE: Final = 1 << 16  # bytes in which the main header is looked for
_START: Final = b"\xff\x4f\xff\x51"  # of a codestream: SOC and SIZ
_COD: Final = b"\xff\x52"  # the coding style
_TILE: Final = b"\xff\x90"  # the first tile: the main header is over


def reduce(image: Image.Image, least: tuple[int, int]) -> None:
    """Decode a picture of this format no larger than it needs to be to measure ``least`` pixels.

    Pictures of other formats stay as they are.
    """
    if not isinstance(image, Jpeg2KImagePlugin.Jpeg2KImageFile) or image.fp is None:
        return
    image.fp.seek(0)
    levels = _levels(image.fp.read(HEAD_SIZE))
    fitting = [
        level
        for level in range(1, levels + 1)
        if all(
            side >> level >= enough and _is_expected(side, level)
            for side, enough in zip(image.size, least, strict=True)
        )
    ]
    image.reduce = max(fitting, default=0)
    image.load()
    image.reduce = 0  # which hides a method of the same name


def _is_expected(side: int, level: int) -> bool:
    """Whether Pillow, which rounds, expects the size that the standard has, which is rounded up."""
    power = 1 << level
    return -(-side // power) == (side + power // 2) // power


def _levels(head: bytes) -> int:
    """How often the picture can be halved (ISO/IEC 15444-1 table A.15); 0 if it is not told."""
    marker = head.find(_START) + 2
    while marker > 1 and marker + 10 <= len(head) and head[marker : marker + 2] != _TILE:
        if head[marker : marker + 2] == _COD:
            return min(head[marker + 9], 32)
        marker += 2 + int.from_bytes(head[marker + 2 : marker + 4], "big")
    return 0
