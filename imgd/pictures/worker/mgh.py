"""Headers of FreeSurfer's MGH and MGZ: https://surfer.nmr.mgh.harvard.edu/fswiki/FsTutorial/MghFormat."""

from __future__ import annotations

import struct
from typing import Final

import numpy as np

from imgd.pictures.worker.source import SourceFile
from imgd.pictures.worker.volume import (
    Floats,
    Volume,
    affine_of,
    head_of,
    is_usable,
    length_or_one,
    whole_or_gzip,
)

_TYPES: Final = {0: "u1", 1: ">i4", 3: ">f4", 4: ">i2", 10: ">u2"}
_FIELDS: Final = struct.Struct(">7ih15f")
_DATA: Final = 284  # where the voxels begin
# Without directions in the header FreeSurfer takes coronal slices of 1 mm.
_CORONAL: Final = ((-1, 0, 0), (0, 0, -1), (0, 1, 0))


def is_one(head: bytes) -> bool:
    """Whether a file that begins like this is one. The format has no magic number but a 1."""
    if len(head) < _DATA:
        return False
    version, *sides, frames, code, _ = struct.unpack_from(">7i", head)
    return version == 1 and code in _TYPES and min(*sides, frames) > 0


def read(file: SourceFile) -> Volume:
    """The volume of a file that begins with such a header."""
    head = head_of(file, _DATA)
    _, *dims, code, _, has_directions = _FIELDS.unpack_from(head)[:8]
    numbers = _FIELDS.unpack_from(head)[8:]
    shape = tuple(int(size) for size in dims)
    affine = _affine(numbers[:3], numbers[3:12], numbers[12:], shape) if has_directions else None
    if affine is None or not is_usable(affine):
        affine = _affine((1, 1, 1), sum(_CORONAL, ()), (0, 0, 0), shape)
    return Volume("MGH", shape, "xyzt", np.dtype(_TYPES[code]), affine, whole_or_gzip(file, _DATA))


def _affine(
    sides: tuple[float, ...],
    cosines: tuple[float, ...],
    center: tuple[float, ...],
    shape: tuple[int, ...],
) -> Floats:
    """``center`` is where the voxel at half of the shape lies."""
    steps = np.array(cosines, float).reshape(3, 3).T * [length_or_one(side) for side in sides]
    return affine_of(steps.T.tolist(), np.array(center) - steps @ np.array(shape[:3]) / 2)
