"""Windows: which values of an image are black, which white, and all between."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

_LOW, _HIGH = 0.02, 0.98  # shares of the values


def limits(values: NDArray[Any], window: str) -> tuple[float, float]:
    """The values that become black and white: of ``CENTER,WIDTH``, ``min-max``, or ``p2-98`` ("").

    Values that are no numbers (NaN, infinities) do not count.
    """
    if "," in window:
        center, width = map(float, window.split(","))
        return center - width / 2, center + width / 2
    finite = _finite(values)
    if not finite.size:
        return 0.0, 1.0
    if window != "min-max":
        low, high = percentiles(finite)
        if low < high:
            return low, high  # else most of it is background
    return float(finite.min()), float(finite.max())


def percentiles(values: NDArray[Any]) -> tuple[float, float]:
    """The values that 2 and 98 % of those that are numbers are not above, as numpy has them.

    If there are few possible values, they are counted: some five times as fast as an order.
    """
    finite = _finite(values).ravel()
    if not finite.size:
        return 0.0, 1.0
    if finite.dtype.kind in "iu" and finite.itemsize <= 2:
        up_to, least = _counts(finite)
        return _at(up_to, _LOW) + least, _at(up_to, _HIGH) + least
    low, high = np.percentile(finite, (100 * _LOW, 100 * _HIGH))
    return float(low), float(high)


def _finite(values: NDArray[Any]) -> NDArray[Any]:
    if values.dtype.kind in "iub":
        return values
    is_finite = np.isfinite(values)
    return values if is_finite.all() else values[is_finite]


def _counts(values: NDArray[Any]) -> tuple[NDArray[np.intp], int]:
    """How many values are at most the least of their type, and that and one, and so on."""
    least = int(np.iinfo(values.dtype).min)
    numbers = values.view(f"u{values.itemsize}") ^ -least if least else values
    return np.cumsum(np.bincount(numbers)), least


def _at(up_to: NDArray[np.intp], share: float) -> float:
    """The value at this share of all, between the two nearest."""
    place = share * (int(up_to[-1]) - 1)
    rank = int(place)
    low, high = np.searchsorted(up_to, (rank, min(rank + 1, int(up_to[-1]) - 1)), "right")
    return float(low + (high - low) * (place - rank))


def to_8_bits(values: NDArray[Any], low: float, high: float) -> NDArray[np.uint8]:
    """Values as grey levels: ``low`` and below is 0, ``high`` and above 255, NaN 0."""
    scale = 255.0 / (high - low) if high > low else 0.0
    precise = np.float32 if values.itemsize <= 2 or values.dtype == np.float32 else np.float64
    grey = np.subtract(values, low, dtype=precise)
    grey *= precise(scale)
    np.nan_to_num(grey, copy=False, nan=0.0, posinf=255.0, neginf=0.0)
    np.clip(np.rint(grey, out=grey), 0, 255, out=grey)
    return cast(NDArray[np.uint8], grey.astype(np.uint8))
