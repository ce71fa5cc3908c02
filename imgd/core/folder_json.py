"""A page of a listing as JSON says it."""

from __future__ import annotations

from msgspec import Struct

from imgd.core import listing, media, paths
from imgd.core.listing import Entry, Page, Query


class Item(Struct, kw_only=True):
    """An entry in JSON. ``url`` is percent-encoded, relative to the folder.

    ``size`` (bytes) and ``media_type`` are null for a folder.
    """

    name: str
    type: str
    size: int | None
    modified: str
    media_type: str | None
    kind: str
    url: str


class Listing(Struct, kw_only=True):
    """A page of a folder in JSON. ``path`` is the folder's own, percent-encoded.

    ``count`` entries fit the filter out of ``total``; ``next`` is the path and query of the next
    page, or null.
    """

    path: str
    entries: list[Item]
    count: int
    total: int
    next: str | None


def view(page: Page, query: Query, path: str) -> Listing:
    """A page as JSON says it, for the folder at this path of the URL (``/`` at both ends)."""
    following = listing.query_string(listing.at(query, after=page.next), format="json")
    return Listing(
        path=path,
        entries=[_item(entry) for entry in page.entries],
        count=page.matching,
        total=page.total,
        next=f"{path}?{following}" if page.next else None,
    )


def _item(entry: Entry) -> Item:
    return Item(
        name=paths.display(entry.name),
        type="folder" if entry.is_folder else "file",
        size=None if entry.is_folder else entry.size,
        modified=listing.modified(entry),
        media_type=None if entry.is_folder else media.media_type(entry.name),
        kind=listing.kind(entry),
        url=listing.url(entry),
    )
