"""Label maps: volumes whose values are names of regions, which must not be mixed."""

from __future__ import annotations

import colorsys
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

_MOST_LABELS: Final = 256
_GOLDEN: Final = 0.618034  # of a turn: colours of labels that follow each other are far apart


def is_one(pixels: NDArray[Any]) -> bool:
    """Whether a slice is of few integers, most of which are those of their neighbours."""
    if pixels.dtype.kind not in "iu" or pixels.ndim != 2:
        return False
    sample = pixels[:: -(-pixels.shape[0] // 64)]
    if np.unique(sample).size > _MOST_LABELS:
        return False
    left, right = sample[:, :-1], sample[:, 1:]
    is_inside = (left != 0) | (right != 0)
    is_even = 2 * np.count_nonzero((left == right) & is_inside) >= np.count_nonzero(is_inside)
    return bool(is_even) and np.unique(pixels).size <= _MOST_LABELS


def numbered(pixels: NDArray[Any]) -> NDArray[np.uint8]:
    """Labels as numbers in the palette: 0 stays, others are the same in every slice."""
    labels = (pixels.astype(np.int64) - 1) % 255 + 1
    labels[pixels == 0] = 0
    return labels.astype(np.uint8)


def _palette() -> NDArray[np.uint8]:
    """Black, a light grey for masks, and colours."""
    colours = [(0.0, 0.0, 0.0), (0.9, 0.9, 0.9)]
    for number in range(2, 256):
        light = 0.95 - 0.35 * (number % 3) / 2
        colours.append(colorsys.hsv_to_rgb(number * _GOLDEN % 1, 0.75 - 0.3 * (number % 2), light))
    return np.array([[round(255 * part) for part in colour] for colour in colours], np.uint8)


PALETTE: Final = _palette()  # (256, 3)
