"""What ``?info`` tells of a DICOM file: geometry, values and acquisition, and nobody's name."""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray
from pydicom.datadict import dictionary_VR
from pydicom.dataset import Dataset

from imgd.pictures.worker import dicom_frames
from imgd.pictures.worker.dicom_grey import is_inverted, limits, own_window
from imgd.pictures.worker.dicom_header import FACTS, Header, uid_name
from imgd.pictures.worker.dicom_values import numbers, raw, voxel_size, whole
from imgd.pictures.worker.source import PictureError

# A code string (DICOM PS3.5 section 6.2): what has small letters or marks is no code.
_CODE: Final = re.compile(r"[A-Z0-9_ ]{1,16}")
_WHOLE: Final = ("IS", "US", "SS", "UL", "SL")
MAX_TAG_VALUES: Final = 16
_LPS_TO_RAS: Final = np.diag((-1.0, -1.0, 1.0))
_TOLERANCE: Final = 0.01  # of directions, which files give with as few digits as they like
OBLIQUE: Final = 1e-3  # how far an axis may be from the nearest one, as a sine


def facts(header: Header, count: int) -> bytes:
    """JSON of the middle frame and its file."""
    dataset, middle = header.dataset, count // 2
    sizes, unit = voxel_size(dataset, middle)
    found: dict[str, Any] = {
        "kind": "dicom",
        "format": "DICOM",
        "shape": [whole(dataset, "Columns"), whole(dataset, "Rows"), count],
        "frames": 1,
        "voxel_size": sizes,
        "units": {"space": unit, "time": "unknown"},
        "is_inverted": is_inverted(dataset),
        "planes": ["axial"],
        "transfer_syntax": uid_name(header.syntax),
        "tags": tags(dataset, middle),
    }
    return msgspec.json.encode(found | _space(dataset, sizes) | _pixels(header, middle))


def tags(dataset: Dataset, frame: int) -> dict[str, Any]:
    """The elements of the allow list that the file has, by keyword."""
    found = {keyword: _tag(dataset, keyword, frame) for keyword in FACTS}
    return {keyword: value for keyword, value in found.items() if value not in (None, [])}


def _tag(dataset: Dataset, keyword: str, frame: int) -> Any:
    kind = dictionary_VR(keyword)
    if kind == "CS":
        value = raw(dataset, keyword, frame)
        texts = [value] if isinstance(value, str) else list(value or ())[:MAX_TAG_VALUES]
        values: list[Any] = [text for text in texts if _CODE.fullmatch(str(text))]
    else:
        values = numbers(dataset, keyword, frame)[:MAX_TAG_VALUES]
        values = list(map(int, values)) if kind in _WHOLE else values
    return values[0] if len(values) == 1 else values


def _space(dataset: Dataset, sizes: list[float]) -> dict[str, Any]:
    """Where the first frame lies (DICOM PS3.3 section C.7.6.2.1.1), in RAS."""
    directions = numbers(dataset, "ImageOrientationPatient")
    position = numbers(dataset, "ImagePositionPatient")
    if len(position) != 3 or not _are_perpendicular(directions):
        return {"affine": None, "display_affine": None, "orientation": None, "is_oblique": False}
    row, column = np.reshape(directions, (2, 3))
    axes = _LPS_TO_RAS @ np.column_stack((row, column, np.cross(row, column)))
    affine = np.eye(4)
    affine[:3, :3] = axes * sizes
    affine[:3, 3] = _LPS_TO_RAS @ position
    return {
        "affine": affine.tolist(),
        "display_affine": affine.tolist(),
        "orientation": _codes(axes),
        "is_oblique": bool(np.sort(np.abs(axes), axis=0)[1].max() > OBLIQUE),
    }


def _are_perpendicular(directions: list[float]) -> bool:
    """Whether these are two directions of length 1, one after the other."""
    if len(directions) != 6 or max(map(abs, directions)) > 1 + _TOLERANCE:
        return False
    row_and_column = np.reshape(directions, (2, 3))
    return bool(np.allclose(row_and_column @ row_and_column.T, np.eye(2), atol=_TOLERANCE))


def _codes(axes: NDArray[np.float64]) -> str:
    """To which side each axis of the file goes."""
    nearest = np.abs(axes).argmax(axis=0)
    return "".join(
        ("LR", "PA", "IS")[axis][int(axes[axis, number] > 0)] for number, axis in enumerate(nearest)
    )


def _pixels(header: Header, frame: int) -> dict[str, Any]:
    """Facts of the values, or why there are none."""
    try:
        values, is_colour = dicom_frames.read(header, frame)
    except PictureError as error:
        return {"problem": error.detail, "is_colour": whole(header.dataset, "SamplesPerPixel") > 1}
    if is_colour:
        return {"type": "rgb24", "is_colour": True}
    low, high = limits(values, header.dataset, frame, "min-max")
    p2, p98 = limits(values, header.dataset, frame, "p2-98")
    return {
        "type": values.dtype.name,
        "is_colour": False,
        "range": {"min": low, "max": high, "p2": p2, "p98": p98, "of": f"axial {frame}"},
        "window": list(own_window(values, header.dataset, frame)),
    }
