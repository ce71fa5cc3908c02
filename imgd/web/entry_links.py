"""Where a click on an entry of a folder leads."""

from __future__ import annotations

from collections.abc import Iterable

from imgd.core import listing, paths
from imgd.core.listing import Entry, Query
from imgd.core.shown_kinds import is_frame, may_be_shown


class EntryLinks:
    """The links of a folder's page, relative to it.

    ``viewer`` is the folder's path in the viewer; "" if imgd makes no pictures. ``kept`` is the
    query that keeps the chosen layout in other folders.
    """

    def __init__(self, viewer: str = "", kept: str = "") -> None:
        self._viewer = viewer
        self.kept = kept

    @classmethod
    def of(
        cls, top: str, base: str, names: tuple[str, ...], query: Query, *, has_pictures: bool
    ) -> EntryLinks:
        """The links for the folder ``names`` below ``base``; ``top`` leads to the server's root."""
        folders = "".join(f"{paths.encode(name)}/" for name in names)
        return cls(
            f"{top}-/view{base}{folders}" if has_pictures else "",
            f"?view={query.layout}" if query.layout else "",
        )

    def target(self, entry: Entry) -> str:
        """The folder below, the picture in the viewer, or else the file."""
        if entry.is_folder:
            return listing.href(entry) + self.kept
        return self.viewed(entry) or listing.href(entry)

    def viewed(self, entry: Entry) -> str:
        """The entry in the viewer; "" if that does not show it, and there is no thumbnail."""
        return self._viewer + listing.url(entry) if self._viewer and may_be_shown(entry) else ""

    def stack(self, entries: Iterable[Entry]) -> str:
        """Where the folder's frames are one stack; "" if there are less than two on this page."""
        return self._viewer if sum(map(is_frame, entries)) > 1 else ""
