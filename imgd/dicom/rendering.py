"""What a rendered picture is to look like, by the query: DICOM PS3.18 section 8.3.5."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from imgd.errors import BadRequest
from imgd.pictures.views import SIZES, View, ViewKind

JPEG: Final = "image/jpeg"
OFFERS: Final = (JPEG, "image/png")  # PS3.18 table 8.7.4-1: the first is the default
MAX_SIDE: Final = 8192  # pixels of a viewport
_VIEWPORT: Final = re.compile("([0-9]{1,5}),([0-9]{1,5})", re.ASCII)
_NUMBER: Final = r"-?[0-9]{1,12}(?:\.[0-9]{0,12})?"
_WINDOW: Final = re.compile(rf"({_NUMBER}),({_NUMBER}),([a-zA-Z-]{{1,20}})", re.ASCII)
QUALITY: Final = 92  # of a JPEG that is looked at closely, from 1 to 100
_KEYS: Final = ("viewport", "window", "quality")
_NOT_LOOKED_AT: Final = ("accept", "charset")
_LEAST_WIDTH: Final = 1e-3  # of a window that has two values only


def view(
    query: Mapping[str, str], media_type: str, frame: int | None, *, is_thumbnail: bool
) -> View:
    """The picture that is asked for; ``frame`` counts from 1, None is the one in the middle.

    BadRequest names the key that imgd does not have, or whose value is wrong.
    """
    for key in query:
        if key not in (*_KEYS, *_NOT_LOOKED_AT):
            raise BadRequest(f"imgd renders with the keys {', '.join(_KEYS)} alone.")
    width, height = _viewport(query.get("viewport", "")) or (SIZES[0] if is_thumbnail else 0, 0)
    window = _window(query.get("window", ""))
    quality = _quality(query.get("quality", ""))
    is_plain = frame is None and not (height or window or quality)
    if is_thumbnail and is_plain and media_type == JPEG:
        return View(ViewKind.THUMB, size=width)  # as the gallery has it
    return View(
        ViewKind.SLICE,
        size=width,
        height=height,
        index=None if frame is None else frame - 1,
        window=window,
        quality=(quality or QUALITY) if media_type == JPEG else 0,
    )


def _viewport(text: str) -> tuple[int, int] | None:
    if not text:
        return None
    match = _VIEWPORT.fullmatch(text)
    if match is None or not all(0 < int(side) <= MAX_SIDE for side in match.groups()):
        raise BadRequest(f"'viewport' must be WIDTH,HEIGHT in pixels, each from 1 to {MAX_SIDE}.")
    return int(match[1]), int(match[2])


def _quality(text: str) -> int:
    """0 if none is given. It means nothing to PNG, which loses nothing."""
    if text and not (re.fullmatch("[0-9]{1,3}", text, re.ASCII) and 1 <= int(text) <= 100):
        raise BadRequest("'quality' must be a number from 1 to 100.")
    return int(text or 0)


def _window(text: str) -> str:
    """As views have it, which is LINEAR_EXACT (PS3.3 section C.11.2.1.3.2)."""
    if not text:
        return ""
    match = _WINDOW.fullmatch(text)
    function = match[3].lower() if match else ""
    if match is None or function not in ("linear", "linear-exact"):
        raise BadRequest("'window' must be CENTER,WIDTH,linear or CENTER,WIDTH,linear-exact.")
    center, width = float(match[1]), float(match[2])
    if function == "linear":  # PS3.3 section C.11.2.1.2.1
        if width < 1:
            raise BadRequest("The width of a linear 'window' must be 1 or more.")
        center, width = center - 0.5, max(width - 1, _LEAST_WIDTH)
    if width <= 0:
        raise BadRequest("The width of a 'window' must be more than 0.")
    return f"{center + 0.0:.12g},{width:.12g}"
