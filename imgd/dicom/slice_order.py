"""The frames of a series in the order of a volume: along the normal, then by what tells volumes of
the same place apart.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Final, NamedTuple

from imgd.dicom.volume_files import NotAVolume, VolumeFile, odd_one
from imgd.dicom.volume_grid import Vector, cross, dot, length, scale, subtract
from imgd.pictures.instances import FramePlane

DIRECTION_TOLERANCE: Final = 1e-4  # of the cosines of directions
UNIT_TOLERANCE: Final = 0.01  # how far directions may be from length 1 and from perpendicular
SPACING_TOLERANCE: Final = 1e-4  # of the distance of pixels, as a part of it
SAME_PLACE: Final = 1e-3  # mm along the normal
MAX_MM: Final = 1e7  # what is farther away, or larger, is a mistake in the file


class PlacedFrame(NamedTuple):
    """A frame of which it is known where it lies. ``file`` is the number of its file, ``number``
    its own in it; both count from 0.
    """

    file: int
    number: int
    position: Vector
    row: Vector
    column: Vector
    pixel: tuple[float, float]  # mm between columns, between rows
    plane: FramePlane
    acquisition: int | None


Volumes = list[list[PlacedFrame]]  # each along the normal
_Key = Callable[[PlacedFrame], tuple[object, ...]]


def _known(number: float | None) -> tuple[bool, float]:
    """For sorting: what is not known comes first, as volumes without diffusion have no b-value."""
    return number is not None, number or 0.0


# What may tell volumes apart; the first that does.
DIMENSIONS: Final[tuple[tuple[str, _Key], ...]] = (
    ("time", lambda frame: _known(frame.plane.time)),
    ("echo", lambda frame: _known(frame.plane.echo)),
    ("b_value", lambda frame: _known(frame.plane.b_value)),
    ("acquisition", lambda frame: _known(frame.acquisition)),
    (
        "several",
        lambda frame: (
            *_known(frame.plane.time),
            *_known(frame.plane.echo),
            *_known(frame.plane.b_value),
        ),
    ),
)


def place(files: Sequence[VolumeFile]) -> list[PlacedFrame]:
    """All frames, with their places; NotAVolume if a file does not tell them."""
    return [frame for number, file in enumerate(files) for frame in _frames_of(number, file)]


def _frames_of(number: int, file: VolumeFile) -> Iterator[PlacedFrame]:
    record = file.record
    if not record.frames:
        raise NotAVolume(f"{file.name} has no pixels.")
    if len(record.planes) != record.frames:
        raise NotAVolume(
            f"{file.name} does not say where in space it lies."
            if record.frames == 1
            else f"{file.name} has {record.frames} frames, and does not say where in space each "
            "lies: its frames are a film, or one picture each."
        )
    for index, plane in enumerate(record.planes):
        placed = _placed(number, index, plane, record.acquisition)
        if placed is None:
            what = "does not say" if record.frames == 1 else f"does not say of frame {index + 1}"
            raise NotAVolume(
                f"{file.name} {what} where in space it lies: that takes a position, perpendicular "
                "directions of row and column, and the distance of its pixels."
            )
        yield placed


def _placed(
    file: int, number: int, plane: FramePlane, acquisition: int | None
) -> PlacedFrame | None:
    position, directions, spacing = plane.position, plane.orientation, plane.spacing
    if position is None or directions is None or spacing is None:
        return None
    if (len(position), len(directions), len(spacing)) != (3, 6, 2):
        return None
    # "not <" so that what is no number fails, too.
    if not all(abs(value) < MAX_MM for value in (*position, *directions)):
        return None
    row, column = _vector(directions[:3]), _vector(directions[3:])
    is_pair = (
        all(abs(length(v) - 1) < UNIT_TOLERANCE for v in (row, column))
        and abs(dot(row, column)) < UNIT_TOLERANCE
    )
    if not is_pair or not all(1 / MAX_MM < value < MAX_MM for value in spacing):
        return None
    row, column = scale(row, 1 / length(row)), scale(column, 1 / length(column))
    pixel = spacing[1], spacing[0]
    return PlacedFrame(file, number, _vector(position), row, column, pixel, plane, acquisition)


def _vector(numbers: Sequence[float]) -> Vector:
    x, y, z = numbers
    return x, y, z


def normal(frame: PlacedFrame) -> Vector:
    """From a slice to the next: row, column and this are right-handed."""
    return cross(frame.row, frame.column)


def along_normal(frames: list[PlacedFrame], files: Sequence[VolumeFile]) -> list[PlacedFrame]:
    """Sorted from the first slice to the last; NotAVolume if they do not lie parallel."""
    usual, _count = Counter((f.row, f.column) for f in sorted(frames, key=_place)).most_common(1)[0]
    for frame in frames:
        pairs = zip((*usual[0], *usual[1]), (*frame.row, *frame.column), strict=True)
        if any(abs(a - b) > DIRECTION_TOLERANCE for a, b in pairs):
            raise NotAVolume(
                f"{_name(frame, files)} lies in another direction than other slices of the series."
            )
    upwards = cross(*usual)
    return sorted(frames, key=lambda frame: (dot(upwards, frame.position), _place(frame)))


def _place(frame: PlacedFrame) -> tuple[Vector, Vector, Vector]:
    return frame.row, frame.column, frame.position


def _name(frame: PlacedFrame, files: Sequence[VolumeFile]) -> str:
    file = files[frame.file]
    return file.name if file.record.frames == 1 else f"{file.name} (frame {frame.number + 1})"


def into_volumes(frames: list[PlacedFrame], files: Sequence[VolumeFile]) -> tuple[Volumes, str]:
    """The frames, which come along the normal, as volumes of the same places, and which of
    ``DIMENSIONS`` tells those apart, "" for one volume; NotAVolume if none does.
    """
    places = _by_place(frames)
    if len(places) == len(frames):
        return [frames], ""
    for name, key in DIMENSIONS:
        if volumes := _split(places, key):
            return volumes, name
    raise NotAVolume(_why_not_split(places, files))


def _by_place(frames: list[PlacedFrame]) -> list[list[PlacedFrame]]:
    upwards = normal(frames[0])
    places: list[list[PlacedFrame]] = []
    begins = -math.inf
    for frame in frames:
        depth = dot(upwards, frame.position)
        if depth - begins > SAME_PLACE:
            begins = depth
            places.append([])
        places[-1].append(frame)
    return places


def _split(places: list[list[PlacedFrame]], key: _Key) -> Volumes:
    """None at all unless each volume has each place once."""
    keys = sorted({key(frame) for frame in places[0]})
    ordered = [sorted(place, key=key) for place in places]
    if any([key(frame) for frame in place] != keys for place in ordered):
        return []
    return [list(volume) for volume in zip(*ordered, strict=True)]


def _why_not_split(places: list[list[PlacedFrame]], files: Sequence[VolumeFile]) -> str:
    usual, _count = Counter(map(len, places)).most_common(1)[0]
    odd = next((place for place in places if len(place) != usual), None)
    if odd is not None:
        there = "1 slice" if usual == 1 else f"{usual} slices"
        return (
            f"{_name(odd[0], files)} is one of {len(odd)} at its place, and at other places of the "
            f"series there {'is' if usual == 1 else 'are'} {there}."
        )
    return (
        f"{_name(places[0][0], files)} is one of {usual} at its place, and neither temporal "
        "position, echo, b-value nor acquisition number tells them apart."
    )


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
                f"{_name(frame, files)} has a pixel spacing of {_mm(frame.pixel)} mm, and other "
                f"slices of the series {_mm(usual)} mm."
            )


def _mm(pixel: tuple[float, float]) -> str:
    return f"{pixel[1]:g} x {pixel[0]:g}"


def step(volumes: Volumes, files: Sequence[VolumeFile], thickness: float | None) -> Vector:
    """From a slice to the next; NotAVolume if that is not the same everywhere."""
    first, upwards = volumes[0], normal(volumes[0][0])
    if len(first) == 1:
        return scale(upwards, thickness if thickness and 0 < thickness < MAX_MM else 1.0)
    depths = [dot(upwards, frame.position) for frame in first]
    gaps = [after - before for before, after in pairwise(depths)]
    usual = sorted(gaps)[len(gaps) // 2]
    tolerance = max(0.01 * usual, 0.01)
    for frame, gap in zip(first, gaps, strict=False):
        if abs(gap - usual) > tolerance:
            raise NotAVolume(_why_uneven(_name(frame, files), gap, usual))
    _check_line(volumes, files, tolerance)
    return scale(subtract(first[-1].position, first[0].position), 1 / len(gaps))


def _why_uneven(name: str, gap: float, usual: float) -> str:
    missing = round(gap / usual) - 1
    is_missing = missing > 0 and abs(gap / (missing + 1) - usual) < 0.1 * usual
    more = f": {missing} seem{'s' * (missing == 1)} to be missing there" if is_missing else ""
    return (
        f"The slice after {name} comes after {gap:.6g} mm, and others of the series after "
        f"{usual:.6g} mm{more}."
    )


def _check_line(volumes: Volumes, files: Sequence[VolumeFile], tolerance: float) -> None:
    """Whether slices are moved sideways alike, and lie at the same places in every volume."""
    first, upwards = volumes[0], normal(volumes[0][0])
    moves = [subtract(after.position, before.position) for before, after in pairwise(first)]
    moves = [subtract(move, scale(upwards, dot(upwards, move))) for move in moves]
    x, y, z = (sorted(numbers)[len(moves) // 2] for numbers in zip(*moves, strict=True))
    for frame, move in zip(first[1:], moves, strict=True):
        if (distance := length(subtract(move, (x, y, z)))) > tolerance:
            raise NotAVolume(
                f"{_name(frame, files)} is moved sideways by {distance:.6g} mm beside the other "
                "slices of the series."
            )
    for volume in volumes[1:]:
        for frame, other in zip(volume, first, strict=True):
            if length(subtract(frame.position, other.position)) > tolerance:
                raise NotAVolume(
                    f"{_name(frame, files)} does not lie where the same slice of the first volume "
                    "lies."
                )
