"""The pages for people: a folder's listing, and what went wrong. Neither has a script."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from hashlib import sha256
from http import HTTPStatus
from pkgutil import get_data
from types import MappingProxyType
from typing import Final
from urllib.parse import parse_qsl

from jinja2 import Environment, PackageLoader, StrictUndefined

from imgd.core import listing
from imgd.core.listing import Page, Query, Sort
from imgd.core.messages import CollectionInfo
from imgd.core.sizes import human_size
from imgd.web.escape import escape_html, escape_text
from imgd.web.page_parts import (
    Breadcrumb,
    CollectionCard,
    TableColumn,
    TableRow,
    breadcrumbs,
    href,
    parent_href,
)

# No script, no style in the markup, nothing of other origins: a name that escaped its element could
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
_environment.filters.update(
    escape_html=escape_html, escape_text=escape_text, size=human_size, number="{:,}".format
)
_environment.globals.update(edition=_EDITION)

_COLUMNS: Final = (
    (Sort.NAME, "Name"),
    (Sort.KIND, "Kind"),
    (Sort.SIZE, "Size"),
    (Sort.MODIFIED, "Modified"),
)
# What the page says if an error has no sentence of its own.
_DETAILS: Final = {
    404: "Nothing is here by that name. It may have been moved, renamed or unloaded."
}


def folder_page(
    *,
    names: tuple[str, ...],
    base: str,
    page: Page,
    query: Query,
    title: str = "",
    collections: Sequence[CollectionInfo] = (),
) -> bytes:
    """A folder's listing as HTML in UTF-8. Every link is relative to the folder's own URL.

    ``names`` lead to it from a root that is mounted at ``base`` (``/`` at both ends) and called
    ``title``, by default after the base.
    """
    top = "../" * (base.count("/") - 1 + len(names)) or "./"
    to_root = "../" * len(names) or "./"
    root = title or base[1:].removesuffix("files/").rstrip("/").rpartition("/")[2] or "Files"
    unfiltered = listing.at(replace(query, contains=""))
    in_order = listing.at(query) == Query()  # else robots would read the folder in every order
    text = _environment.get_template("folder.html").render(
        top=top,
        heading=names[-1] if names else root,
        trail=breadcrumbs(names, [] if base == "/" else [Breadcrumb(root, to_root)], top),
        parent=parent_href(names, base, top),
        rows=[TableRow.of(entry) for entry in page.entries],
        columns=[TableColumn.of(query, key, name) for key, name in _COLUMNS],
        page=page,
        query=query,
        in_order=in_order,
        kept=parse_qsl(listing.query_string(unfiltered)),
        unfiltered=href(unfiltered),
        collections=[CollectionCard.of(info, top) for info in collections],
        first=href(listing.at(query)) if page.start or query.before else "",
        previous=href(listing.at(query, before=page.previous)) if page.previous else "",
        next=href(listing.at(query, after=page.next)) if page.next else "",
        json="?" + listing.query_string(query, format="json"),
    )
    return text.encode("utf-8")


def error_page(status: int, detail: str) -> bytes:
    """The page of an error, with one sentence of ``detail``."""
    phrase = HTTPStatus(status).phrase.capitalize()
    if detail.rstrip(".") == phrase:
        detail = _DETAILS.get(status, detail)
    template = _environment.get_template("error.html")
    # The page may stand at any depth, so its links begin at the server's root.
    return template.render(top="/", status=status, phrase=phrase, detail=detail).encode("utf-8")
