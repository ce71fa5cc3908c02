"""Whether the slices of a series make a grid: alike, and evenly apart."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from imgd.dicom.slice_order import MAX_MM, PlacedFrame, Volumes, frame_name, normal
from imgd.dicom.volume_files import NotAVolume, VolumeFile, odd_one
from imgd.dicom.volume_grid import Vector, dot, length, scale, subtract

SPACING_TOLERANCE: Final = 1e-4  # of the distance of pixels, as a part of it
# Gaps are even that differ by no more than the larger of these.
EVEN: Final = 0.01  # of a gap
EVEN_MM: Final = 0.01


def check_pixels(frames: Sequence[PlacedFrame], files: Sequence[VolumeFile]) -> None:
    """NotAVolume unless frames and their pixels are of one size."""
    if odd := odd_one(files, lambda file: (file.record.columns, file.record.rows)):
        file, size, usual_size = odd
        raise NotAVolume(
            f"{file.name} has {size[0]} x {size[1]} pixels, "
            f"and other files of the series {usual_size[0]} x {usual_size[1]}."
        )
    usual, _count = Counter(frame.pixel for frame in frames).most_common(1)[0]
    for frame in frames:
        pairs = zip(frame.pixel, usual, strict=True)
        if any(abs(size - other) > SPACING_TOLERANCE * other for size, other in pairs):
            raise NotAVolume(
                f"{frame_name(frame, files)} has a pixel spacing of {_mm(frame.pixel)} mm, and "
                f"other slices of the series {_mm(usual)} mm."
            )


def _mm(pixel: tuple[float, float]) -> str:
    return f"{pixel[1]:g} x {pixel[0]:g}"


def step(volumes: Volumes, files: Sequence[VolumeFile], thickness: float | None) -> Vector:
    """From a slice to the next; NotAVolume if that is not the same everywhere."""
    first, upwards = volumes[0], normal(volumes[0][0])
    _check_volumes(volumes, files)
    if len(first) == 1:
        return scale(upwards, thickness if thickness and 0 < thickness < MAX_MM else 1.0)
    depths = [dot(upwards, frame.position) for frame in first]
    gaps = [after - before for before, after in pairwise(depths)]
    usual = sorted(gaps)[len(gaps) // 2]
    tolerance = max(EVEN * usual, EVEN_MM)
    for frame, gap in zip(first, gaps, strict=False):
        if abs(gap - usual) > tolerance:
            raise NotAVolume(_why_uneven(frame_name(frame, files), gap, usual))
    _check_line(first, files, tolerance)
    return scale(subtract(first[-1].position, first[0].position), 1 / len(gaps))


def _why_uneven(name: str, gap: float, usual: float) -> str:
    missing = round(gap / usual) - 1
    is_missing = missing > 0 and abs(gap / (missing + 1) - usual) < 0.1 * usual
    more = f": {missing} seem{'s' * (missing == 1)} to be missing there" if is_missing else ""
    return (
        f"The slice after {name} comes after {gap:.6g} mm, and others of the series after "
        f"{usual:.6g} mm{more}."
    )


def _check_line(
    slices: Sequence[PlacedFrame], files: Sequence[VolumeFile], tolerance: float
) -> None:
    """Whether slices are moved sideways alike, as a tilted gantry does."""
    upwards = normal(slices[0])
    moves = [subtract(after.position, before.position) for before, after in pairwise(slices)]
    moves = [subtract(move, scale(upwards, dot(upwards, move))) for move in moves]
    x, y, z = (sorted(numbers)[len(moves) // 2] for numbers in zip(*moves, strict=True))
    for frame, move in zip(slices[1:], moves, strict=True):
        if (distance := length(subtract(move, (x, y, z)))) > tolerance:
            raise NotAVolume(
                f"{frame_name(frame, files)} is moved sideways by {distance:.6g} mm beside the "
                "other slices of the series."
            )


def _check_volumes(volumes: Volumes, files: Sequence[VolumeFile]) -> None:
    """Whether slices lie at the same places in every volume."""
    for volume in volumes[1:]:
        for frame, other in zip(volume, volumes[0], strict=True):
            if length(subtract(frame.position, other.position)) > EVEN_MM:
                raise NotAVolume(
                    f"{frame_name(frame, files)} does not lie where the same slice of the first "
                    "volume lies."
                )
