"""The metadata of a DICOM file as a JSON object (DICOM PS3.18 annex F), without its pixels."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, cast

from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag
from pydicom.values import convert_SQ

from imgd.pictures.worker import dicom_json
from imgd.pictures.worker.dicom_allowed import ALLOWED, EMPTY, tag_of
from imgd.pictures.worker.dicom_json import Json

# The tables of offsets are no metadata, but needed to find frames.
_OFFSETS: Final = ("ExtendedOffsetTable", "ExtendedOffsetTableLengths")
TAGS: Final[list[BaseTag | int]] = [*ALLOWED, *map(tag_of, _OFFSETS)]
_NAMES: Final = {tag: f"{tag:08X}" for tag in ALLOWED}
_EMPTY: Final[Json] = {f"{tag:08X}": {"vr": vr} for tag, vr in EMPTY.items()}


def metadata(dataset: Dataset, syntax: str) -> Json:
    """What the allow list names of a data set, and what clients expect of every instance."""
    found = _attributes(dataset, _is_signed(dataset))
    return dict(sorted({**_EMPTY, **found, **_of_imgd(syntax)}.items()))


def _of_imgd(syntax: str) -> Json:
    """Of which text the JSON is, and in which syntax the file is (PS3.18 table 10.6.3-5)."""
    return {
        "00080005": {"vr": "CS", "Value": ["ISO_IR 192"]},
        "00083002": dicom_json.element("UI", dicom_json.values("UI", syntax.encode(), "<")),
    }


def _attributes(dataset: Dataset, is_signed: bool) -> Json:
    attributes: Json = {}
    for raw in dataset.values():
        vr = ALLOWED.get(raw.tag)
        if vr is not None:
            attribute = _attribute(dataset, raw, vr, is_signed)
            if attribute is not None:
                attributes[_NAMES[raw.tag]] = attribute
    return attributes


def _attribute(
    dataset: Dataset, raw: RawDataElement | DataElement, vr: str, is_signed: bool
) -> Json | None:
    """None if the file has bytes of another kind in the element's place."""
    if vr == "SQ":
        items = [_attributes(item, is_signed) for item in items_of(dataset, raw)]
        return {"vr": "SQ", "Value": items} if items else {"vr": "SQ"}
    if not isinstance(raw, RawDataElement) or (raw.VR not in (None, "UN") and raw.VR not in vr):
        return None
    order = "<" if raw.is_little_endian else ">"
    if " or " in vr:
        vr = _chosen(vr, raw.VR, is_signed)
    value = raw.value or b""
    if vr == "OW":
        return dicom_json.binary(vr, value, order)
    return dicom_json.element(vr, dicom_json.values(vr, value, order))


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
    elif raw.VR in (None, "SQ", "UN") and raw.value:
        is_implicit = raw.is_implicit_VR or raw.VR == "UN"
        encodings = cast(list[str], dataset.original_character_set)
        yield from convert_SQ(raw.value, is_implicit, raw.is_little_endian, encodings)


def _is_signed(dataset: Dataset) -> bool:
    raw: Any = dataset.get_item("PixelRepresentation") if "PixelRepresentation" in dataset else None
    return isinstance(raw, RawDataElement) and (raw.value or b"")[:2].strip(b"\0") != b""
