"""What the path of a URL means, and how the URLs of collections are written; nothing else knows.

A path is split at its slashes first, and each segment is decoded once (RFC 3986 section 2.4).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import Enum
from typing import Final, NamedTuple

from imgd.core import dicomweb_paths, paths
from imgd.core.catalog import CURRENT


class RouteKind(Enum):
    """What a path leads to; the value is the path, variable parts in capitals."""

    STATUS = "/"
    HEALTH = "/health"
    TIMEOUT = "/timeout"
    SET_TIMEOUT = "/timeout/MINUTES"
    LOAD = "/load-directory"
    UNLOAD = "/unload"
    PUBLIC_URL = "/public-url"
    LINKS = "/links"
    REVOKE_LINKS = "/links/revoke"
    COLLECTIONS = "/collections"
    COLLECTION = "/collections/NAME"
    IMAGES = "/collections/NAME/images"
    CURRENT_FILES = "/images/PATH"
    COLLECTION_FILES = "/collections/NAME/files/PATH"
    DICOM = "/collections/NAME/dicom/PATH"
    DICOM_JSON = "/collections/NAME/dicom.json"
    DICOMWEB = "/collections/NAME/dicomweb/PATH"
    SIGNED = "/-/s/TICKET/PATH"
    FORM = "/-/token"
    INDEX = "/-/files/PATH"
    VIEW = "/-/view/PATH"
    ASSETS = "/-/NAME"
    DOCUMENTS = "/PATH"
    UNKNOWN = "anything else"


class Route(NamedTuple):
    """What a path means.

    ``below`` is the part of the path after what ``kind`` names, as it came, without the slash
    between. If files are served there, ``base`` is the path of the folder that is served, with a
    slash at both ends, and ``below`` is None for that path without its last slash.
    ``collection`` is the name in the path, decoded and not validated.
    """

    kind: RouteKind
    below: bytes | None = None
    collection: str = ""
    base: str = ""

    @property
    def is_file(self) -> bool:
        """Whether a file is asked for, or what is known of one by its UIDs; False for a folder, a
        search, and for the API.
        """
        if self.kind is RouteKind.DICOMWEB:
            target = dicomweb_paths.parse(self.below or b"")
            return target is not None and target.resource is not dicomweb_paths.Resource.SEARCH
        if self.kind is RouteKind.DICOM:
            return not self.is_exact
        may_be = bool(self.base) or self.kind is RouteKind.SIGNED
        return may_be and bool(self.below) and not (self.below or b"").endswith(b"/")

    @property
    def is_exact(self) -> bool:
        """Whether nothing but slashes follows."""
        return not (self.below or b"").strip(b"/")


SIGNED_BASE: Final = "/-/s/"
INDEX_BASE: Final = "/-/files/"  # the document root again, for programs
VIEW_BASE: Final = "/-/view"  # before the path of a file or folder: the page that shows it
_SIGNED_BASE: Final = SIGNED_BASE.encode("ascii")
_VIEW_BASE: Final = VIEW_BASE.encode("ascii")
_SIGNATURE: Final = re.compile(b"(" + _SIGNED_BASE + rb"[0-9-]{1,20}\.)[^/?]{1,100}")
_FIRST_SEGMENTS: Final = {
    kind.value.split("/")[1]: kind
    for kind in (
        *(RouteKind.HEALTH, RouteKind.TIMEOUT, RouteKind.LOAD, RouteKind.UNLOAD),
        *(RouteKind.PUBLIC_URL, RouteKind.LINKS, RouteKind.COLLECTIONS),
        *(RouteKind.CURRENT_FILES, RouteKind.ASSETS),
    )
}
# A file or folder of such a name in the document root is hidden.
RESERVED: Final = frozenset(_FIRST_SEGMENTS)
_UNKNOWN: Final = Route(RouteKind.UNKNOWN)


def route(path: bytes) -> Route:
    """What the path of a URL, percent-encoded and without the query, means."""
    if path == b"/":
        return Route(RouteKind.STATUS, b"", base=files_base(None))
    first, slash, rest = path[1:].partition(b"/")
    if not first:
        return _UNKNOWN
    below = rest if slash else None
    kind = _FIRST_SEGMENTS.get(paths.decode(first), RouteKind.DOCUMENTS)
    match kind:
        case RouteKind.DOCUMENTS:
            return Route(kind, path[1:], base=files_base(None))
        case RouteKind.CURRENT_FILES:
            return Route(kind, below, CURRENT, files_base(CURRENT))
        case RouteKind.COLLECTIONS:
            return _route_collection(rest)
    return _route_one_spelling(path) or _route_api(kind, below)


def _route_one_spelling(path: bytes) -> Route | None:
    """What is meant by one spelling of a path alone; None for other paths."""
    if is_signed(path):
        return Route(RouteKind.SIGNED, path[len(SIGNED_BASE) :])
    if path == b"/-/token":
        return Route(RouteKind.FORM)
    page, shown = split_view(path)
    return Route(RouteKind.VIEW, shown[1:]) if page else None


def _route_api(kind: RouteKind, below: bytes | None) -> Route:
    second, slash, rest = (below or b"").partition(b"/")
    if kind is RouteKind.TIMEOUT and second:
        return Route(RouteKind.SET_TIMEOUT, below)
    if kind is RouteKind.LINKS and paths.decode(second) == "revoke":
        return Route(RouteKind.REVOKE_LINKS, rest)
    if kind is RouteKind.ASSETS and paths.decode(second) == "files":
        return Route(RouteKind.INDEX, rest if slash else None, base=INDEX_BASE)
    return Route(kind, below)


def _route_collection(below: bytes) -> Route:
    name, *more = below.split(b"/", 2)
    collection = paths.decode(name)
    second = paths.decode(more[0]) if more else ""
    third = more[1] if len(more) > 1 else None
    match second, third:
        case "", None if more or name:
            return Route(RouteKind.COLLECTION, None, collection)
        case "", None:
            return Route(RouteKind.COLLECTIONS)
        case "images", None | b"":
            return Route(RouteKind.IMAGES, None, collection)
        case "files", _:
            base = f"{collection_path(collection)}/files/"
            return Route(RouteKind.COLLECTION_FILES, third, collection, base)
        case "dicom", _:
            return Route(RouteKind.DICOM, third, collection)
        case "dicom.json", None:
            return Route(RouteKind.DICOM_JSON, None, collection)
        case "dicomweb", bytes():
            return Route(RouteKind.DICOMWEB, third, collection)
    return _UNKNOWN


def collection_path(name: str) -> str:
    """``/collections/NAME``."""
    return f"{RouteKind.COLLECTIONS.value}/{paths.encode(name)}"


def dicom_path(name: str) -> str:
    """The studies and series of a collection, and below it each series as one volume."""
    return f"{collection_path(name)}/dicom/"


def dicomweb_path(name: str) -> str:
    """Where a collection's DICOMweb services begin, without a slash at the end."""
    return f"{collection_path(name)}/dicomweb"


def images_path(name: str) -> str:
    """The list of a collection's images."""
    return f"{collection_path(name)}/images"


def images_page_path(name: str, limit: int, after: str = "") -> str:
    """A page of that list: ``limit`` images after the one of this name."""
    return images_path(name) + images_query(limit, after)


def images_query(limit: int, after: str = "") -> str:
    """The query of such a page, with its question mark."""
    return f"?limit={limit}" + (f"&after={paths.encode(after)}" if after else "")


def files_base(collection: str | None) -> str:
    """The folder below which a collection's files are; None for the document root."""
    if collection is None:
        return "/"
    return "/images/" if collection == CURRENT else f"{collection_path(collection)}/files/"


def file_path(collection: str | None, names: Iterable[str]) -> str:
    """A file in its one canonical spelling; ``names`` lead to it from that folder on."""
    return files_base(collection) + paths.encode(*names)


def timeout_path(minutes: int) -> str:
    """Where the default timeout is set."""
    return f"{RouteKind.TIMEOUT.value}/{minutes}"


def is_open(path: bytes) -> bool:
    """Whether everybody may read a path if reading is private: it tells of no file.

    In these spellings alone, so that no other one passes unseen.
    """
    if path.startswith(b"/-/"):
        return route(path).kind in (RouteKind.ASSETS, RouteKind.SIGNED, RouteKind.FORM)
    return path == b"/health"


def split_view(path: bytes) -> tuple[bytes, bytes]:
    """``/-/view`` and the path that the viewer shows; b"" and the path itself if it is another.

    In this one spelling, because the page leads from there to the file's own URL.
    """
    is_view = path.startswith(_VIEW_BASE + b"/")
    return (_VIEW_BASE, path[len(_VIEW_BASE) :]) if is_view else (b"", path)


def is_signed(path: bytes) -> bool:
    """Whether a path is that of a signed link."""
    return path.startswith(_SIGNED_BASE)


def redact(text: bytes) -> bytes:
    """A URL for a log: whoever reads that must not be able to use its link."""
    return _SIGNATURE.sub(rb"\1...", text) if _SIGNED_BASE in text else text


def redact_text(text: str) -> str:
    """``redact`` of a URL that is shown to people."""
    return redact(text.encode("utf-8", "replace")).decode("utf-8")
