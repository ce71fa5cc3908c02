"""How the stored values of a DICOM frame become grey (DICOM PS3.3 sections C.11.1 and C.11.2)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.pixels.processing import apply_modality_lut, apply_voi

from imgd.pictures.worker import windows
from imgd.pictures.worker.dicom_values import number, raw

Values = NDArray[Any]
# The least distance of black and white, for windows that have no width.
_STEP: Final = 1e-3


class Rescale(NamedTuple):
    """Value = stored * slope + intercept."""

    slope: float = 1.0
    intercept: float = 0.0


def rescale(dataset: Dataset, frame: int) -> Rescale:
    """The unit of the values: Hounsfield units, dose, or as they are stored."""
    dose = number(dataset, "DoseGridScaling")
    if dose:
        return Rescale(dose)
    slope = number(dataset, "RescaleSlope", frame)
    intercept = number(dataset, "RescaleIntercept", frame)
    return Rescale(slope if slope else 1.0, intercept or 0.0)


def rescaled(stored: Values, dataset: Dataset, frame: int) -> Values:
    """Values in their unit."""
    linear = rescale(dataset, frame)
    if linear == Rescale():
        return stored
    return stored * np.float64(linear.slope) + linear.intercept


def with_modality_table(stored: Values, dataset: Dataset) -> Values:
    """The values of a file that has a table of them."""
    return apply_modality_lut(stored, dataset) if "ModalityLUTSequence" in dataset else stored


def to_grey(stored: Values, dataset: Dataset, frame: int, window: str) -> NDArray[np.uint8]:
    """Grey levels of stored values. ``window`` as in ``View``: "" is the file's own."""
    curve = _own_curve(dataset, frame) if not window else None
    if curve is None:
        curve = _line(*limits(stored, dataset, frame, window))
    grey = _mapped(stored, lambda values: curve(rescaled(values, dataset, frame)))
    return 255 - grey if is_inverted(dataset) else grey


def own_window(stored: Values, dataset: Dataset, frame: int) -> tuple[float, float]:
    """Centre and width of the window that a viewer begins with."""
    given = _window(dataset, frame)
    if given is not None:
        return given
    low, high = limits(stored, dataset, frame, "")
    return (low + high) / 2, high - low


def is_inverted(dataset: Dataset) -> bool:
    """Whether the least value is white."""
    return bool(dataset.get("PhotometricInterpretation") == "MONOCHROME1")


def limits(stored: Values, dataset: Dataset, frame: int, window: str) -> tuple[float, float]:
    """The values that become black and white by a window of the request, or "" for ``p2-98``."""
    if "," in window:
        return windows.limits(stored, window)
    ends = np.array(windows.limits(_imaged(stored, dataset), window))
    low, high = sorted(rescaled(ends, dataset, frame).tolist())
    return low, high


def _imaged(stored: Values, dataset: Dataset) -> Values:
    """Pixels but those outside of what was imaged (DICOM PS3.3 section C.7.5.1.1.2)."""
    padding = number(dataset, "PixelPaddingValue")
    if padding is None:
        return stored
    limit = number(dataset, "PixelPaddingRangeLimit")
    low, high = sorted((padding, padding if limit is None else limit))
    imaged = stored[(stored < low) | (stored > high)]
    return imaged if imaged.size else stored


def _window(dataset: Dataset, frame: int) -> tuple[float, float] | None:
    center = number(dataset, "WindowCenter", frame)
    width = number(dataset, "WindowWidth", frame)
    return None if center is None or width is None or width <= 0 else (center, width)


def _own_curve(dataset: Dataset, frame: int) -> Callable[[Values], NDArray[np.uint8]] | None:
    """The file's first window, or its table; None if it has neither."""
    given = _window(dataset, frame)
    if given is not None:
        return _windowed(*given, str(raw(dataset, "VOILUTFunction", frame) or "LINEAR"))
    sequence = raw(dataset, "VOILUTSequence")
    if not sequence:
        return None
    bits = int(sequence[0].LUTDescriptor[2])
    return lambda values: windows.to_8_bits(
        apply_voi(values.astype(np.int32), dataset), 0, (1 << max(bits, 1)) - 1
    )


def _windowed(center: float, width: float, function: str) -> Callable[[Values], Any]:
    """DICOM PS3.3 section C.11.2.1.2.1 and after it."""
    if function == "SIGMOID":
        return lambda values: windows.to_8_bits(
            1 / (1 + np.exp(np.clip(-4 * (values - center) / width, -700, 700))), 0, 1
        )
    if function == "LINEAR_EXACT":
        return _line(center - width / 2, center + width / 2)
    low = center - 0.5 - (width - 1) / 2
    return _line(low, low + max(width - 1, _STEP))


def _line(low: float, high: float) -> Callable[[Values], NDArray[np.uint8]]:
    return lambda values: windows.to_8_bits(values, low, high)


def _mapped(stored: Values, curve: Callable[[Values], NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """``curve`` of every value; of integers, it is asked once for each level."""
    if stored.dtype.kind not in "iu" or stored.itemsize > 2 or stored.size < 1 << 16:
        return curve(stored)
    low, high = int(stored.min()), int(stored.max())
    levels = curve(np.arange(low, high + 1, dtype=np.int32))
    return levels[stored.astype(np.int32) - low]
