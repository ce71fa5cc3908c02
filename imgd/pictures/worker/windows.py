"""Windows: which values of an image are black, which white, and all between."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
from numpy.typing import NDArray


def limits(values: NDArray[Any], window: str) -> tuple[float, float]:
    """The values that become black and white: of ``CENTER,WIDTH``, ``min-max``, or ``p2-98`` ("").

    Values that are no numbers (NaN, infinities) do not count.
    """
    if "," in window:
        center, width = map(float, window.split(","))
        return center - width / 2, center + width / 2
    finite = values if values.dtype.kind in "iub" else values[np.isfinite(values)]
    if not finite.size:
        return 0.0, 1.0
    if window == "min-max":
        return float(finite.min()), float(finite.max())
    low, high = np.percentile(finite, (2, 98))
    if low == high:  # most of it is background
        low, high = finite.min(), finite.max()
    return float(low), float(high)


def to_8_bits(values: NDArray[Any], low: float, high: float) -> NDArray[np.uint8]:
    """Values as grey levels: ``low`` and below is 0, ``high`` and above 255, NaN 0."""
    scale = 255.0 / (high - low) if high > low else 0.0
    grey = np.subtract(values, low, dtype=np.float32)
    grey *= np.float32(scale)
    np.nan_to_num(grey, copy=False, nan=0.0, posinf=255.0, neginf=0.0)
    np.clip(np.rint(grey, out=grey), 0, 255, out=grey)
    return cast(NDArray[np.uint8], grey.astype(np.uint8))
