"""Sizes as a person can read them."""

from __future__ import annotations

from typing import Final

_UNITS: Final = ("kB", "MB", "GB", "TB", "PB", "EB")


def human_size(size: int) -> str:
    """A number of bytes in powers of 1000, with one decimal below 100: ``512 B``, ``1.5 MB``."""
    if size < 1000:
        return f"{size} B"
    value, power = size / 1000, 1
    while value >= 999.5 and power < len(_UNITS):
        value, power = value / 1000, power + 1
    unit = _UNITS[power - 1]
    return f"{value:.1f} {unit}" if value < 99.95 else f"{value:.0f} {unit}"


def counted(number: int, one: str, many: str) -> str:
    """``1 file``, ``2 files``, ``10,000 files``."""
    return f"{number:,} {one if number == 1 else many}"
