"""Slices of a volume as they are shown: which, which way up, how large, and with which values."""

from __future__ import annotations

import math
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from imgd.pictures.views import Plane, View, ViewKind
from imgd.pictures.worker.orientation import Orientation
from imgd.pictures.worker.slicing import Target
from imgd.pictures.worker.source import PictureError
from imgd.pictures.worker.volume import Volume

AXES: Final = {Plane.SAGITTAL: 0, Plane.CORONAL: 1, Plane.AXIAL: 2}  # of RAS, from slice to slice
# Voxels that are read for each pixel that is shown, along a side, at most.
_SPARE: Final = 4
_SPARE_IN_MOSAIC: Final = 2
_MOST_IN_FACTS: Final = 2048  # voxels a side, of a slice whose values are counted
_EMPTY_END: Final = 0.1  # of a volume: what a mosaic leaves out at each end


class Display(NamedTuple):
    """A volume with how it lies."""

    volume: Volume
    orientation: Orientation

    @property
    def shape(self) -> tuple[int, int, int]:
        """In RAS order of the axes."""
        x, y, z = (self.volume.shape[self.orientation.file_axis(axis)] for axis in range(3))
        return x, y, z

    @property
    def voxel(self) -> tuple[float, float, float]:
        """mm, in RAS order of the axes."""
        x, y, z = (self.orientation.voxel[self.orientation.file_axis(axis)] for axis in range(3))
        return x, y, z

    def targets(self, view: View, max_pixels: int) -> list[Target]:
        """The slices that a view shows. PictureError 400 if there are none, 413 if too large."""
        if view.t >= self.volume.frames:
            most = self.volume.frames - 1
            must = f"from 0 to {most}" if most else "0: there is one frame"
            raise PictureError(400, f"'t' must be {must}.")
        if view.kind is ViewKind.INFO:
            return [self._target(view, None, _MOST_IN_FACTS, _MOST_IN_FACTS)]
        columns, rows = _sides(view.plane)
        pixels = self.shape[columns] * self.shape[rows]
        if pixels > max_pixels:
            raise PictureError(413, f"A slice of it has {pixels} voxels, more than {max_pixels}.")
        if view.kind is ViewKind.MOSAIC:
            indices = self._spread(view)
            columns = -(-_SPARE_IN_MOSAIC * view.size // view.columns)
            rows = -(-_SPARE_IN_MOSAIC * view.size // view.rows)
            return [self._target(view, index, columns, rows) for index in indices]
        most = _SPARE * view.size if view.size else max_pixels
        return [self._target(view, view.index, most, most)]

    def index_of(self, view: View) -> int:
        """In RAS order, of the slice that is asked for."""
        return self.shape[AXES[view.plane]] // 2 if view.index is None else view.index

    def _target(self, view: View, index: int | None, most_columns: int, most_rows: int) -> Target:
        """No more voxels than this are read along the sides of the picture."""
        axis = AXES[view.plane]
        size = self.shape[axis]
        place = size // 2 if index is None else index
        if place >= size:
            raise PictureError(400, f"'slice' must be from 0 to {size - 1} for {view.plane}.")
        file_axis = self.orientation.file_axis(axis)
        columns, rows = _sides(view.plane)
        step = {
            columns: -(-self.shape[columns] // most_columns),
            rows: -(-self.shape[rows] // most_rows),
        }
        fast, slow = (other for other in range(3) if other != file_axis)
        axes = self.orientation.axes
        return Target(
            file_axis,
            size - 1 - place if self.orientation.flips[file_axis] else place,
            view.t,
            (step[axes[slow]], step[axes[fast]]),
        )

    def bytes_of(self, target: Target) -> int:
        """Held for a slice."""
        voxels = math.prod(self.volume.shape) // self.volume.shape[target.axis]
        steps = target.step[0] * target.step[1]
        return voxels // steps * self.volume.channels * self.volume.dtype.itemsize

    def _spread(self, view: View) -> list[int]:
        """Indices evenly apart; all of them if there are fewer slices than places."""
        size, places = self.shape[AXES[view.plane]], view.columns * view.rows
        if size <= places:
            return list(range(size))
        first, last = _EMPTY_END * (size - 1), (1 - _EMPTY_END) * (size - 1)
        if last - first < places - 1:
            first, last = 0, size - 1
        middle = (first + last) / 2
        apart = (last - first) / (places - 1) if places > 1 else 0
        return [round(middle + (place - (places - 1) / 2) * apart) for place in range(places)]

    def upright(self, view: View, pixels: NDArray[Any]) -> NDArray[Any]:
        """A slice as stored, as a person sees it: superior or anterior up, and the patient's right
        or front at the left (neurological: at the right).
        """
        columns, rows = (self.orientation.file_axis(axis) for axis in _sides(view.plane))
        if columns > rows:
            pixels = pixels.swapaxes(0, 1)
        flips = self.orientation.flips
        if not flips[rows]:
            pixels = pixels[::-1]
        if flips[columns] == view.is_neurological:
            pixels = pixels[:, ::-1]
        return pixels

    def size_of(self, view: View) -> tuple[float, float]:
        """Width and height of a slice in pixels as large as the smaller side of a voxel."""
        columns, rows = _sides(view.plane)
        pixel = min(self.voxel[columns], self.voxel[rows])
        width = self.shape[columns] * (self.voxel[columns] / pixel)
        return width, self.shape[rows] * (self.voxel[rows] / pixel)

    def values(self, pixels: NDArray[Any]) -> NDArray[Any]:
        """The values of what is stored: of complex numbers their magnitude."""
        if pixels.dtype.kind == "c":
            pixels = np.abs(pixels)
        if self.volume.slope == 1 and self.volume.intercept == 0:
            return native(pixels)
        precise = np.dtype(np.float32 if pixels.dtype.itemsize <= 2 else np.float64)
        scaled: NDArray[Any] = np.multiply(pixels, self.volume.slope, dtype=precise)
        scaled += self.volume.intercept
        return scaled


def native(pixels: NDArray[Any]) -> NDArray[Any]:
    """In the machine's order of bytes."""
    return pixels.astype(pixels.dtype.newbyteorder("="), copy=False)


def _sides(plane: Plane) -> tuple[int, int]:
    """The axes of RAS along columns and rows of a picture."""
    columns, rows = (axis for axis in range(3) if axis != AXES[plane])
    return columns, rows
