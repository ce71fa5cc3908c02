"""Numbers of a DICOM header, which may lie in groups for every frame of a file of many frames."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Final

from pydicom.dataset import Dataset

# The sequence in a functional group that holds a keyword (DICOM PS3.3 section C.7.6.16.2).
_GROUPS: Final = {
    "PixelSpacing": "PixelMeasuresSequence",
    "SliceThickness": "PixelMeasuresSequence",
    "SpacingBetweenSlices": "PixelMeasuresSequence",
    "ImagePositionPatient": "PlanePositionSequence",
    "ImageOrientationPatient": "PlaneOrientationSequence",
    "RescaleSlope": "PixelValueTransformationSequence",
    "RescaleIntercept": "PixelValueTransformationSequence",
    "WindowCenter": "FrameVOILUTSequence",
    "WindowWidth": "FrameVOILUTSequence",
    "VOILUTFunction": "FrameVOILUTSequence",
}
# The size of a pixel, rows first; the last alone is no length (PS3.3 section C.7.6.3).
_SPACINGS: Final = (
    *("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing"),
    "PixelAspectRatio",
)
MAX_ASPECT: Final = 16.0  # a pixel that is taller or wider than this is a mistake in the header


def numbers(dataset: Dataset, keyword: str, frame: int = 0) -> list[float]:
    """The finite numbers of an element; none if it is not there or not of numbers."""
    value = raw(dataset, keyword, frame)
    values = value if hasattr(value, "__iter__") and not isinstance(value, str) else [value]
    found = []
    for item in values:
        with suppress(TypeError, ValueError):
            found.append(float(item))
    return [number for number in found if math.isfinite(number)]


def number(dataset: Dataset, keyword: str, frame: int = 0) -> float | None:
    """The first of ``numbers``."""
    return next(iter(numbers(dataset, keyword, frame)), None)


def whole(dataset: Dataset, keyword: str, default: int = 0) -> int:
    """The first of ``numbers`` as a whole number."""
    value = number(dataset, keyword)
    return default if value is None else int(value)


def raw(dataset: Dataset, keyword: str, frame: int = 0) -> Any:
    """An element's value as pydicom gives it, None if there is none, or it is broken."""
    for place in _places(dataset, keyword, frame):
        with suppress(Exception):  # pydicom reads a value when it is asked for, and may find it bad
            value = place.get(keyword)
            if value is not None and value != "":
                return value
    return None


def _places(dataset: Dataset, keyword: str, frame: int) -> Iterator[Dataset]:
    """Where an element may be: in the frame's own group, the one that all share, the data set."""
    group = _GROUPS.get(keyword)
    if group is not None:
        for sequence, item in (
            ("PerFrameFunctionalGroupsSequence", frame),
            ("SharedFunctionalGroupsSequence", 0),
        ):
            with suppress(Exception):
                yield dataset[sequence][item][group][0]
    yield dataset


def pixel_aspect(dataset: Dataset, frame: int) -> float:
    """How many times as tall as wide a pixel is; 1 if the file does not say, or nonsense."""
    for keyword in _SPACINGS:
        values = numbers(dataset, keyword, frame)
        if len(values) == 2 and min(values) > 0:
            aspect = values[0] / values[1]  # rows first
            return aspect if 1 / MAX_ASPECT < aspect < MAX_ASPECT else 1.0
    return 1.0


def voxel_size(dataset: Dataset, frame: int) -> tuple[list[float], str]:
    """Along columns, rows and frames, and the unit: "mm", or "unknown" if only the shape of a pixel
    is known.
    """
    depth = number(dataset, "SpacingBetweenSlices", frame) or number(
        dataset, "SliceThickness", frame
    )
    for keyword in _SPACINGS[:-1]:
        values = numbers(dataset, keyword, frame)
        if len(values) == 2 and min(values) > 0:
            return [values[1], values[0], abs(depth or 1.0)], "mm"
    return [1.0, pixel_aspect(dataset, frame), 1.0], "unknown"
