"""The query of a search: DICOM PS3.18 sections 8.3.4 and 10.6.1."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qsl

from imgd.core import paths
from imgd.dicom import attributes
from imgd.dicom.attributes import Attribute
from imgd.dicom.value_matching import BadValue, test_of
from imgd.errors import BadRequest

MAX_KEYS: Final = 100  # each time that one is named counts
MAX_NAMED: Final = 20  # unknown fields: proxies take headers of some kB
OPTION: Final = "--patient-data"
_NUMBER: Final = re.compile("[0-9]{1,9}", re.ASCII)
_NAME: Final = re.compile("[A-Za-z0-9]{1,64}", re.ASCII)
_OF_ANY_REQUEST: Final = ("accept", "charset")  # PS3.18 section 8.3.3
_LISTS: Final = ("UI", "CS", "")  # VRs of which several values may be searched for
_NOT_SEARCHED: Final = ("RetrieveURL", "InstanceAvailability")  # imgd's own, the same for all
# PS3.18 section 8.3.4.2 has this sentence.
NOT_FUZZY: Final = (
    "The fuzzymatching parameter is not supported. Only literal matching has been performed."
)


@dataclass(frozen=True, slots=True)
class Key:
    """An attribute, and what one of its values must be."""

    attribute: Attribute
    wanted: tuple[str, ...]

    def matches(self, vr: str, values: Sequence[Any]) -> bool:
        """Whether an attribute of this VR does that has these values, as in DICOM JSON."""
        try:
            return test_of(vr, self.wanted)(values)
        except BadValue as error:
            raise BadRequest(f"'{self.attribute.name}' {error}.") from None


@dataclass(frozen=True, slots=True)
class DicomQuery:
    """``include`` are tags that results have besides; ``has_all``: whatever is known. ``limit`` is
    None if none is given. ``warnings`` are sentences for ``Warning`` (PS3.18 section 8.3.4).
    """

    keys: tuple[Key, ...] = ()
    include: frozenset[str] = frozenset()
    has_all: bool = False
    limit: int | None = None
    offset: int = 0
    warnings: tuple[str, ...] = ()

    def wanted(self, tag: str) -> tuple[str, ...]:
        """What the attribute of this tag must be one of; none if it may be anything."""
        return next((key.wanted for key in self.keys if key.attribute.tag == tag), ())


def parse(query: bytes, *, has_patient_data: bool) -> DicomQuery:
    """A query as it stands in a URL. BadRequest names the key that is wrong."""
    values = _values(query)
    for key in _OF_ANY_REQUEST:
        values.pop(key, None)
    limit, offset = (_number(values.pop(key, []), key) for key in ("limit", "offset"))
    warnings = [NOT_FUZZY] if _is_fuzzy(values.pop("fuzzymatching", [])) else []
    named = [n for v in values.pop("includefield", []) for n in v.split(",") if n]
    include = [(name, _included(name)) for name in named if name != "all"]
    unknown = [name for name, attribute in include if attribute is None]
    if unknown:
        warnings.append(_unknown_sentence(unknown))
    keys = [_key(name, wanted, has_patient_data) for name, wanted in values.items()]
    tags = [a.tag for _, a in include if a is not None] + [key.attribute.tag for key in keys]
    return DicomQuery(
        keys=tuple(key for key in keys if not _is_universal(key)),
        include=frozenset(tags),
        has_all="all" in named,
        limit=limit,
        offset=offset or 0,
        warnings=tuple(warnings),
    )


def _values(query: bytes) -> dict[str, list[str]]:
    text = query.decode("utf-8", "replace")
    try:
        pairs = parse_qsl(text, keep_blank_values=True, errors="replace", max_num_fields=MAX_KEYS)
    except ValueError:
        raise BadRequest(f"A search may have {MAX_KEYS} keys at most.") from None
    values: dict[str, list[str]] = {}
    for key, value in pairs:
        values.setdefault(key, []).append(value)
    return values


def _quoted(name: str) -> str:
    """What a client called something, in a sentence."""
    shown = paths.display(name)
    return f"'{shown[:64]}{'…' if len(shown) > 64 else ''}'"


def _number(values: list[str], key: str) -> int | None:
    if not values:
        return None
    if len(values) > 1 or not _NUMBER.fullmatch(values[0]):
        raise BadRequest(f"'{key}' must be one number from 0 to 999999999.")
    return int(values[0])


def _is_fuzzy(values: list[str]) -> bool:
    if any(value not in ("true", "false") for value in values):
        raise BadRequest("'fuzzymatching' must be true or false.")
    return "true" in values


def _included(name: str) -> Attribute | None:
    """What is asked for; None of a keyword that imgd does not know."""
    if not _NAME.fullmatch(name):
        raise BadRequest("'includefield' must be keywords, tags of 8 hexadecimal digits, or all.")
    known = attributes.find(name)
    is_tag = attributes.TAG.fullmatch(name) is not None
    return attributes.of_tag(name.upper()) if known is None and is_tag else known


def _unknown_sentence(names: list[str]) -> str:
    more = f" and {len(names) - MAX_NAMED} more" if len(names) > MAX_NAMED else ""
    named = ", ".join(names[:MAX_NAMED])
    return f"imgd does not know these attributes of includefield: {named}{more}."


def _key(name: str, wanted: list[str], has_patient_data: bool) -> Key:
    """What an attribute must be; its values are judged now if its VR is known."""
    attribute = attributes.find(name)
    if attribute is None and has_patient_data and attributes.TAG.fullmatch(name):
        attribute = attributes.of_tag(name.upper())
    if attribute is None or attribute.keyword in _NOT_SEARCHED:
        raise BadRequest(f"imgd cannot search by {_quoted(name)}.")
    key = Key(attribute, tuple(wanted))
    if _is_universal(key):
        return key
    if len(wanted) > 1 and attribute.vr not in _LISTS:
        raise BadRequest(f"'{attribute.name}' is there {len(wanted)} times; it must be there once.")
    if attribute.is_withheld and not has_patient_data:
        raise BadRequest(
            f"imgd was started without {OPTION}, so that it cannot search by '{attribute.name}'."
        )
    if attribute.vr:
        key.matches(attribute.vr, ())
    return key


def _is_universal(key: Key) -> bool:
    """Whether everything matches (DICOM PS3.4 section C.2.2.2.3), even without a value."""
    return all(value in ("", "*") for value in key.wanted)
