"""Values in headers that are text."""

from __future__ import annotations

import re
from typing import Final

from imgd.pictures.worker.source import NotAPicture

_WHOLE: Final = re.compile(r"[+-]?[0-9]{1,18}", re.ASCII)
_PATTERN: Final = re.compile(r"%[0-9]*[dux]", re.ASCII)
_MOST: Final = 64  # numbers in one field


def numbers(text: str, field: str) -> list[float]:
    """Numbers apart by spaces."""
    try:
        return [float(word) for word in text.split()[:_MOST]]
    except ValueError:
        raise NotAPicture(f"its header's '{field}' are not numbers.") from None


def whole_numbers(text: str, field: str) -> list[int]:
    """Whole numbers apart by spaces."""
    return [whole_number(word, field) for word in text.split()[:_MOST]]


def whole_number(text: str, field: str) -> int:
    """One, with or without a sign, of at most 18 digits."""
    if not _WHOLE.fullmatch(text):
        raise NotAPicture(f"its header's '{field}' is not a whole number.")
    return int(text)


def is_pattern(name: str) -> bool:
    """Whether it is one of C for the names of many files."""
    return bool(_PATTERN.search(name))


def base_name(text: str) -> str:
    """The name of a file in the same folder; NotAPicture for one elsewhere."""
    name = text.removeprefix("./")
    if (
        not name
        or len(name) > 255
        or "/" in name
        or "\\" in name
        or "\0" in name
        or name in (".", "..")
    ):
        raise NotAPicture("its voxels are in a file in another folder.")
    return name
