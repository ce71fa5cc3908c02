"""The frames of a series in the order of a volume: along the normal, then by what tells volumes of
the same place apart.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple

from imgd.dicom.volume_files import NotAVolume, VolumeFile
from imgd.dicom.volume_grid import Vector, cross, dot, length, scale
from imgd.pictures.instances import FramePlane

DIRECTION_TOLERANCE: Final = 1e-4  # of the cosines of directions
UNIT_TOLERANCE: Final = 0.01  # how far directions may be from length 1 and from perpendicular
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
_Axes = tuple[Vector, Vector, tuple[float, float]]
_Pairs = dict[tuple[float | None, ...], _Axes | None]
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
    pairs: _Pairs = {}
    return [frame for number, file in enumerate(files) for frame in _frames_of(number, file, pairs)]


def _frames_of(number: int, file: VolumeFile, pairs: _Pairs) -> Iterator[PlacedFrame]:
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
        axes = _axes(plane, pairs)
        position = plane.position
        if axes is None or position is None or not _are_near(position, 3):
            what = "does not say" if record.frames == 1 else f"does not say of frame {index + 1}"
            raise NotAVolume(
                f"{file.name} {what} where in space it lies: that takes a position, perpendicular "
                "directions of row and column, and the distance of its pixels."
            )
        yield PlacedFrame(number, index, _vector(position), *axes, plane, record.acquisition)


def _are_near(numbers: Sequence[float], count: int) -> bool:
    """Whether there are so many, none too large. What is no number is not less than anything."""
    return len(numbers) == count and all(abs(number) < MAX_MM for number in numbers)


def _axes(plane: FramePlane, pairs: _Pairs) -> _Axes | None:
    """Row, column and pixel; most frames share those of another."""
    directions, spacing = plane.orientation, plane.spacing
    if directions is None or spacing is None:
        return None
    key = (*directions, None, *spacing)
    if key not in pairs:
        pairs[key] = _judged_axes(directions, spacing)
    return pairs[key]


def _judged_axes(directions: Sequence[float], spacing: Sequence[float]) -> _Axes | None:
    if not (_are_near(directions, 6) and _are_near(spacing, 2)):
        return None
    row, column = _vector(directions[:3]), _vector(directions[3:])
    is_pair = (
        all(abs(length(v) - 1) < UNIT_TOLERANCE for v in (row, column))
        and abs(dot(row, column)) < UNIT_TOLERANCE
    )
    if not is_pair or min(spacing) < 1 / MAX_MM:
        return None
    unit = scale(row, 1 / length(row)), scale(column, 1 / length(column))
    return *unit, (spacing[1], spacing[0])


def _vector(numbers: Sequence[float]) -> Vector:
    x, y, z = numbers
    return x, y, z


def normal(frame: PlacedFrame) -> Vector:
    """From a slice to the next: row, column and this are right-handed."""
    return cross(frame.row, frame.column)


def along_normal(
    frames: list[PlacedFrame], files: Sequence[VolumeFile]
) -> tuple[list[PlacedFrame], Vector]:
    """Sorted from the first slice to the last, and the direction from one to the other; NotAVolume
    if they do not lie parallel.
    """
    counts = Counter((frame.row, frame.column) for frame in frames)
    usual = max(counts, key=lambda pair: (counts[pair], pair))
    odd = {pair for pair in counts if not _are_parallel(pair, usual)}
    for frame in frames if odd else ():
        if (frame.row, frame.column) in odd:
            raise NotAVolume(
                f"{frame_name(frame, files)} lies in another direction than other slices of the "
                "series."
            )
    upwards = cross(*usual)
    return sorted(frames, key=lambda frame: dot(upwards, frame.position)), upwards


def _are_parallel(pair: tuple[Vector, Vector], other: tuple[Vector, Vector]) -> bool:
    cosines = zip((*pair[0], *pair[1]), (*other[0], *other[1]), strict=True)
    return all(abs(a - b) <= DIRECTION_TOLERANCE for a, b in cosines)


def frame_name(frame: PlacedFrame, files: Sequence[VolumeFile]) -> str:
    """The name of its file, and which frame of it if it has several."""
    file = files[frame.file]
    return file.name if file.record.frames == 1 else f"{file.name} (frame {frame.number + 1})"


def into_volumes(
    frames: list[PlacedFrame], upwards: Vector, files: Sequence[VolumeFile]
) -> tuple[Volumes, str]:
    """The frames, which come along the normal ``upwards``, as volumes of the same places, and which
    of ``DIMENSIONS`` tells those apart, "" for one volume; NotAVolume if none does.
    """
    places = _by_place(frames, upwards)
    if len(places) == len(frames):
        return [frames], ""
    for name, key in DIMENSIONS:
        if volumes := _split(places, key):
            return volumes, name
    raise NotAVolume(_why_not_split(places, files))


def _by_place(frames: list[PlacedFrame], upwards: Vector) -> list[list[PlacedFrame]]:
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
            f"{frame_name(odd[0], files)} is one of {len(odd)} at its place, and at other places "
            f"of the series there {'is' if usual == 1 else 'are'} {there}."
        )
    return (
        f"{frame_name(places[0][0], files)} is one of {usual} at its place, and neither temporal "
        "position, echo, b-value nor acquisition number tells them apart."
    )
