"""Whether an attribute has a value that is searched for: DICOM PS3.4 section C.2.2.2."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import Any, Final

Test = Callable[[Sequence[Any]], bool]

MAX_PATTERN: Final = 256  # characters of a value with wildcards
_UID: Final = re.compile("[0-9.]{1,64}", re.ASCII)
_DATE: Final = re.compile("[0-9]{8}", re.ASCII)
_TIME: Final = re.compile(r"[0-9]{2}(?:[0-9]{2}(?:[0-9]{2}(?:\.[0-9]{1,6})?)?)?", re.ASCII)
_DATE_TIME: Final = re.compile(r"[0-9]{4,14}(?:\.[0-9]{1,6})?", re.ASCII)
_RANGES: Final = {
    "DA": (_DATE, "a date (20260131) or a range of dates (20260101-20260131)"),
    "TM": (_TIME, "a time (1430) or a range of times (0900-1430)"),
    "DT": (_DATE_TIME, "a date and time (202601311430) or a range of them"),
}
_OLD_SEPARATORS: Final = {"DA": ".", "TM": ":", "DT": " "}  # of ACR-NEMA, which files still have
_NUMBERS: Final = frozenset(["DS", "FD", "FL", "IS", "SL", "SS", "SV", "UL", "US", "UV"])
_TEXTS: Final = frozenset(["AE", "AS", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT"])
_NUMBER: Final = re.compile(r"[+-]?[0-9]{1,20}(?:\.[0-9]{0,20})?(?:[eE][+-]?[0-9]{1,3})?", re.ASCII)
_SEPARATORS: Final = re.compile(r"[,\\]")


class BadValue(ValueError):
    """A value that no attribute of this kind can have; says what it must be."""


@lru_cache(64)
def test_of(vr: str, wanted: tuple[str, ...]) -> Test:
    """Whether one of an attribute's values, as in DICOM JSON, is one of ``wanted``. BadValue."""
    if vr == "UI":
        uids = frozenset(_listed(wanted))
        if not all(map(_UID.fullmatch, uids)):
            raise BadValue("must be a UID, or some separated by commas")
        return lambda values: not uids.isdisjoint(map(str, values))
    if vr in _NUMBERS:
        numbers = frozenset(_numbers(wanted))
        return lambda values: not numbers.isdisjoint(_found_numbers(values))
    if vr in _RANGES:
        tests = [_range_test(vr, text) for text in wanted]
        return lambda values: any(test(values) for test in tests)
    if vr in _TEXTS:
        patterns = [_pattern(text, vr) for text in (_listed(wanted) if vr == "CS" else wanted)]
        return lambda values: any(p.fullmatch(t) for t in _texts(values) for p in patterns)
    raise BadValue("cannot be searched for: its values are not text, codes, dates or numbers")


def _listed(wanted: Sequence[str]) -> Iterator[str]:
    return (value.strip() for text in wanted for value in _SEPARATORS.split(text))


def _numbers(wanted: Sequence[str]) -> Iterator[float]:
    for text in _listed(wanted):
        if not _NUMBER.fullmatch(text):
            raise BadValue("must be a number")
        yield float(text)


def _found_numbers(values: Sequence[Any]) -> Iterator[float]:
    """Numbers, some of which DICOM JSON may have as strings (PS3.18 section F.2.2)."""
    return (float(value) for value in values if _NUMBER.fullmatch(str(value).strip()))


def _range_test(vr: str, text: str) -> Test:
    """A value alone stands for all that begin with it: 14 is all times from 14 to 15 o'clock."""
    form, expected = _RANGES[vr]
    first, dash, last = text.partition("-")
    if not (first or last) or not all(form.fullmatch(end) for end in (first, last) if end):
        raise BadValue(f"must be {expected}")

    def is_within(value: object) -> bool:
        found = str(value).strip().replace(_OLD_SEPARATORS[vr], "")
        if not dash:
            return found.startswith(first)
        return first <= found and (not last or found[: len(last)] <= last)

    return lambda values: any(map(is_within, values))


def _pattern(text: str, vr: str) -> re.Pattern[str]:
    """A pattern that takes no more than a time in proportion to the text that it is held against:
    what an asterisk matched is not tried again. Names match in either case.
    """
    if ("*" in text or "?" in text) and len(text) > MAX_PATTERN:
        raise BadValue(f"must have {MAX_PATTERN} characters at most if some are wildcards")
    flags = re.DOTALL | (re.IGNORECASE if vr == "PN" else re.NOFLAG)
    first, *others = [_segment(segment) for segment in re.split(r"\*+", text)]
    if not others:
        return re.compile(first, flags)
    *middle, last = others
    return re.compile(f"{first}{''.join(f'(?>.*?{m})' for m in middle)}.*{last}", flags)


def _segment(text: str) -> str:
    return "".join("." if character == "?" else re.escape(character) for character in text)


def _texts(values: Sequence[Any]) -> Iterator[str]:
    """Values as text; of a name each of its forms."""
    for value in values:
        if isinstance(value, dict):
            yield from (str(form).strip() for form in value.values())
        elif value is not None:
            yield str(value).strip()
