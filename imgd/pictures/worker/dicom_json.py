"""DICOM elements as JSON (DICOM PS3.18 annex F): values of their VR, and no other bytes."""

from __future__ import annotations

import base64
import math
import re
import struct
from collections.abc import Callable, Iterable
from typing import Any, Final

# A code string (DICOM PS3.5 section 6.2): what has small letters or marks is no code.
_CODE: Final = re.compile(r"[A-Z0-9_ ]{1,16}", re.ASCII)
UID: Final = re.compile(r"[0-9][0-9.]{0,63}", re.ASCII)
_DECIMAL: Final = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[Ee][+-]?[0-9]{1,3})?", re.ASCII)
_MAX_DIGITS: Final = 40  # of a decimal string: files have more than the 16 of the standard
_MAX_WHOLE: Final = 2**31  # PS3.5 section 6.2
_BINARY: Final = {
    **{"US": "H", "SS": "h", "UL": "I", "SL": "i", "FL": "f", "FD": "d"},
    **{"UV": "Q", "SV": "q"},
}
_WORDS: Final = {"OW": 2, "OF": 4, "OL": 4, "OD": 8, "OV": 8}

Json = dict[str, Any]


def values(vr: str, value: bytes, order: str) -> list[Any]:
    """The values of an element of this VR; None in the place of one that is empty or not of it.

    ``order`` is "<" or ">". Numbers are finite. [] of a VR that this module does not know.
    """
    if vr in _BINARY:
        return _numbers(_BINARY[vr], value, order)
    if vr == "AT":
        whole = value[: len(value) // 4 * 4]
        return [f"{tag[0]:04X}{tag[1]:04X}" for tag in struct.iter_unpack(f"{order}2H", whole)]
    convert = _TEXTS.get(vr)
    if convert is None or not value:
        return []
    texts = value.decode("latin-1").rstrip("\0 ").split("\\")
    return [convert(text.strip(" \0")) for text in texts]


def element(vr: str, found: Iterable[Any]) -> Json:
    """An attribute; without a value if there is none that is not empty."""
    found = list(found)
    if any(value is not None for value in found):
        return {"vr": vr, "Value": found}
    return {"vr": vr}


def binary(vr: str, value: bytes, order: str) -> Json:
    """An attribute of bytes, little endian."""
    size = _WORDS.get(vr, 1)
    if order == ">" and size > 1:
        whole = value[: len(value) // size * size]
        value = b"".join(whole[at : at + size][::-1] for at in range(0, len(whole), size))
    if not value:
        return {"vr": vr}
    return {"vr": vr, "InlineBinary": base64.b64encode(value).decode("ascii")}


def _numbers(kind: str, value: bytes, order: str) -> list[Any]:
    count = len(value) // struct.calcsize("=" + kind)
    numbers = struct.unpack_from(f"{order}{count}{kind}", value)
    if kind in "fd":
        return [number if math.isfinite(number) else None for number in numbers]
    return list(numbers)


def _decimal(text: str) -> float | None:
    if len(text) > _MAX_DIGITS or not _DECIMAL.fullmatch(text):
        return None
    number = float(text)
    return number if math.isfinite(number) else None


def _whole(text: str) -> int | None:
    number = _decimal(text)
    if number is None or not -_MAX_WHOLE <= number < _MAX_WHOLE or number != int(number):
        return None
    return int(number)


def _code(text: str) -> str | None:
    return text if _CODE.fullmatch(text) else None


def _uid(text: str) -> str | None:
    return text if UID.fullmatch(text) else None


_TEXTS: Final[dict[str, Callable[[str], Any]]] = {
    "DS": _decimal,
    "IS": _whole,
    "CS": _code,
    "UI": _uid,
}
