"""Pictures and facts of slices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from imgd.pictures.views import View, ViewKind
from imgd.pictures.worker import encoding, label_maps, windows
from imgd.pictures.worker.source import Made, PictureError
from imgd.pictures.worker.volume_display import Display, native
from imgd.pictures.worker.volume_facts import facts

_MOST_COUNTED: Final = 1 << 22  # values by which a window is chosen


def made(display: Display, view: View, slices: Sequence[NDArray[Any]], max_pixels: int) -> Made:
    """A view of its slices, as ``slicing.gather`` gives them."""
    match view.kind:
        case ViewKind.INFO:
            return Made.of(view, encoding.JSON, facts(display, slices[0]))
        case ViewKind.MOSAIC:
            return Made.of(view, encoding.JPEG, encoding.jpeg(_mosaic(display, view, slices)))
        case ViewKind.THUMB:
            return _thumb(display, view, slices[0])
    pixels = display.upright(view, slices[0])
    if view.depth == 16 and pixels.ndim == 2:
        return Made.of(view, encoding.PNG, _values(display, view, pixels))
    size = _size(display, view, max_pixels)
    is_label_map = label_maps.is_one(pixels)
    [grey] = _greys(display, [pixels], view.window or ("min-max" if is_label_map else ""))
    resized = _resized(grey, size, is_label_map)
    return Made.of(view, encoding.PNG, encoding.png(resized))


def _size(display: Display, view: View, max_pixels: int) -> tuple[int, int]:
    """Width and height of the picture, which is never larger than one pixel a voxel."""
    width, height = display.size_of(view)
    if view.size:
        scale = min(1.0, view.size / width, view.size / height)
    elif width * height > max_pixels:
        raise PictureError(413, f"A slice of it would have more than {max_pixels} pixels.")
    else:
        scale = 1.0
    return max(1, round(width * scale)), max(1, round(height * scale))


def _thumb(display: Display, view: View, stored: NDArray[Any]) -> Made:
    pixels = display.upright(view, stored)
    size = _size(display, view, 0)
    if label_maps.is_one(pixels):
        return Made.of(view, encoding.PNG, encoding.png(_labels(pixels, size)))
    [grey] = _greys(display, [pixels], view.window)
    resized = _resized(grey, size)
    if resized.shape[2:] == (4,):
        return Made.of(view, encoding.PNG, encoding.png(resized))
    return Made.of(view, encoding.JPEG, encoding.jpeg(Image.fromarray(resized)))


def _mosaic(display: Display, view: View, slices: Sequence[NDArray[Any]]) -> Image.Image:
    """Tiles from left to right and down, in RAS order; one window for all."""
    width, height = display.size_of(view)
    scale = min(1.0, view.size / view.columns / width, view.size / view.rows / height)
    tile = max(1, int(width * scale)), max(1, int(height * scale))
    mosaic = Image.new("RGB", (tile[0] * view.columns, tile[1] * view.rows))
    tiles = [display.upright(view, stored) for stored in slices]
    if all(label_maps.is_one(pixels) for pixels in tiles):
        shown = [_labels(pixels, tile) for pixels in tiles]
    else:
        shown = [_resized(pixels, tile) for pixels in _greys(display, tiles, view.window)]
    for place, pixels in enumerate(shown):
        row, column = divmod(place, view.columns)
        mosaic.paste(Image.fromarray(pixels), (column * tile[0], row * tile[1]))
    return mosaic


def _greys(
    display: Display, slices: Sequence[NDArray[Any]], window: str
) -> Sequence[NDArray[np.uint8]]:
    """With one window for all; colours stay."""
    if slices[0].ndim == 3:
        return slices
    values = [display.values(pixels) for pixels in slices]
    apart = -(-sum(part.size for part in values) // _MOST_COUNTED)
    counted = np.concatenate([part.ravel()[::apart] for part in values])
    low, high = windows.limits(counted, window)
    return [windows.to_8_bits(part, low, high) for part in values]


def _labels(pixels: NDArray[Any], size: tuple[int, int]) -> NDArray[np.uint8]:
    """A label map in colours, (height, width, 3)."""
    image = Image.fromarray(label_maps.numbered(pixels)).resize(size, Image.Resampling.NEAREST)
    return np.take(label_maps.PALETTE, np.asarray(image), axis=0)


def _resized(
    pixels: NDArray[Any], size: tuple[int, int], is_label_map: bool = False
) -> NDArray[Any]:
    """At this width and height; values of label maps are not mixed."""
    if pixels.shape[1::-1] == size:
        return pixels
    resampling = Image.Resampling.NEAREST if is_label_map else Image.Resampling.BILINEAR
    image = Image.fromarray(np.ascontiguousarray(pixels))
    return np.asarray(image.resize(size, resampling))


def _values(display: Display, view: View, pixels: NDArray[Any]) -> bytes:
    """A slice of 16 bits, with how the values are got back from it; only resized on request."""
    volume = display.volume
    least = _least(pixels)
    if least is not None:
        # Of 16 bits, because what is left of the difference modulo 65536 is all of it.
        stored = native(pixels).astype(np.uint16) - np.uint16(least & 0xFFFF)
        scale, offset = volume.slope, least * volume.slope + volume.intercept
    else:
        stored, scale, offset = _quantised(display.values(pixels))
    if view.size:
        size, is_label_map = _size(display, view, 0), label_maps.is_one(pixels)
        mixed = _resized(stored.astype(np.float32), size, is_label_map)
        stored = np.clip(np.rint(mixed), 0, 0xFFFF).astype(np.uint16)
    text = {"imgd:scale": repr(float(scale)), "imgd:offset": repr(float(offset))}
    return encoding.png(stored, text)


def _least(pixels: NDArray[Any]) -> int | None:
    """What to take from integers that 16 bits hold them: of a short type always the same."""
    if pixels.dtype.kind not in "iu":
        return None
    if pixels.itemsize <= 2:
        return int(np.iinfo(pixels.dtype).min)
    least, most = int(pixels.min()), int(pixels.max())
    return least if most - least <= 0xFFFF else None


def _quantised(values: NDArray[Any]) -> tuple[NDArray[np.uint16], float, float]:
    """From the smallest to the largest value in 65536 steps; NaN and infinities as the nearest."""
    low, high = windows.limits(values, "min-max")
    scale = (high / 2 - low / 2) / 0xFFFF * 2
    if not scale or not np.isfinite(scale):
        return np.zeros(values.shape, np.uint16), 0.0, low
    steps = (values.astype(np.float64) - low) / scale
    steps = np.nan_to_num(steps, nan=0.0, posinf=0xFFFF, neginf=0.0)
    return np.clip(np.rint(steps), 0, 0xFFFF).astype(np.uint16), scale, low
