"""The metadata of a DICOM file as a JSON object (DICOM PS3.18 annex F), without its pixels."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, NamedTuple, TypeGuard

from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag
from pydicom.values import convert_SQ

from imgd.pictures.worker import dicom_json, dicom_patient
from imgd.pictures.worker.dicom_allowed import ALLOWED, EMPTY, tag_of
from imgd.pictures.worker.dicom_json import Json
from imgd.pictures.worker.source import PictureError

# The tables of offsets are no metadata, but needed to find frames.
_OFFSETS: Final = ("ExtendedOffsetTable", "ExtendedOffsetTableLengths")
TAGS: Final[list[BaseTag | int]] = [*ALLOWED, *map(tag_of, _OFFSETS)]
_NAMES: Final = {tag: f"{tag:08X}" for tag in ALLOWED}
_EMPTY: Final[Json] = {f"{tag:08X}": {"vr": vr} for tag, vr in EMPTY.items()}


def metadata(dataset: Dataset, syntax: str, *, with_patient: bool) -> Json:
    """What the allow list names of a data set, or everything, and what clients expect of every
    instance.
    """
    found = _attributes(dataset, _Options(_is_signed(dataset), with_patient))
    return dict(sorted({**_EMPTY, **found, **_of_imgd(syntax)}.items()))


class _Options(NamedTuple):
    is_signed: bool  # of pixels, and of values about them
    with_patient: bool


def _of_imgd(syntax: str) -> Json:
    """Of which text the JSON is, and in which syntax the file is (PS3.18 table 10.6.3-5)."""
    return {
        "00080005": {"vr": "CS", "Value": ["ISO_IR 192"]},
        "00083002": dicom_json.element("UI", dicom_json.values("UI", syntax.encode(), "<")),
    }


def _attributes(dataset: Dataset, options: _Options) -> Json:
    attributes: Json = {}
    for raw in dataset.values():
        tag = int(raw.tag)  # pydicom's own class is slow as a key
        vr = ALLOWED.get(tag)
        if vr is not None:
            attribute = _allowed(dataset, raw, vr, options)
        elif options.with_patient:
            attribute = _of_patient(dataset, raw, options)
        else:
            continue
        if attribute is not None:
            attributes[_NAMES.get(tag) or f"{tag:08X}"] = attribute
    return attributes


def _allowed(
    dataset: Dataset, raw: RawDataElement | DataElement, vr: str, options: _Options
) -> Json | None:
    """None if the file has bytes of another kind in the element's place."""
    if vr == "SQ":
        return _sequence(dataset, raw, options)
    if not _is_read(raw) or (raw.VR not in (None, "UN") and raw.VR not in vr):
        return None
    order = "<" if raw.is_little_endian else ">"
    if " or " in vr:
        vr = _chosen(vr, raw.VR, options.is_signed)
    value = raw.value or b""
    if vr == "OW":
        return dicom_json.binary(vr, value, order)
    if vr == "CS" and options.with_patient:
        return dicom_patient.attribute(vr, raw, [], order)
    return dicom_json.element(vr, dicom_json.values(vr, value, order))


def _of_patient(
    dataset: Dataset, raw: RawDataElement | DataElement, options: _Options
) -> Json | None:
    vr = dicom_patient.vr_of(raw.tag, raw.VR)
    if vr is None:
        return None
    if " or " in vr:
        vr = _chosen(vr, raw.VR, options.is_signed)
    if vr == "SQ":
        return _sequence(dataset, raw, options)
    if not _is_read(raw):
        return None
    order = "<" if raw.is_little_endian else ">"
    return dicom_patient.attribute(vr, raw, _encodings(dataset), order)


def _is_read(raw: RawDataElement | DataElement) -> TypeGuard[RawDataElement]:
    """Whether an element has its bytes: it is no sequence, and not too large."""
    return isinstance(raw, RawDataElement) and (raw.value is not None or not raw.length)


def _sequence(dataset: Dataset, raw: RawDataElement | DataElement, options: _Options) -> Json:
    items = [_attributes(item, options) for item in items_of(dataset, raw)]
    return {"vr": "SQ", "Value": items} if items else {"vr": "SQ"}


def _encodings(dataset: Dataset) -> list[str]:
    encodings = dataset.original_character_set
    return [encodings] if isinstance(encodings, str) else list(encodings)


def _chosen(vrs: str, claimed: str | None, is_signed: bool) -> str:
    """One of several VRs that the dictionary allows (PS3.5 section 6.2, and PS3.6)."""
    if claimed not in (None, "UN"):
        return str(claimed)
    if "OW" in vrs:
        return "OW"
    return "SS" if is_signed else "US"


def items_of(dataset: Dataset, raw: RawDataElement | DataElement) -> Iterator[Dataset]:
    """The items of a sequence; none if it is none."""
    if isinstance(raw, DataElement):
        yield from raw.value if raw.VR == "SQ" else ()
    elif raw.value is None and raw.length:
        raise PictureError(422, "It has a sequence that is too large.")
    elif raw.VR in (None, "SQ", "UN") and raw.value:
        is_implicit = raw.is_implicit_VR or raw.VR == "UN"
        yield from convert_SQ(raw.value, is_implicit, raw.is_little_endian, _encodings(dataset))


def _is_signed(dataset: Dataset) -> bool:
    raw: Any = dataset.get_item("PixelRepresentation") if "PixelRepresentation" in dataset else None
    return isinstance(raw, RawDataElement) and (raw.value or b"")[:2].strip(b"\0") != b""
