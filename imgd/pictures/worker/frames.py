"""What files of several frames have in common: which are asked for, and mosaics of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from imgd.pictures.views import Plane, View
from imgd.pictures.worker.encoding import JPEG, JSON, PNG, jpeg, png
from imgd.pictures.worker.source import Made, PictureError

MAX_STORED: Final = 65535  # the most that 16 bits hold


def answers(views: list[View], make: Callable[[View], Made]) -> Iterator[Made]:
    """Each view, made or failed on its own."""
    for view in views:
        try:
            yield make(view)
        except PictureError as error:
            yield Made.failed(view, error)


def no_companions(view: View) -> Made:
    """The file holds its data itself."""
    return Made.of(view, JSON, msgspec.json.encode({"names": []}))


def index_of(view: View, count: int, what: str) -> int:
    """The frame that a slice asks for. ``what`` is it of which the file has ``count``."""
    _no_volume(view, what)
    index = count // 2 if view.index is None else view.index
    if index >= count:
        raise PictureError(400, f"It has {what} 0 to {count - 1}.")
    return index


def _no_volume(view: View, what: str) -> None:
    if view.plane is not Plane.AXIAL:
        raise PictureError(400, f"It has {what}, seen as axial, and no {view.plane} plane.")
    if view.t:
        raise PictureError(400, "It has no volume but t=0.")


def spread(view: View, count: int, what: str) -> list[int]:
    """The frames of a mosaic: evenly apart, the first and the last among them."""
    _no_volume(view, what)
    if count < 2:
        raise PictureError(400, f"A mosaic is of several {what}, and there is one.")
    tiles = min(view.columns * view.rows, count)
    return [round(i * (count - 1) / max(tiles - 1, 1)) for i in range(tiles)]


def mosaic(view: View, tiles: Iterator[Image.Image]) -> Made:
    """Tiles side by side on black in rows, all of the first's size, that fit ``view.size``."""
    first = next(tiles)
    width, height = first.size
    whole = Image.new("RGB", (width * view.columns, height * view.rows))
    whole.paste(first, (0, 0))
    for number, tile in enumerate(tiles, 1):
        row, column = divmod(number, view.columns)
        whole.paste(tile, (column * width, row * height))
    return Made.of(view, JPEG, jpeg(whole))


def tile_size(view: View) -> tuple[int, int]:
    """The most that each tile of a mosaic may measure, in pixels."""
    return view.size // view.columns, view.size // view.rows


def png_of(view: View, image: Image.Image) -> Made:
    """A picture of mode L, RGB or RGBA as PNG."""
    return Made.of(view, PNG, png(np.asarray(image)))


def values_png(
    view: View, values: NDArray[Any], slope: float = 1.0, intercept: float = 0.0
) -> Made:
    """Values of (height, width) as greyscale PNG of 16 bits that says how to get back
    ``values * slope + intercept``: exact for integers that 16 bits hold.
    """
    if values.dtype.kind not in "iub" or int(values.max()) - int(values.min()) > MAX_STORED:
        return _scaled_png(view, values * slope + intercept)
    low = int(values.min())
    if values.itemsize <= 2:  # the same for every frame of a file
        low = int(np.iinfo(values.dtype).min) if values.dtype.kind == "i" else 0
    stored = (values.astype(np.int64) - low).astype(np.uint16)
    return _stored_png(view, stored, slope, intercept + low * slope)


def _scaled_png(view: View, values: NDArray[Any]) -> Made:
    finite = values[np.isfinite(values)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
    if low == high:
        return _stored_png(view, np.zeros(values.shape, np.uint16), 0.0, low)
    scale = (high - low) / MAX_STORED
    stored = np.nan_to_num((values.astype(np.float64) - low) / scale, nan=0.0)
    return _stored_png(view, np.rint(stored.clip(0, MAX_STORED)).astype(np.uint16), scale, low)


def _stored_png(view: View, stored: NDArray[np.uint16], scale: float, offset: float) -> Made:
    text = {"imgd:scale": repr(float(scale)), "imgd:offset": repr(float(offset))}
    return Made.of(view, PNG, png(stored, text))
