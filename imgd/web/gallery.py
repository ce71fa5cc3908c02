"""A folder as a gallery: what a tile shows, and the choice between gallery and list."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from markupsafe import Markup

from imgd.core import listing
from imgd.core.listing import Entry, Layout, Page, Query
from imgd.core.sizes import human_size
from imgd.web.entry_links import EntryLinks
from imgd.web.escape import escape_html, escape_text
from imgd.web.page_parts import href, icon


class Tile(NamedTuple):
    """An entry as a tile. ``thumb`` is the URL of its thumbnail without a size, "" for none."""

    name: Markup
    plain: str
    target: str
    is_viewed: bool
    thumb: str
    icon: str
    facts: str

    @classmethod
    def of(cls, entry: Entry, links: EntryLinks) -> Tile:
        viewed = links.viewed(entry)
        kind = listing.kind(entry)
        return cls(
            name=escape_html(entry.name),
            plain=escape_text(entry.name),
            target=links.target(entry),
            is_viewed=bool(viewed),
            # A srcset would end a URL at its first comma, if it began with one.
            thumb=f"./{listing.url(entry)}?thumb" if viewed else "",
            icon=icon(entry),
            facts=kind if entry.is_folder else f"{kind} · {human_size(entry.size)}",
        )


class LayoutChoice(NamedTuple):
    """A layout by its name for people; ``href`` is "" for the one of this page."""

    name: str
    href: str


def layout_choices(query: Query, shown: Layout) -> list[LayoutChoice]:
    """The layouts of a page, which keep its order, its filter and its place in the folder."""
    hrefs = {layout: href(replace(query, layout=layout)) for layout in Layout}
    return [LayoutChoice(key.capitalize(), hrefs[key] * (key is not shown)) for key in Layout]


def json_query(query: Query, page: Page) -> Query:
    """What asks for the entries of this page as JSON, which has no layout."""
    if page.layout is not Layout.GALLERY:
        return replace(query, layout=None)
    return replace(query, layout=None, limit=replace(query, layout=page.layout).page_size)
