"""How a series was acquired, by the names and in the units of BIDS (the Brain Imaging Data
Structure's JSON files): numbers and codes alone, and nothing of the patient.
"""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

Fact = float | int | str | list[Any]
DOSE_SCALING: Final = "DoseGridScaling"  # what makes a dose of stored values: PS3.3 section C.8.8.3
_MS: Final = 0.001  # of a second
# By name: the attribute as DICOM JSON calls it, and what its numbers are multiplied by.
_FACTS: Final[dict[str, tuple[tuple[str, ...], float]]] = {
    "Modality": (("00080060",), 1),
    "ImageType": (("00080008",), 1),
    "BodyPartExamined": (("00180015",), 1),
    "PatientPosition": (("00185100",), 1),
    "ScanningSequence": (("00180020",), 1),
    "SequenceVariant": (("00180021",), 1),
    "ScanOptions": (("00180022",), 1),
    "MRAcquisitionType": (("00180023",), 1),
    "SliceThickness": (("00180050",), 1),
    "SpacingBetweenSlices": (("00180088",), 1),
    "KVP": (("00180060",), 1),
    "XRayTubeCurrent": (("00181151", "00189330"), 1),
    "XRayExposure": (("00181152",), 1),
    "ExposureTime": (("00181150", "00189328"), _MS),
    "GantryDetectorTilt": (("00181120",), 1),
    "RepetitionTime": (("00180080",), _MS),
    "EchoTime": (("00180081", "00189082"), _MS),
    "InversionTime": (("00180082", "00189079"), _MS),
    "FlipAngle": (("00181314",), 1),
    "MagneticFieldStrength": (("00180087",), 1),
    "ImagingFrequency": (("00180084", "00189098"), 1),
    "NumberOfAverages": (("00180083",), 1),
    "EchoTrainLength": (("00180091",), 1),
    "PixelBandwidth": (("00180095",), 1),
    "DiffusionBValue": (("00189087",), 1),
    DOSE_SCALING: (("3004000E",), 1),
    "TemporalResolution": (("00200110",), _MS),
}
_SHARED_GROUPS: Final = "52009229"
# PS3.5 section 6.2: what has other characters is no code.
CODE: Final = re.compile(r"[A-Z0-9_ ]{1,16}")
MAX_VALUES: Final = 16


def facts(metadata: bytes) -> dict[str, Fact]:
    """What a data set, as DICOM JSON, tells of its acquisition; ``{}`` if it is none."""
    try:
        dataset = msgspec.json.decode(metadata)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
    places = [dataset, *_groups(dataset)]
    found = {name: _first(places, tags, factor) for name, (tags, factor) in _FACTS.items()}
    return {name: value for name, value in found.items() if value is not None}


def _groups(dataset: Any) -> list[Any]:
    """The items in the functional groups that all frames share (PS3.3 section C.7.6.16)."""
    return [
        item
        for shared in _values(dataset, _SHARED_GROUPS)[:1]
        if isinstance(shared, dict)
        for group in shared
        for item in _values(shared, group)[:1]
    ]


def _values(dataset: Any, tag: str) -> list[Any]:
    element = dataset.get(tag) if isinstance(dataset, dict) else None
    values = element.get("Value") if isinstance(element, dict) else None
    return values if isinstance(values, list) else []


def _first(places: list[Any], tags: tuple[str, ...], factor: float) -> Fact | None:
    for tag in tags:
        for place in places:
            values = [_plain(value, factor) for value in _values(place, tag)[:MAX_VALUES]]
            known = [value for value in values if value is not None]
            if known:
                return known[0] if len(known) == 1 else known
    return None


def _plain(value: Any, factor: float) -> float | int | str | None:
    if isinstance(value, str):
        return value if CODE.fullmatch(value) else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if factor == 1 else float(f"{value * factor:.12g}")  # no 0.0020000000000000001


class SharedFacts:
    """The facts that all files of a series agree on."""

    def __init__(self) -> None:
        self.found: dict[str, Fact] | None = None

    def add(self, of_file: dict[str, Fact]) -> None:
        """Leave out what the facts of this file say otherwise."""
        shared = of_file if self.found is None else self.found
        self.found = {n: value for n, value in shared.items() if of_file.get(n) == value}

    def volume_time(self) -> float:
        """Seconds from a volume to the next, 0 if that is not known. The repetition time is that of
        echo-planar imaging alone: it takes a whole volume in turn.
        """
        shared = self.found or {}
        sequence = shared.get("ScanningSequence")
        is_echo_planar = sequence == "EP" or (isinstance(sequence, list) and "EP" in sequence)
        time = shared.get("TemporalResolution") or (
            shared.get("RepetitionTime") if is_echo_planar else None
        )
        return float(time) if isinstance(time, int | float) and 0 < time < 1e6 else 0.0
