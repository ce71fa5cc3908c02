"""Where the voxels of a volume lie: DICOM PS3.3 section C.7.6.2.1.1, in mm of the patient's LPS."""

from __future__ import annotations

import math
from typing import Final, NamedTuple

Vector = tuple[float, float, float]
Matrix = tuple[tuple[float, ...], ...]  # rows

# Of directions, as sines: a matrix that is nearer to a rotation times voxel sizes is one.
ROTATION_TOLERANCE: Final = 1e-4


def dot(a: Vector, b: Vector) -> float:
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


def cross(a: Vector, b: Vector) -> Vector:
    return (
        a[1] * b[2] - a[2] * b[1],
        a[2] * b[0] - a[0] * b[2],
        a[0] * b[1] - a[1] * b[0],
    )


def subtract(a: Vector, b: Vector) -> Vector:
    return a[0] - b[0], a[1] - b[1], a[2] - b[2]


def scale(a: Vector, factor: float) -> Vector:
    return a[0] * factor, a[1] * factor, a[2] * factor


def length(a: Vector) -> float:
    return math.hypot(*a)


class VolumeGrid(NamedTuple):
    """``columns``, ``rows`` and ``slices`` of a volume, and how many ``volumes`` lie there in turn.

    ``row`` and ``column`` are the directions of a row and of a column, of length 1; ``step`` leads
    from a slice to the next, ``origin`` is the centre of the first voxel. ``pixel`` is the distance
    between columns, then between rows. ``volume_time`` in s from a volume to the next, 0 if it is
    not known.
    """

    columns: int
    rows: int
    slices: int
    volumes: int
    row: Vector
    column: Vector
    step: Vector
    origin: Vector
    pixel: tuple[float, float]
    volume_time: float = 0.0

    @property
    def shape(self) -> list[int]:
        """Three numbers, or four if there are several volumes."""
        return [self.columns, self.rows, self.slices, *([self.volumes] * (self.volumes > 1))]

    @property
    def spacing(self) -> list[float]:
        """Between columns, rows and slices."""
        return [*self.pixel, length(self.step)]

    @property
    def directions(self) -> Matrix:
        """The directions of a row, of a column and of the slices, as the columns of a matrix."""
        slices = scale(self.step, 1 / length(self.step))
        return tuple(zip(self.row, self.column, slices, strict=True))

    @property
    def affine(self) -> Matrix:
        """From the indices of a voxel to mm of RAS, as NIfTI has it: 4 x 4 numbers."""
        axes = (scale(self.row, self.pixel[0]), scale(self.column, self.pixel[1]), self.step)
        left, back, up = zip(*axes, self.origin, strict=True)
        return (
            tuple(-number + 0.0 for number in left),  # + 0.0: no negative zero
            tuple(-number + 0.0 for number in back),
            tuple(number + 0.0 for number in up),
            (0.0, 0.0, 0.0, 1.0),
        )

    @property
    def is_sheared(self) -> bool:
        """Whether the axes are not perpendicular, as those of a CT with a tilted gantry."""
        slices = scale(self.step, 1 / length(self.step))
        pairs = ((self.row, self.column), (self.row, slices), (self.column, slices))
        return any(abs(dot(a, b)) > ROTATION_TOLERANCE for a, b in pairs)
