"""A folder's listing: entries, order, filter and pages. HTML and JSON are made of it elsewhere."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final, NamedTuple
from urllib.parse import quote_from_bytes

from imgd.core import media, messages, paths
from imgd.core.conditional import NANOSECONDS
from imgd.errors import BadRequest

PAGE_SIZE: Final = 1_000  # entries
MAX_PAGE_SIZE: Final = 10_000  # entries: what one page may hold in memory
GALLERY_PAGE_SIZE: Final = 200  # entries: as many pictures as a page may ask for at most
MAX_FILTER: Final = 255  # characters: no file name is longer, and globs stay cheap to compile
FOLDER: Final = "Folder"  # kind() of a folder

_CURSOR: Final = re.compile(r"([df])(-?[0-9]{1,30})\.(.+)", re.DOTALL)


class Entry(NamedTuple):
    """A file or folder as a listing shows it: ``size`` in bytes, ``mtime_ns`` since the epoch.

    ``is_dicom``: that it is DICOM is told by its bytes, and not by its name.
    """

    name: str
    is_folder: bool
    size: int
    mtime_ns: int
    is_dicom: bool = False


class Sort(StrEnum):
    """The columns to sort by, by their names in a URL."""

    NAME = "name"
    SIZE = "size"
    MODIFIED = "modified"
    KIND = "kind"


class Layout(StrEnum):
    """How a page shows a folder, by its name in a URL: rows with their facts, or pictures."""

    LIST = "list"
    GALLERY = "gallery"


@dataclass(frozen=True, slots=True)
class Query:
    """One page of a listing: at most ``limit`` entries whose name matches ``contains``.

    ``after`` and ``before`` are cursors, "" for none: the page begins after the one or ends before
    the other. A cursor holds what its entry is sorted by, not its number, so that no entry is
    skipped or repeated while files come and go; its own entry may be gone. ``layout`` None leaves
    it to what the folder holds.
    """

    sort: Sort = Sort.NAME
    descending: bool = False
    contains: str = ""
    after: str = ""
    before: str = ""
    limit: int = PAGE_SIZE
    layout: Layout | None = None

    @property
    def page_size(self) -> int:
        """How many entries a page of this layout has at most."""
        is_gallery = self.layout is Layout.GALLERY
        return min(self.limit, GALLERY_PAGE_SIZE) if is_gallery else self.limit


class Page(NamedTuple):
    """The entries of one page, in order.

    Of the ``total`` entries of the folder, ``matching`` match the filter, of ``size`` bytes
    together; ``start`` of these come before the page. ``next`` and ``previous`` are the cursors for
    the pages after and before, "" if there is none. Of what a collection does
    not serve, the folder holds ``skipped`` files and ``skipped_folders``. ``layout`` is the one for
    which the page was cut.
    """

    entries: list[Entry]
    matching: int
    total: int
    size: int
    start: int
    next: str
    previous: str
    skipped: int = 0
    skipped_folders: int = 0
    layout: Layout = Layout.LIST


#: What stands in the query of a listing, and asks for one instead of the status or an index.
KEYS: Final = frozenset(("format", "sort", "order", "filter", "limit", "after", "before", "view"))


def parse_query(args: Mapping[str, str]) -> Query:
    """A URL's query as a Query: ``sort``, ``order``, ``filter``, ``after``, ``before``, ``limit``,
    ``view``.

    Other keys are ignored, as are empty values, which forms send. BadRequest names the key whose
    value is wrong.
    """
    values = {key: value for key, value in args.items() if value}
    if "after" in values and "before" in values:
        raise BadRequest("Give 'after' or 'before', not both.")
    return Query(
        sort=Sort(_one_of(values, "sort", *Sort)),
        descending=_one_of(values, "order", "asc", "desc") == "desc",
        contains=_filter(values),
        after=_checked_cursor(values, "after"),
        before=_checked_cursor(values, "before"),
        limit=parse_limit(values.get("limit", str(PAGE_SIZE))),
        layout=Layout(_one_of(values, "view", *Layout)) if "view" in values else None,
    )


def _one_of(values: Mapping[str, str], key: str, *allowed: str) -> str:
    value = values.get(key, allowed[0])
    if value not in allowed:
        raise BadRequest(f"'{key}' must be one of {', '.join(allowed)}.")
    return value


def _filter(values: Mapping[str, str]) -> str:
    text = values.get("filter", "").strip()
    if len(text) > MAX_FILTER:
        raise BadRequest(f"'filter' must be at most {MAX_FILTER} characters.")
    return text


def _checked_cursor(values: Mapping[str, str], key: str) -> str:
    cursor = values.get(key, "")
    if cursor and not _CURSOR.fullmatch(cursor):
        raise BadRequest(f"'{key}' must be a cursor that a listing gave.")
    return cursor


def parse_limit(text: str) -> int:
    """The size of a page, or BadRequest."""
    if not re.fullmatch("[0-9]{1,5}", text) or not 1 <= int(text) <= MAX_PAGE_SIZE:
        raise BadRequest(f"'limit' must be a whole number from 1 to {MAX_PAGE_SIZE}.")
    return int(text)


def query_string(query: Query, **extra: str) -> str:
    """What stands in a URL after the ``?``, so that :func:`parse_query` returns this query.

    ASCII; defaults are left out. ``extra`` keys come last.
    """
    values = {
        "sort": "" if query.sort is Sort.NAME else query.sort.value,
        "order": "desc" if query.descending else "",
        "filter": query.contains,
        "limit": "" if query.limit == PAGE_SIZE else str(query.limit),
        "after": query.after,
        "before": query.before,
        "view": query.layout or "",
        **extra,
    }
    return "&".join(f"{key}={_quoted(value)}" for key, value in values.items() if value)


def _quoted(value: str) -> str:
    return quote_from_bytes(value.encode("utf-8", "surrogateescape"), safe="")


def sorted_by(query: Query, column: Sort) -> Query:
    """The first page sorted by this column; reversed if it is sorted by it already."""
    descending = query.sort is column and not query.descending
    return replace(query, sort=column, descending=descending, after="", before="")


def at(query: Query, *, after: str = "", before: str = "") -> Query:
    """The page after or before a cursor, else the first; order, filter and size stay the same."""
    return replace(query, after=after, before=before)


def cursor(entry: Entry, sort: Sort) -> str:
    """What an entry is sorted by, in ASCII: folder or file, size or time, and its encoded name."""
    numbers = {
        Sort.SIZE: entry.size,
        Sort.MODIFIED: entry.mtime_ns,
        Sort.KIND: int(entry.is_dicom),
    }
    number = numbers.get(sort, 0)
    return f"{'d' if entry.is_folder else 'f'}{number}.{paths.encode(entry.name)}"


def entry_at(cursor: str) -> Entry | None:
    """An entry that sorts as the cursor's did; None if it is no cursor."""
    match = _CURSOR.fullmatch(cursor)
    if match is None:
        return None
    name = paths.decode(match[3].encode("utf-8", "surrogateescape"))
    number = int(match[2])
    return Entry(name, match[1] == "d", number, number, number == 1)


def matcher(contains: str) -> Callable[[str], object]:
    """Whether a name contains this text; or matches it, if it has ``*`` or ``?``. Case is ignored.

    ``fnmatch`` compiles to atomic groups, so that ``*a*a*a*b`` takes no exponential time.
    """
    text = contains.casefold()
    if not {"*", "?"} & set(text):
        return lambda name: text in name.casefold()
    match = re.compile(fnmatch.translate(text.replace("[", "[[]"))).match
    return lambda name: match(name.casefold())


def kind(entry: Entry) -> str:
    """What a person calls this entry. If its suffix has unprintable characters, it is a File."""
    if entry.is_folder:
        return FOLDER
    name = media.DICOM_KIND if entry.is_dicom else media.kind(entry.name)
    return name if name.isprintable() else "File"


def media_type(entry: Entry) -> str:
    """The ``Content-Type`` of a file."""
    return media.DICOM if entry.is_dicom else media.media_type(entry.name)


def modified(entry: Entry) -> str:
    """When the entry was last changed, as ``imgd.core.messages.utc`` writes it."""
    return messages.utc(entry.mtime_ns // NANOSECONDS)


def url(entry: Entry) -> str:
    """The entry's URL, relative to its folder. Colons are escaped, so that no name is a scheme."""
    return paths.encode(entry.name) + "/" * entry.is_folder


def href(entry: Entry) -> str:
    """The URL as it stands in a page: with ``./`` if programs take the name for an absolute URL,
    as fsspec does with every name that begins with ``http``.
    """
    return "./" * entry.name.startswith("http") + url(entry)
