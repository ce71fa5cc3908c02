"""The pages for people: a folder's listing, and what went wrong. Only the viewer has a script."""

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
from imgd.core.listing import Layout, Page, Query, Sort
from imgd.core.messages import CollectionInfo
from imgd.core.sizes import human_size
from imgd.web.entry_links import EntryLinks
from imgd.web.escape import escape_html, escape_text
from imgd.web.gallery import Tile, json_query, layout_choices
from imgd.web.page_parts import (
    Breadcrumb,
    CollectionCard,
    TableColumn,
    TableRow,
    breadcrumbs,
    href,
    parent_href,
    root_name,
    skipped_text,
)

# No script, no style in the markup, nothing of other origins: a name that escaped its element could
# still do nothing.
CSP: Final = (
    "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'"
)
_SCRIPT: Final = "text/javascript; charset=utf-8"
_TYPES: Final = {
    "style.css": "text/css; charset=utf-8",
    "favicon.svg": "image/svg+xml",
    "favicon.ico": "image/vnd.microsoft.icon",
    "robots.txt": "text/plain; charset=utf-8",
    "icons.svg": "image/svg+xml",
    "openapi.yaml": "application/yaml",  # RFC 9512
    "viewer.css": "text/css; charset=utf-8",
    "viewer.js": _SCRIPT,
    "viewer_controls.js": _SCRIPT,
    "viewer_fetch.js": _SCRIPT,
    "viewer_input.js": _SCRIPT,
    "viewer_panes.js": _SCRIPT,
    "viewer_scenes.js": _SCRIPT,
    "viewer_view.js": _SCRIPT,
    "volume3d.js": _SCRIPT,
}
_CONTENTS: Final = {name: get_data(__name__, f"assets/{name}") or b"" for name in _TYPES}
#: Part of the assets' URLs, so that no cache serves an older style to a newer page.
EDITION: Final = sha256(b"".join(_CONTENTS.values())).hexdigest()[:8]
# So do assets that name others: the style its icons, a module those that it imports.
for _name, _kind in _TYPES.items():
    if _kind == _SCRIPT:
        _CONTENTS[_name] = _CONTENTS[_name].replace(b".js';", b".js?%b';" % EDITION.encode())
_CONTENTS["style.css"] = _CONTENTS["style.css"].replace(b'.svg")', b'.svg?%b")' % EDITION.encode())
#: What is served below ``/-/``: name to media type and content.
ASSETS: Final[Mapping[str, tuple[str, bytes]]] = MappingProxyType(
    {name: (kind, _CONTENTS[name]) for name, kind in _TYPES.items()}
)

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
_environment.globals.update(edition=EDITION)

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
    has_ca: bool = False,
    has_archives: bool = False,
    has_pictures: bool = False,
) -> bytes:
    """A folder's listing as HTML in UTF-8. Every link is relative to the folder's own URL.

    ``names`` lead to it from a root that is mounted at ``base`` (``/`` at both ends) and called
    ``title``, by default after the base. ``has_ca``: there is a certificate to import.
    ``has_pictures``: there are thumbnails and the viewer.
    """
    top = "../" * (base.count("/") - 1 + len(names)) or "./"
    to_root = "../" * len(names) or "./"
    root = title or root_name(base)
    unfiltered = listing.at(replace(query, contains=""))
    in_order = listing.at(query) == Query()  # else robots would read the folder in every order
    links = EntryLinks.of(top, base, names, query, has_pictures=has_pictures)
    is_gallery = page.layout is Layout.GALLERY
    return render(
        "folder.html",
        top=top,
        heading=names[-1] if names else root,
        trail=breadcrumbs(names, [] if base == "/" else [Breadcrumb(root, to_root)], top),
        parent=parent_href(names, base, top),
        rows=[] if is_gallery else [TableRow.of(entry, links) for entry in page.entries],
        tiles=[Tile.of(entry, links) for entry in page.entries] if is_gallery else [],
        layouts=layout_choices(query, page.layout),
        layout_kept=links.kept,
        stack=links.stack(page.entries),
        has_pictures=has_pictures,
        columns=[TableColumn.of(query, key, name) for key, name in _COLUMNS],
        page=page,
        skipped=skipped_text(page),
        query=query,
        in_order=in_order,
        kept=parse_qsl(listing.query_string(unfiltered)),
        unfiltered=href(unfiltered),
        collections=[CollectionCard.of(info, top) for info in collections],
        has_archives=has_archives,
        is_front=base == "/" and not names,
        first=href(listing.at(query)) if page.start or query.before else "",
        previous=href(listing.at(query, before=page.previous)) if page.previous else "",
        next=href(listing.at(query, after=page.next)) if page.next else "",
        has_ca=has_ca,
        json="?" + listing.query_string(json_query(query, page), format="json"),
    )


def token_page(*, path: str, target: str, problem: str, is_open_to_others: bool) -> bytes:
    """The form for the token, in place of ``path``; it leads to ``target``, a path with its query.

    ``problem`` is what was wrong with the last try; ``is_open_to_others``: others may listen.
    """
    return render(
        "token.html",
        top="../" * (path.count("/") - 1) or "./",
        target=target,
        problem=problem,
        is_open_to_others=is_open_to_others,
    )


def render(template: str, **values: object) -> bytes:
    """A page of a template, in UTF-8."""
    return _environment.get_template(template).render(**values).encode("utf-8")


def error_page(status: int, detail: str) -> bytes:
    """The page of an error, with one sentence of ``detail``."""
    phrase = HTTPStatus(status).phrase.capitalize()
    if detail.rstrip(".") == phrase:
        detail = _DETAILS.get(status, detail)
    # The page may stand at any depth, so its links begin at the server's root.
    return render("error.html", top="/", status=status, phrase=phrase, detail=detail)


def trust_page(fingerprint: str) -> bytes:
    """How people and programs come to trust the local CA, whose SHA-256 fingerprint this is."""
    return render("trust.html", top="../", fingerprint=fingerprint)
