"""The listing as a person sees it, and the page that says what went wrong. No script in either."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from hashlib import sha256
from http import HTTPStatus
from pkgutil import get_data
from types import MappingProxyType
from typing import Final, NamedTuple
from urllib.parse import parse_qsl

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from imgd.core import listing, media, messages, paths, routes
from imgd.core.folder_json import Listing, view
from imgd.core.listing import Entry, Page, Query, Sort
from imgd.web.escape import escape_text, human_size, shown

# No script, no style in the markup, nothing from elsewhere: a name that escaped its element could
# still do nothing.
CSP: Final = (
    "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'"
)
_TYPES: Final = {
    "style.css": "text/css; charset=utf-8",
    "favicon.svg": "image/svg+xml",
    "icons.svg": "image/svg+xml",
    "openapi.yaml": "application/yaml",  # RFC 9512
}
#: What is served below ``/-/``: name to media type and content.
ASSETS: Final[Mapping[str, tuple[str, bytes]]] = MappingProxyType(
    {name: (kind, get_data(__name__, f"assets/{name}") or b"") for name, kind in _TYPES.items()}
)
# Part of the assets' URLs, so that no cache serves an older style to a newer page.
_EDITION: Final = sha256(b"".join(content for _, content in ASSETS.values())).hexdigest()[:8]

_environment = Environment(
    loader=PackageLoader("imgd.web"),
    autoescape=True,
    auto_reload=False,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_environment.filters.update(shown=shown, plain=escape_text, size=human_size, number="{:,}".format)
_environment.globals.update(edition=_EDITION)

_COLUMNS: Final = (
    (Sort.NAME, "Name"),
    (Sort.KIND, "Kind"),
    (Sort.SIZE, "Size"),
    (Sort.MODIFIED, "Modified"),
)
_IN_OTHER_WORDS: Final = {
    404: "Nothing is here by that name. It may have been moved, renamed or unloaded."
}


class Row(NamedTuple):
    """An entry, ready to be written: every piece is text, or markup that is escaped already."""

    name: Markup
    plain: str
    href: str
    icon: str
    kind: str
    size: str
    bytes: str
    modified: str
    minute: str
    is_folder: bool


class Link(NamedTuple):
    """A place to go: its name, and its URL relative to the page."""

    name: str
    href: str


class Column(NamedTuple):
    """The head of a column: what it is called, where a click leads, and its ``aria-sort`` or ""."""

    key: str
    name: str
    href: str
    order: str


class CollectionCard(NamedTuple):
    """A loaded collection as the front page shows it.

    ``href`` is "" while it is not there, ``unloads`` and its ``minute`` where it never does.
    """

    name: str
    href: str
    images: int
    unloads: str
    minute: str


def folder_page(
    *,
    names: tuple[str, ...],
    base: str,
    page: Page,
    query: Query,
    title: str = "",
    collections: Sequence[messages.Collection] = (),
) -> bytes:
    """A folder's listing as HTML in UTF-8.

    ``names`` lead to it from a root which is mounted at ``base`` (``/`` at both ends) and called
    ``title``, by default after the base. Every link is relative to the folder's own URL.
    """
    top = "../" * (base.count("/") - 1 + len(names)) or "./"
    here = "../" * len(names) or "./"
    root = title or base[1:].removesuffix("files/").rstrip("/").rpartition("/")[2] or "Files"
    text = _environment.get_template("folder.html").render(
        top=top,
        heading=names[-1] if names else root,
        trail=_trail(names, [] if base == "/" else [Link(root, here)], top),
        parent=_parent(names, base, top),
        rows=[_row(entry) for entry in page.entries],
        columns=[_column(query, key, name) for key, name in _COLUMNS],
        page=page,
        query=query,
        kept=parse_qsl(listing.query_string(listing.at(replace(query, contains="")))),
        unfiltered=_href(listing.at(replace(query, contains=""))),
        collections=[_collection_card(collection, top) for collection in collections],
        first=_href(listing.at(query)) if page.start or query.before else "",
        previous=_href(listing.at(query, before=page.previous)) if page.previous else "",
        next=_href(listing.at(query, after=page.next)) if page.next else "",
        json="?" + listing.query_string(query, format="json"),
    )
    return text.encode("utf-8")


def _trail(names: tuple[str, ...], root: list[Link], top: str) -> list[Link]:
    """Where the folder lies, from the server's root on."""
    depths = range(len(names) - 1, -1, -1)
    folders = [Link(n, "../" * depth or "./") for n, depth in zip(names, depths, strict=True)]
    return [Link("imgd", top), *root, *folders]


def _parent(names: tuple[str, ...], base: str, top: str) -> str:
    if names:
        return "../"
    return "" if base == "/" else top


def _href(query: Query) -> str:
    text = listing.query_string(query)
    return f"?{text}" if text else "./"


def _column(query: Query, key: Sort, name: str) -> Column:
    order = ("descending" if query.descending else "ascending") if query.sort is key else ""
    return Column(key.value, name, _href(listing.sorted_by(query, key)), order)


def _row(entry: Entry) -> Row:
    modified = listing.modified(entry)
    return Row(
        name=shown(entry.name),
        plain=escape_text(entry.name),
        href=f"./{listing.url(entry)}",
        icon=_icon(entry),
        kind=listing.kind(entry),
        size="" if entry.is_folder else human_size(entry.size),
        bytes=f"{entry.size:,} bytes",
        modified=modified,
        minute=_minute(modified),
        is_folder=entry.is_folder,
    )


def _icon(entry: Entry) -> str:
    if entry.is_folder:
        return "folder"
    if media.media_type(entry.name).startswith("image/"):
        return "image"
    return "volume" if media.is_image(entry.name) else "file"


def _minute(moment: str) -> str:
    """``2026-03-01T12:30:59Z`` as ``2026-03-01 12:30``."""
    return f"{moment[:10]} {moment[11:16]}"


def _collection_card(collection: messages.Collection, top: str) -> CollectionCard:
    base = routes.files_base(collection.name)
    unloads = collection.expires_at
    return CollectionCard(
        name=collection.name,
        href=top + base[1:] if collection.available else "",
        images=collection.image_count,
        unloads=unloads or "",
        minute=_minute(unloads) if unloads else "",
    )


def folder_json(base: str, names: tuple[str, ...], page: Page, query: Query) -> Listing:
    """A folder's listing as a message, for a root which is mounted at ``base``."""
    return view(page, query, base + "".join(paths.encode(n) + "/" for n in names))


def error_page(status: int, detail: str) -> bytes:
    """A page for an error of this status, which says ``detail`` in one sentence."""
    phrase = HTTPStatus(status).phrase.capitalize()
    if detail.rstrip(".") == phrase:
        detail = _IN_OTHER_WORDS.get(status, detail)
    template = _environment.get_template("error.html")
    # The page may stand at any depth, so its links begin at the server's root.
    return template.render(top="/", status=status, phrase=phrase, detail=detail).encode("utf-8")
