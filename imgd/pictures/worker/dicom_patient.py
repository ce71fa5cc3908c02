"""Elements as JSON if an answer may tell of the patient: all but pixels and private ones."""

from __future__ import annotations

import codecs
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from pydicom.charset import decode_bytes, python_encoding
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import RawDataElement
from pydicom.valuerep import TEXT_VR_DELIMS, VR, PersonName

from imgd.pictures.worker import dicom_json
from imgd.pictures.worker.dicom_json import Json

MAX_BULK: Final = 1 << 16  # bytes
_FIRST: Final = 0x00080000  # below it are groups of messages and of the file's own header
_CHARACTER_SET: Final = 0x00080005
_PIXELS: Final = 0x7FE0  # group
_LAST: Final = 0xFFFC0000  # what fills a file
_BYTES: Final = ("OB", "OW", "OF", "OD", "OL", "OV", "UN")
_ASCII: Final = ("AE", "AS", "CS", "DA", "DT", "TM")
_WHOLE: Final = ("LT", "ST", "UR", "UT")  # in which a backslash is text
_KNOWN: Final = frozenset(map(str, VR))
_GROUPS: Final = ("Alphabetic", "Ideographic", "Phonetic")  # of a name (PS3.18 section F.2.2)


def warm() -> None:
    """Load every character set: later, nothing may be opened."""
    for name in python_encoding.values():
        with suppress(LookupError):
            codecs.lookup(name)


def vr_of(tag: int, claimed: str | None) -> str | None:
    """The VR of an element, or several as the dictionary has them; None if it is not told."""
    if tag < _FIRST or tag >= _LAST or tag >> 16 == _PIXELS or tag >> 16 & 1 or not tag & 0xFFFF:
        return None
    if tag == _CHARACTER_SET:  # the text that comes of it is in another
        return None
    if claimed in _KNOWN and claimed != "UN":
        return claimed
    try:
        return dictionary_VR(tag)
    except KeyError:
        return "UN"


def attribute(vr: str, raw: RawDataElement, encodings: list[str], order: str) -> Json | None:
    """None if it is bulk."""
    value: bytes = raw.value or b""
    if vr in _BYTES:
        too_large = raw.length > MAX_BULK
        return None if too_large else dicom_json.binary(vr, value, order)
    if vr in _ASCII:
        return dicom_json.element(vr, _split(value.decode("latin-1"), str.strip))
    if vr in _WHOLE:
        return dicom_json.element(vr, [_text(value, encodings).rstrip(" \0\r\n") or None])
    if vr == "PN":
        return dicom_json.element(vr, _split(_text(value, encodings), _name))
    if vr in ("LO", "SH", "UC"):
        return dicom_json.element(vr, _split(_text(value, encodings), str.strip))
    return dicom_json.element(vr, dicom_json.values(vr, value, order))


def _text(value: bytes, encodings: list[str]) -> str:
    return decode_bytes(value, encodings, TEXT_VR_DELIMS)


def _split(text: str, convert: Callable[[str], Any]) -> list[Any]:
    return [convert(part.rstrip(" \0")) or None for part in text.split("\\")]


def _name(text: str) -> Json:
    name = PersonName(text)
    components = (name.alphabetic, name.ideographic, name.phonetic)
    return {group: part for group, part in zip(_GROUPS, components, strict=True) if part}
