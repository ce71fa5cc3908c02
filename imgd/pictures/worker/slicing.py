"""Slices of a volume, all in one pass over its file, which ends with the last that is needed."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from imgd.pictures.worker.source import PictureError
from imgd.pictures.worker.streams import Plain, Stream
from imgd.pictures.worker.volume import Volume

_BLOCK: Final = 1 << 20  # bytes read at once, if a line of voxels is no longer
_MOST_LINE: Final = 64 << 20  # bytes


class Target(NamedTuple):
    """A slice: ``axis`` and ``place`` on it are the file's. Of large ones every ``step``th voxel is
    taken, (rows, columns).
    """

    axis: int
    place: int
    t: int
    step: tuple[int, int] = (1, 1)


class _Slice:
    """A slice that is being read: of the file's two other axes, the slower is the rows'."""

    def __init__(self, volume: Volume, target: Target) -> None:
        columns, rows = (size for axis, size in enumerate(volume.shape) if axis != target.axis)
        self.target = target
        row_step, column_step = target.step
        shape: tuple[int, ...] = (-(-rows // row_step), -(-columns // column_step))
        if "c" in volume.roles:
            shape += (volume.channels,)
        self.pixels = np.empty(shape, volume.dtype)
        self.planes_left = 0

    def lines(self, sizes: tuple[int, int, int]) -> tuple[int, int]:
        """Which lines along x of a plane of the file are needed."""
        place = self.target.place
        return (place, place + 1) if self.target.axis == 1 else (0, sizes[1])

    def take(self, block: NDArray[Any], line: int, z: int, channel: int | None) -> None:
        """What is the slice's of a block (y, x[, c]) that begins with this line."""
        axis, place, _, (row_step, column_step) = self.target
        pixels = self.pixels if channel is None else self.pixels[..., channel]
        if axis == 2:
            first = -line % row_step
            part = block[first::row_step, ::column_step]
            row = (line + first) // row_step
            pixels[row : row + len(part)] = part
        elif z % row_step == 0:
            row = z // row_step
            if axis == 1:
                if line <= place < line + len(block):
                    pixels[row] = block[place - line, ::column_step]
            else:
                first = -line % column_step
                part = block[first::column_step, place]
                column = (line + first) // column_step
                pixels[row, column : column + len(part)] = part


def gather(volume: Volume, targets: Iterable[Target]) -> Iterator[tuple[Target, NDArray[Any]]]:
    """Each slice when it is complete, as stored: (rows, columns[, channels]), see ``_Slice``.

    PictureError if the file is cut off or broken before the last of them.
    """
    planes = _Planes(volume)
    needed: dict[int, list[_Slice]] = {}
    for target in dict.fromkeys(targets):
        part = _Slice(volume, target)
        for plane in planes.of(target):
            needed.setdefault(plane, []).append(part)
            part.planes_left += 1
    stream = volume.data.stream()
    for plane in sorted(needed):
        parts = needed.pop(plane)
        for first, last in planes.blocks(part.lines(volume.shape) for part in parts):
            block = planes.read(stream, plane, first, last)
            for part in parts:
                part.take(planes.frame(block, part.target.t), first, *planes.place(plane))
        for part in parts:
            part.planes_left -= 1
            if not part.planes_left:
                yield part.target, part.pixels


def _runs(lines: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """The same lines, each once and in order."""
    end = 0
    for first, last in sorted(set(lines)):
        if last > end:
            yield max(first, end), last
            end = last


class _Planes:
    """The planes of a file: what is stored together for each place on the axes after y."""

    def __init__(self, volume: Volume) -> None:
        y = volume.roles.index("y")
        self._volume = volume
        self._inner_roles, self._inner = volume.roles[: y + 1], volume.dims[: y + 1]
        self._outer_roles, self._outer = volume.roles[y + 1 :], volume.dims[y + 1 :]
        self._line = math.prod(self._inner[:-1]) * volume.dtype.itemsize
        if self._line > _MOST_LINE:
            raise PictureError(413, "Its lines of voxels are too long.")
        self._lines_at_once = max(1, _BLOCK // self._line)

    def of(self, target: Target) -> Iterator[int]:
        """The planes that hold a slice."""
        numbers = [0]
        step = 1
        for role, size in zip(self._outer_roles, self._outer, strict=True):
            if role == "z" and target.axis != 2:
                places: Sequence[int] = range(size)
            else:
                places = {"z": [target.place], "t": [target.t], "c": range(size), "-": [0]}[role]
            numbers = [number + place * step for place in places for number in numbers]
            step *= size
        yield from numbers

    def place(self, plane: int) -> tuple[int, int | None]:
        """Where a plane lies on the axis z, and its colour if colours are stored apart."""
        z, channel = 0, None
        for role, size in zip(self._outer_roles, self._outer, strict=True):
            plane, place = divmod(plane, size)
            if role == "z":
                z = place
            elif role == "c":
                channel = place
        return z, channel

    def blocks(self, lines: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
        """The same lines, first and past the last, so many at once as are read."""
        for first, last in _runs(lines):
            for line in range(first, last, self._lines_at_once):
                yield line, min(last, line + self._lines_at_once)

    def read(self, stream: Stream | Plain, plane: int, first: int, last: int) -> NDArray[Any]:
        """These lines of a plane, axes as stored, the slowest first."""
        offset = (plane * self._inner[-1] + first) * self._line
        data = stream.read(self._volume.data.offset + offset, (last - first) * self._line)
        shape = (last - first, *reversed(self._inner[:-1]))
        return np.frombuffer(data, self._volume.dtype).reshape(shape)

    def frame(self, block: NDArray[Any], t: int) -> NDArray[Any]:
        """One frame of a block: (y, x) or (y, x, c)."""
        roles = self._inner_roles[::-1]
        shown = {"t": t, "-": 0}
        block = block[tuple(shown.get(role, slice(None)) for role in roles)]
        roles = "".join(role for role in roles if role not in shown)
        return np.moveaxis(block, roles.index("c"), -1) if "c" in roles else block
