"""What is known of a volume, as JSON."""

from __future__ import annotations

import math
from typing import Any

import msgspec
from numpy.typing import NDArray

from imgd.pictures.views import Plane
from imgd.pictures.worker import label_maps, windows
from imgd.pictures.worker.volume import Floats, Volume
from imgd.pictures.worker.volume_display import Display


def facts(display: Display, middle: NDArray[Any]) -> bytes:
    """JSON; ``middle`` is the middle axial slice of the first frame, as stored."""
    volume, orientation = display.volume, display.orientation
    values = display.values(middle)
    said: dict[str, Any] = {
        "kind": "volume",
        "format": volume.format,
        "shape": display.shape,
        "frames": volume.frames,
        "type": _type(volume),
        "voxel_size": [_rounded(side) for side in display.voxel],
        "affine": _rows(volume.affine),
        "display_affine": _rows(orientation.display_affine(volume)),
        "orientation": orientation.code,
        "is_oblique": orientation.is_oblique,
        "units": {"space": "mm", "time": volume.time_unit},
        "is_colour": volume.channels > 1,
        "planes": list(Plane),
        "notes": volume.notes,
    }
    if volume.channels == 1:
        is_label_map = label_maps.is_one(middle)
        said["is_label_map"] = is_label_map
        said["range"] = _range(values) | {"of": f"axial {display.shape[2] // 2}"}
        low, high = volume.shown or windows.limits(values, "min-max" if is_label_map else "p2-98")
        said["window"] = [_rounded((low + high) / 2), _rounded((high - low) or 1.0)]
    return msgspec.json.encode(said)


def _type(volume: Volume) -> str:
    return {3: "rgb24", 4: "rgba32"}.get(volume.channels, volume.dtype.name)


def _range(values: NDArray[Any]) -> dict[str, Any]:
    least, most = windows.limits(values, "min-max")
    p2, p98 = windows.percentiles(values)
    return {"min": least, "max": most, "p2": p2, "p98": p98}


def _rows(affine: Floats) -> list[list[float]]:
    return [[_rounded(number) for number in row] for row in affine.tolist()]


def _rounded(number: float) -> float:
    """To nine digits: headers hold floats of 32 bits. Zero is not negative."""
    return float(f"{number:.9g}") + 0.0 if math.isfinite(number) else 0.0
