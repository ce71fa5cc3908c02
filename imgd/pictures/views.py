"""The pictures of a file that can be asked for, by the query of its URL."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Final
from urllib.parse import parse_qsl

import msgspec

from imgd.errors import BadRequest

# Sides of squares in pixels: few, so that nobody can fill the cache with sizes.
SIZES: Final = (256, 512, 1024, 2048)
# Whether a URL may ask for a view: most do not.
MAY_ASK: Final = re.compile(rb"[?&](?:thumb|slice|mosaic|info)")
MAX_TILES: Final = 10  # columns and rows of a mosaic
MAX_INDEX: Final = 10**6
_WINDOW: Final = re.compile(r"(-?[0-9]+(?:\.[0-9]+)?),([0-9]+(?:\.[0-9]+)?)", re.ASCII)
_NAMED_WINDOWS: Final = ("p2-98", "min-max")


class ViewKind(StrEnum):
    """What is made of a file; the value is its key in a query."""

    THUMB = "thumb"
    SLICE = "slice"
    MOSAIC = "mosaic"
    INFO = "info"
    # What nobody can ask for by a URL: which other file holds its data, and what the index of DICOM
    # keeps of the files of a job, without or with what tells of the patient.
    COMPANION = "companion"
    INDEX = "index"
    PATIENT_INDEX = "patient-index"


INDEXES: Final = (ViewKind.INDEX, ViewKind.PATIENT_INDEX)  # of many files that have no relation
ASKABLE: Final = (ViewKind.THUMB, ViewKind.SLICE, ViewKind.MOSAIC, ViewKind.INFO)


class Plane(StrEnum):
    """The planes of a volume: axial is seen along z, coronal along y, sagittal along x."""

    AXIAL = "axial"
    CORONAL = "coronal"
    SAGITTAL = "sagittal"


class View(msgspec.Struct, frozen=True, omit_defaults=True):
    """One picture of a file.

    ``size`` is the square in pixels that it fits, 0 for one pixel a voxel. ``index`` counts slices
    in RAS order (from left, posterior, inferior) from 0, None for the middle. ``t`` is the volume
    of a 4-D file. ``window`` is ``CENTER,WIDTH``, ``p2-98``, ``min-max``, or "" for the file's own
    (DICOM), else ``p2-98``. ``depth`` is 8 or 16 bits: of 16, the picture holds the values, with a
    line in it how to get them back. ``is_neurological``: the patient's left is at the left. Of
    slices of DICOM files alone, ``height`` makes ``size`` a rectangle's width, and ``quality`` the
    picture a JPEG.
    """

    kind: ViewKind
    size: int = 0
    plane: Plane = Plane.AXIAL
    index: int | None = None
    t: int = 0
    window: str = ""
    depth: int = 8
    columns: int = 0
    rows: int = 0
    is_neurological: bool = False
    height: int = 0
    quality: int = 0

    def key(self) -> bytes:
        """The same for two views if and only if they are the same."""
        return msgspec.json.encode(self)


def parse(query: bytes) -> View | None:
    """The view that the query of a URL asks for, None if it asks for none.

    Keys that belong to no view are ignored. BadRequest names the key whose value is wrong.
    """
    if not any(kind in query for kind in (b"thumb", b"slice", b"mosaic", b"info")):
        return None
    text = query.decode("ascii", "replace")
    values = dict(parse_qsl(text, keep_blank_values=True, errors="replace"))
    kinds = [kind for kind in ASKABLE if kind in values]
    if not kinds:
        return None
    if len(kinds) > 1:
        raise BadRequest(f"Ask for one of {' and '.join(kinds)}, not for both.")
    match kinds[0]:
        case ViewKind.THUMB:
            return View(ViewKind.THUMB, size=_size(values, "thumb") or SIZES[0])
        case ViewKind.SLICE:
            return _slice(values)
        case ViewKind.MOSAIC:
            return _mosaic(values)
    return View(ViewKind.INFO)


def _size(values: Mapping[str, str], key: str) -> int:
    """Pixels, rounded up to one of ``SIZES``; 0 if none are given."""
    text = values.get(key, "")
    if not text:
        return 0
    if not re.fullmatch("[0-9]{1,7}", text, re.ASCII):
        raise BadRequest(f"'{key}' must be a size in pixels: {', '.join(map(str, SIZES))}.")
    pixels = int(text)
    return next((size for size in SIZES if size >= pixels), SIZES[-1])


def _number(text: str, key: str) -> int:
    if not re.fullmatch("[0-9]{1,7}", text, re.ASCII) or int(text) > MAX_INDEX:
        raise BadRequest(f"'{key}' must be a whole number from 0 to {MAX_INDEX}.")
    return int(text)


def _slice(values: Mapping[str, str]) -> View:
    plane, colon, index = values["slice"].partition(":")
    middle = not colon or index == "mid"
    return View(
        ViewKind.SLICE,
        size=_size(values, "size"),
        plane=_plane(plane, "slice", ", and then :INDEX or :mid if it is not the middle"),
        index=None if middle else _number(index, "slice"),
        t=_number(values.get("t") or "0", "t"),
        window=_window(values),
        depth=_depth(values),
        is_neurological=_is_neurological(values),
    )


def _plane(text: str, key: str, more: str = "") -> Plane:
    try:
        return Plane(text or "axial")
    except ValueError:
        raise BadRequest(f"'{key}' must be one of {', '.join(Plane)}{more}.") from None


def _window(values: Mapping[str, str]) -> str:
    """The window in one spelling."""
    text = values.get("window", "")
    if not text or text in _NAMED_WINDOWS:
        return text
    match = _WINDOW.fullmatch(text)
    if match is None or len(text) > 40 or float(match[2]) <= 0:
        raise BadRequest("'window' must be CENTER,WIDTH (as 40,400), p2-98 or min-max.")
    center, width = (float(text) + 0.0 for text in match.groups())  # -0.0 is 0.0
    return f"{center:.12g},{width:.12g}"


def _depth(values: Mapping[str, str]) -> int:
    text = values.get("depth") or "8"
    if text not in ("8", "16"):
        raise BadRequest("'depth' must be 8 or 16.")
    return int(text)


def _is_neurological(values: Mapping[str, str]) -> bool:
    text = values.get("convention") or "radio"
    if text not in ("radio", "neuro"):
        raise BadRequest("'convention' must be radio or neuro.")
    return text == "neuro"


def _mosaic(values: Mapping[str, str]) -> View:
    match = re.fullmatch("([0-9]{1,2})x([0-9]{1,2})", values["mosaic"] or "5x5", re.ASCII)
    if match is None or not all(1 <= int(side) <= MAX_TILES for side in match.groups()):
        raise BadRequest(f"'mosaic' must be COLUMNSxROWS, each from 1 to {MAX_TILES}.")
    return View(
        ViewKind.MOSAIC,
        size=_size(values, "size") or 1024,
        plane=_plane(values.get("axis", ""), "axis"),
        t=_number(values.get("t") or "0", "t"),
        window=_window(values),
        columns=int(match[1]),
        rows=int(match[2]),
        is_neurological=_is_neurological(values),
    )
