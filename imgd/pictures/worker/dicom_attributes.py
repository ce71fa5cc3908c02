"""Attributes by keyword, out of the JSON that tells them."""

from __future__ import annotations

from typing import Any

from imgd.pictures.worker.dicom_allowed import NAMES
from imgd.pictures.worker.dicom_json import Json


def values(attributes: Json, keyword: str) -> list[Any]:
    """All values of an attribute of the allow list; none if it is not there."""
    found: list[Any] = attributes.get(NAMES[keyword], {}).get("Value", [])
    return found


def first(attributes: Json, keyword: str) -> Any:
    """The first value; None if there is none."""
    found = values(attributes, keyword)
    return found[0] if found else None


def text(attributes: Json, keyword: str) -> str:
    """The first value; "" if it is none or no text."""
    value = first(attributes, keyword)
    return value if isinstance(value, str) else ""


def whole(attributes: Json, keyword: str) -> int | None:
    """The first value; None if it is none or no whole number."""
    value = first(attributes, keyword)
    return value if isinstance(value, int) else None


def number(attributes: Json, keyword: str) -> float | None:
    """The first value; None if it is none or no number."""
    value = first(attributes, keyword)
    return float(value) if isinstance(value, int | float) else None


def numbers(attributes: Json, keyword: str, count: int) -> list[float] | None:
    """So many numbers; None if there are more or less, or others."""
    found = values(attributes, keyword)
    if len(found) == count and all(isinstance(value, int | float) for value in found):
        return [float(value) for value in found]
    return None


def item(attributes: Json, keyword: str, index: int = 0) -> Json:
    """An item of a sequence; {} if there is none."""
    found = values(attributes, keyword)
    chosen: Json = found[index] if index < len(found) else {}
    return chosen
