"""The header of a NIfTI-1 file (nifti1.h of the NIfTI Data Format Working Group), 352 bytes."""

from __future__ import annotations

import math
import struct
from typing import Final

from imgd.dicom.volume_files import NotAVolume
from imgd.dicom.volume_grid import Matrix, VolumeGrid
from imgd.dicom.voxel_rules import Rescaling, VoxelType

SIZE: Final = 352  # with the four bytes that say that no extension follows
_FIELDS: Final = struct.Struct(
    "<i 10s18s i h B B"  # size of the header, unused, dim_info
    "8h 3f h h h h 8f"  # dim, intent, its code, datatype, bitpix, slice_start, pixdim
    "f f f h B B"  # vox_offset, scl_slope, scl_inter, slice_end, slice_code, xyzt_units
    "f f f f i i"  # cal_max, cal_min, slice_duration, toffset, unused
    "80s 24s h h"  # descrip, aux_file, qform_code, sform_code
    "3f 3f 12f 16s 4s 4x"  # quaternion, its offset, rows of the affine, intent_name, magic
)
_MM: Final = 2
_SECONDS: Final = 8
_SCANNER: Final = 1  # coordinates of the scanner, as DICOM's are


def header(
    grid: VolumeGrid,
    voxels: VoxelType,
    rescaling: Rescaling,
    window: tuple[float, float] | None,
    description: str,
) -> bytes:
    """The header of a volume whose voxels follow it at once. ``window`` is the lowest and the
    highest of the rescaled values that are shown. NotAVolume if a number is too large for it.
    """
    affine = grid.affine
    qfac, quaternion = (1.0, (0.0, 0.0, 0.0)) if grid.is_sheared else _quaternion(grid.directions)
    low, high = window or (0.0, 0.0)
    dimensions = (4 if grid.volumes > 1 else 3, grid.columns, grid.rows, grid.slices, grid.volumes)
    units = _MM | (_SECONDS if grid.volume_time else 0)
    floats = (
        *grid.spacing,
        grid.volume_time,
        *rescaling,
        low,
        high,
        *(n for r in affine for n in r),
    )
    if not all(_fits(number) for number in floats):
        raise NotAVolume("The geometry, rescale or window of the series is too large a number.")
    return _FIELDS.pack(
        *(348, b"", b"", 0, 0, 0, 0),
        *(*dimensions, 1, 1, 1, 0.0, 0.0, 0.0, 0, *voxels, 0),
        *(qfac, *grid.spacing, grid.volume_time, 0.0, 0.0, 0.0),
        *(float(SIZE), *rescaling, 0, 0, units),
        *(high, low, 0.0, 0.0, 0, 0),
        *(
            description.encode("ascii", "replace"),
            b"",
            0 if grid.is_sheared else _SCANNER,
            _SCANNER,
        ),
        *(*quaternion, *(row[3] for row in affine[:3])),
        *(*(number for row in affine[:3] for number in row), b"", b"n+1\0"),
    )


def _fits(number: float) -> bool:
    return math.isfinite(number) and abs(number) <= 3.4e38


def _quaternion(directions: Matrix) -> tuple[float, tuple[float, float, float]]:
    """The sign of the third axis, and b, c, d of a quaternion whose a is not negative, of the
    rotation from the axes of the volume, which are in LPS, to those of RAS.
    """
    left, back, up = directions
    rotation = [[-n for n in left], [-n for n in back], list(up)]
    qfac = 1.0 if _determinant(rotation) > 0 else -1.0
    (xx, xy, xz), (yx, yy, yz), (zx, zy, zz) = [[a, b, c * qfac] for a, b, c in rotation]
    # Four times each square; the largest is the divisor of the others.
    squares = (1 + xx + yy + zz, 1 + xx - yy - zz, 1 - xx + yy - zz, 1 - xx - yy + zz)
    largest = max(range(4), key=squares.__getitem__)
    products = (
        (squares[0], zy - yz, xz - zx, yx - xy),
        (zy - yz, squares[1], xy + yx, xz + zx),
        (xz - zx, xy + yx, squares[2], yz + zy),
        (yx - xy, xz + zx, yz + zy, squares[3]),
    )[largest]
    divisor = 2 * math.sqrt(squares[largest])
    a, b, c, d = (product / divisor for product in products)
    sign = math.copysign(1.0, a) if a else 1.0
    return qfac, (sign * b, sign * c, sign * d)


def _determinant(rows: list[list[float]]) -> float:
    (a, b, c), (d, e, f), (g, h, i) = rows
    return a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g)
