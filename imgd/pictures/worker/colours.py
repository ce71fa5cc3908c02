"""Pictures of every mode as grey levels or colours: palettes, masks, 16 bits, CMYK, profiles."""

from __future__ import annotations

import io
from contextlib import suppress
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

from imgd.pictures.worker import windows

MAX_LABELS: Final = 64  # different values of a picture that is a mask and no photograph
_LOSSLESS: Final = ("PNG", "TIFF", "BMP")
_WITH_ALPHA: Final = ("RGBA", "LA", "PA", "RGBa", "La")
# The description of the profile that cameras embed, in ASCII (ICC.1 v2) and UTF-16BE (v4).
_SRGB_NAMES: Final = (b"sRGB", "sRGB".encode("utf-16-be"))
_SRGB: Final = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))


def is_label_map(image: Image.Image) -> bool:
    """Whether a picture is a mask: lossless, and of few values or colours. Decodes it."""
    if image.format not in _LOSSLESS or (image.format == "TIFF" and image.mode == "1"):
        return False  # a TIFF of two levels is a scanned page
    if is_deep(image):
        values = np.asarray(image)
        if values.dtype.kind == "f" or _count(values[::8, ::8]) > MAX_LABELS:
            return False  # without a look at every pixel
        return _count(values) <= MAX_LABELS
    return image.getcolors(MAX_LABELS) is not None


def is_deep(image: Image.Image) -> bool:
    """Whether its values are grey and have more than 8 bits."""
    return image.mode in ("I", "F") or image.mode.startswith("I;16")


def resizable(image: Image.Image) -> Image.Image:
    """A picture in a mode in which pixels between others can be computed."""
    if image.mode == "1":
        return image.convert("L")
    if image.mode.startswith("I;16"):
        return image.convert("I")
    if image.mode == "F":
        return Image.fromarray(np.nan_to_num(np.asarray(image)))
    if image.mode == "PA" or "transparency" in image.info:
        return image.convert("RGBA")
    return image.convert("RGB") if image.mode == "P" else image


def spread_labels(image: Image.Image) -> Image.Image:
    """A mask whose values are numbers of labels, and not grey levels, with these spread out."""
    if image.mode == "L" and np.asarray(image).max() < MAX_LABELS:
        return _windowed(image, "min-max")
    return image


def shown(image: Image.Image, window: str) -> Image.Image:
    """Mode L, RGB or (if anything is transparent) RGBA. ``window`` is for grey, and "" of 8 bits is
    as it is.
    """
    if is_deep(image) or (window and image.mode == "L"):
        return _windowed(image, window)
    image = _in_srgb(image)
    if image.mode in _WITH_ALPHA or "transparency" in image.info:
        image = image.convert("RGBA")
        is_opaque = np.asarray(image)[..., 3].min() == 255
        return image.convert("RGB") if is_opaque else image
    if image.mode == "1":
        return image.convert("L")
    return image if image.mode in ("L", "RGB") else image.convert("RGB")


def _count(values: NDArray[Any]) -> int:
    return len(np.unique(values))


def _windowed(image: Image.Image, window: str) -> Image.Image:
    values = np.asarray(image)
    return Image.fromarray(windows.to_8_bits(values, *windows.limits(values, window)))


def _in_srgb(image: Image.Image) -> Image.Image:
    profile = image.info.get("icc_profile")
    if not profile or image.mode not in ("RGB", "CMYK"):
        return image
    if image.mode == "RGB" and any(name in profile[:1024] for name in _SRGB_NAMES):
        return image
    with suppress(ImageCms.PyCMSError, OSError, ValueError):  # no profile, or none of this mode
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        return ImageCms.profileToProfile(image, source, _SRGB, outputMode="RGB") or image
    return image
