"""The parts of a folder's page, made of text or escaped markup and ready for the template."""

from __future__ import annotations

from typing import Final, NamedTuple

from markupsafe import Markup

from imgd.core import listing, media, routes
from imgd.core.listing import Entry, Page, Query, Sort
from imgd.core.messages import CollectionInfo
from imgd.core.sizes import human_size
from imgd.web.entry_links import EntryLinks
from imgd.web.escape import escape_html, escape_text

_NO_VIEWER: Final = EntryLinks()


class TableRow(NamedTuple):
    """An entry of the folder. ``target`` is what its name leads to, ``href`` the entry itself;
    ``minute`` is ``modified`` for people.
    """

    name: Markup
    plain: str
    href: str
    target: str
    is_viewed: bool
    icon: str
    kind: str
    size: str
    bytes: str
    modified: str
    minute: str
    is_folder: bool

    @classmethod
    def of(cls, entry: Entry, links: EntryLinks = _NO_VIEWER) -> TableRow:
        modified, href, viewed = listing.modified(entry), listing.href(entry), links.viewed(entry)
        return cls(
            name=escape_html(entry.name),
            plain=escape_text(entry.name),
            href=href,
            target=viewed or (href + links.kept if entry.is_folder else href),
            is_viewed=bool(viewed),
            icon=icon(entry),
            kind=listing.kind(entry),
            size="" if entry.is_folder else human_size(entry.size),
            bytes=f"{entry.size:,} bytes",
            modified=modified,
            minute=minute(modified),
            is_folder=entry.is_folder,
        )


class TableColumn(NamedTuple):
    """The head of a column: ``href`` sorts by it, ``order`` is its ``aria-sort`` or ""."""

    key: str
    name: str
    href: str
    order: str

    @classmethod
    def of(cls, query: Query, key: Sort, name: str) -> TableColumn:
        order = ("descending" if query.descending else "ascending") if query.sort is key else ""
        return cls(key.value, name, href(listing.sorted_by(query, key)), order)


class Breadcrumb(NamedTuple):
    """A folder on the way to this one; ``href`` is relative to the page."""

    name: str
    href: str


class CollectionCard(NamedTuple):
    """A loaded collection on the front page.

    ``href`` is "" while it is not available. ``unloads`` and its ``minute`` are "" if it never
    unloads itself.
    """

    name: str
    href: str
    images: int
    unloads: str
    minute: str

    @classmethod
    def of(cls, info: CollectionInfo, top: str) -> CollectionCard:
        """The card; ``top`` leads from the page to the root of the server."""
        return cls(
            name=info.name,
            href=top + routes.files_base(info.name)[1:] if info.available else "",
            images=info.image_count,
            unloads=info.expires_at or "",
            minute=minute(info.expires_at) if info.expires_at else "",
        )


def breadcrumbs(names: tuple[str, ...], root: list[Breadcrumb], top: str) -> list[Breadcrumb]:
    """The folders from the server's root to this one, which is the last."""
    depths = range(len(names) - 1, -1, -1)
    folders = [
        Breadcrumb(name, "../" * depth or "./") for name, depth in zip(names, depths, strict=True)
    ]
    return [Breadcrumb("imgd", top), *root, *folders]


def root_name(base: str) -> str:
    """What the folder that is mounted at ``base`` is called: after the base."""
    if base in (routes.files_base(None), routes.INDEX_BASE):
        return "Files"
    return base[1:].removesuffix("files/").rstrip("/").rpartition("/")[2]


def parent_href(names: tuple[str, ...], base: str, top: str) -> str:
    """The URL of the folder above this one; "" if there is none."""
    if names:
        return "../"
    return "" if base == "/" else top


def href(query: Query) -> str:
    """The URL of a page of this folder."""
    text = listing.query_string(query)
    return f"?{text}" if text else "./"


def skipped_text(page: Page) -> str:
    """What a collection does not serve of a folder: ``9 other files, 1 folder``; "" for nothing."""
    counts = ((page.skipped, "other file"), (page.skipped_folders, "folder"))
    return ", ".join(f"{n:,} {noun}{'s' * (n != 1)}" for n, noun in counts if n)


def icon(entry: Entry) -> str:
    """The name of the icon for an entry."""
    if entry.is_folder:
        return "folder"
    if listing.media_type(entry).startswith("image/"):
        return "image"
    return "volume" if entry.is_dicom or media.is_image(entry.name) else "file"


def minute(time: str) -> str:
    """``2026-03-01T12:30:59Z`` as ``2026-03-01 12:30``."""
    return f"{time[:10]} {time[11:16]}"
