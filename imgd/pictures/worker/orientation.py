"""How a volume lies: which of its axes run right, anterior and superior, and which against."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

import numpy as np

from imgd.pictures.worker.volume import Floats, Volume, length_or_one

_CODES: Final = ("LR", "PA", "IS")
_OBLIQUE: Final = 1e-3  # of a cosine: axes that deviate by less than 0.06 degrees are straight


class Orientation(NamedTuple):
    """Of each axis of a file, the nearest of x, y, z in RAS (0, 1, 2), and whether it runs against
    it. ``voxel`` is the size of a voxel along the file's axes, in mm.
    """

    axes: tuple[int, int, int]
    flips: tuple[bool, bool, bool]
    voxel: tuple[float, float, float]
    is_oblique: bool

    @property
    def code(self) -> str:
        """As "LPS": to where each axis of the file runs."""
        return "".join(
            _CODES[axis][not flip] for axis, flip in zip(self.axes, self.flips, strict=True)
        )

    def file_axis(self, axis: int) -> int:
        """The file's axis that is shown as this one of RAS."""
        return self.axes.index(axis)

    def display_affine(self, volume: Volume) -> Floats:
        """From an index of the volume as shown, in RAS order, to mm."""
        to_file = np.zeros((4, 4))
        to_file[3, 3] = 1
        for file_axis, (axis, flip) in enumerate(zip(self.axes, self.flips, strict=True)):
            to_file[file_axis, axis] = -1 if flip else 1
            to_file[file_axis, 3] = volume.shape[file_axis] - 1 if flip else 0
        return volume.affine @ to_file


def orientation(volume: Volume) -> Orientation:
    """The one that is nearest to the volume's affine, as nibabel's ``io_orientation`` finds it."""
    columns = volume.affine[:3, :3]
    lengths = np.sqrt((columns * columns).sum(axis=0))
    cosines = columns / np.where(lengths > 0, lengths, 1)
    axes, flips = [0, 1, 2], [False, False, False]
    for file_axis, axis, is_against in _nearest(cosines):
        axes[file_axis], flips[file_axis] = axis, is_against
    largest = np.abs(cosines).max(axis=0)
    x, y, z = (length_or_one(float(length)) for length in lengths)
    is_oblique = bool((largest < 1 - _OBLIQUE * _OBLIQUE / 2).any())
    return Orientation(
        (axes[0], axes[1], axes[2]), (flips[0], flips[1], flips[2]), (x, y, z), is_oblique
    )


def _nearest(cosines: Floats) -> Iterator[tuple[int, int, bool]]:
    """Each axis of the file with its axis of RAS, that which is surest first; each once.

    The cosines are made orthogonal (the polar decomposition), so that shear does not decide.
    """
    left, _, right = np.linalg.svd(cosines)
    rotation = left @ right
    free = [0, 1, 2]
    for file_axis in np.argsort(-np.abs(rotation).max(axis=0), kind="stable"):
        column = rotation[:, file_axis]
        axis = max(free, key=lambda row: abs(column[row]))
        free.remove(axis)
        yield int(file_axis), axis, bool(column[axis] < 0)
