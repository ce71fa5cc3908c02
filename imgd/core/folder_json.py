"""A page of a folder's listing as a JSON message."""

from __future__ import annotations

from msgspec import Struct

from imgd.core import listing, paths
from imgd.core.listing import Entry, Page, Query


class EntryMessage(Struct, kw_only=True):
    """An entry of a folder. ``url`` is percent-encoded, relative to the folder.

    ``size`` (bytes) and ``media_type`` are null for a folder.
    """

    name: str
    type: str
    size: int | None
    modified: str
    media_type: str | None
    kind: str
    url: str


class ListingMessage(Struct, kw_only=True):
    """A page of a folder's listing. ``path`` is the folder's own, percent-encoded.

    ``count`` of ``total`` entries match the filter. ``next`` is the next page, relative to what was
    asked for, or null. ``skipped`` files and ``skipped_folders`` are there that a collection does
    not serve.
    """

    path: str
    entries: list[EntryMessage]
    count: int
    total: int
    next: str | None
    skipped: int
    skipped_folders: int


def listing_message(
    page: Page, query: Query, path: str, next_path: str | None = None
) -> ListingMessage:
    """The message of a page, for the folder at this path of the URL (``/`` at both ends).

    ``next_path`` is the one in ``next``, if it is another.
    """
    if next_path is None:
        next_path = path
    next_query = listing.query_string(listing.at(query, after=page.next), format="json")
    return ListingMessage(
        path=path,
        entries=[_entry_message(entry) for entry in page.entries],
        count=page.matching,
        total=page.total,
        next=f"{next_path}?{next_query}" if page.next else None,
        skipped=page.skipped,
        skipped_folders=page.skipped_folders,
    )


def _entry_message(entry: Entry) -> EntryMessage:
    return EntryMessage(
        name=paths.display(entry.name),
        type="folder" if entry.is_folder else "file",
        size=None if entry.is_folder else entry.size,
        modified=listing.modified(entry),
        media_type=None if entry.is_folder else listing.media_type(entry),
        kind=listing.kind(entry),
        url=listing.url(entry),
    )
