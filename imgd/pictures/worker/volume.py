"""What the header of a volume says, checked, whatever its format."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from imgd.pictures.worker.source import NotAPicture, SourceFile
from imgd.pictures.worker.streams import Compression, Plain, Stream, is_gzip, uncompressed

Floats = NDArray[np.float64]

_MOST_BYTES: Final = 1 << 53  # of all voxels: what a float in a header can count
_DEFLATE_RATIO: Final = 1032  # no byte of a deflate stream becomes more


class Data(NamedTuple):
    """Where the voxels are: ``offset`` bytes into what the bytes of a file from ``start`` on
    become when they are decompressed.
    """

    file: SourceFile
    start: int = 0
    offset: int = 0
    compression: Compression = ""

    def stream(self) -> Stream | Plain:
        return (
            Stream(self.file, self.start, self.compression)
            if self.compression
            else Plain(self.file, self.start)
        )


class Volume(NamedTuple):
    """A volume in a file, not read yet.

    ``dims`` are the sizes of the stored array, that of the axis that varies fastest first, and
    ``roles`` says what each is: x, y, z (the volume's axes, in this order, each once), t (frames),
    c (colours), or - (only the first is shown). ``affine`` (4 x 4) takes a voxel (x, y, z) to
    millimetres right, anterior and superior. A value is what is stored times ``slope`` plus
    ``intercept``. ``shown`` are the values that the file wants black and white, if it says so.
    """

    format: str
    dims: tuple[int, ...]
    roles: str
    dtype: np.dtype[Any]
    affine: Floats
    data: Data
    slope: float = 1.0
    intercept: float = 0.0
    shown: tuple[float, float] | None = None
    time_unit: str = ""
    notes: tuple[str, ...] = ()

    def size(self, role: str) -> int:
        """Along this axis; 1 if there is none."""
        pairs = zip(self.dims, self.roles, strict=True)
        return math.prod(size for size, has in pairs if has == role)

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.size("x"), self.size("y"), self.size("z")

    @property
    def frames(self) -> int:
        return self.size("t")

    @property
    def channels(self) -> int:
        return self.size("c")

    @property
    def byte_length(self) -> int:
        return math.prod(self.dims) * self.dtype.itemsize


def checked(volume: Volume) -> Volume:
    """The volume, if its file can hold what its header claims; else NotAPicture."""
    if min(volume.dims) < 1:
        raise NotAPicture(f"a side of it is {min(volume.dims)} voxels long.")
    if volume.byte_length > _MOST_BYTES:
        raise NotAPicture("its header claims more voxels than there can be.")
    file, start, offset, compression = volume.data
    there = max(0, file.size - start)
    most = there * _DEFLATE_RATIO if compression else there
    if offset + volume.byte_length > most:
        raise NotAPicture(
            f"it is cut off: its header claims {volume.byte_length} bytes of voxels, "
            f"and the file can hold {max(0, most - offset)}."
        )
    return volume


def whole_or_gzip(file: SourceFile, offset: int, claim: int = 0) -> Data:
    """Voxels ``offset`` bytes into a file, or into what it becomes if it is gzip by its content.

    A file that holds ``claim`` bytes and more as it is may only look like gzip.
    """
    if is_gzip(file.read(0, 18)) and (not claim or file.size < offset + claim):
        return Data(file, 0, offset, "gzip")
    return Data(file, 0, offset)


def head_of(file: SourceFile, length: int) -> bytes:
    """The first bytes of a file, or of what it becomes if it is gzip by its content."""
    head = file.read(0, length)
    return uncompressed(file, length) if is_gzip(head) else head


def affine_of(columns: Sequence[Sequence[float]], origin: Sequence[float]) -> Floats:
    """An affine of the three axes' steps from voxel to voxel, and where the first voxel is."""
    affine = np.eye(4)
    affine[:3, :3] = np.array(columns, float).T
    affine[:3, 3] = origin
    return affine


def is_usable(affine: Floats) -> bool:
    """Whether the three axes differ, and every number is one."""
    if not np.isfinite(affine).all() or np.abs(affine).max() > 1e15:
        return False
    columns = affine[:3, :3]
    lengths = np.sqrt((columns * columns).sum(axis=0))
    return bool(lengths.min() > 0 and abs(np.linalg.det(columns / lengths)) > 1e-6)


def length_or_one(number: float) -> float:
    """A voxel's side, without its sign; 1 if that cannot be one."""
    return abs(number) if math.isfinite(number) and number else 1.0
