"""A series as JSON, beside its volume: where it lies, how it was acquired, its files in order."""

from __future__ import annotations

from typing import Any

from imgd.core import paths
from imgd.dicom.series_volume import FramesOfFile, SeriesVolume


def describe(volume: SeriesVolume, study: str, series: str, base: str) -> dict[str, Any]:
    """The message. ``base`` is the URL of the collection without a slash at its end.

    The geometry is in mm of LPS, ``direction`` row by row as ITK has it; ``affine`` leads to RAS as
    in NIfTI. Each is null if the series has no such thing.
    """
    return {
        "study": study,
        "series": series,
        "nii": None if volume.nifti is None else f"{base}/dicom/{series}.nii",
        "why": volume.why or None,
        **_geometry(volume),
        "window": volume.window and dict(zip(("center", "width"), volume.window, strict=True)),
        "volumes": list(volume.volumes),
        **volume.acquisition,
        "files": [_file(frames, base) for frames in volume.frames],
    }


def _geometry(volume: SeriesVolume) -> dict[str, Any]:
    grid = volume.grid
    if grid is None:
        return dict.fromkeys(("shape", "spacing", "origin", "direction", "affine"))
    return {
        "shape": grid.shape,
        "spacing": grid.spacing,
        "origin": grid.origin,
        "direction": [number + 0.0 for row in grid.directions for number in row],
        "affine": grid.affine,
    }


def _file(frames: FramesOfFile, base: str) -> dict[str, Any]:
    names = frames.instance.names
    message: dict[str, Any] = {
        "name": paths.display("/".join(names)),
        "url": f"{base}/files/{paths.encode(*names)}",
    }
    if frames.instance.frames > 1 and frames.numbers:
        message["frames"] = [number + 1 for number in frames.numbers]
    return message
