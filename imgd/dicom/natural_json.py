"""DICOM JSON as viewers in browsers have it: keywords for tags, and values without their VR.

So "naturalized" by dcmjs, and expected by OHIF (docs.ohif.org, "DICOM JSON").
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from imgd.dicom.keywords import KEYWORDS

# What OHIF shows of a study, and expects in each; "" for what a file does not tell.
STUDY_KEYS: Final = (
    *("StudyDate", "StudyTime", "StudyDescription", "AccessionNumber"),
    *("PatientName", "PatientID", "PatientSex", "PatientAge"),
)


def natural(metadata: msgspec.Raw) -> dict[str, Any]:
    """A JSON object of DICOM PS3.18 annex F with the attributes that ``keywords`` names.

    Several values are a list, one is itself, and a sequence is always a list. What has no value, or
    only binary ones, is left out.
    """
    return _object(msgspec.json.decode(metadata))


def _object(attributes: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    return dict(_pairs(attributes))


def _pairs(attributes: Mapping[str, Mapping[str, Any]]) -> Iterable[tuple[str, Any]]:
    for tag, attribute in attributes.items():
        keyword, values = KEYWORDS.get(tag), attribute.get("Value")
        if keyword is None or not values:
            continue
        if attribute["vr"] == "SQ":
            yield keyword, [_object(item) for item in values]
        elif attribute["vr"] == "PN":
            yield keyword, values[0].get("Alphabetic", "")
        else:
            yield keyword, values[0] if len(values) == 1 else values
