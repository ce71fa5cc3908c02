"""The listing as a model: entries, order, filter, pages. HTML and JSON are its views."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, NamedTuple
from urllib.parse import quote_from_bytes

from imgd.core import media, paths
from imgd.core.conditional import NANOSECONDS
from imgd.errors import BadRequest

PAGE_SIZE: Final = 1_000  # entries
MAX_PAGE_SIZE: Final = 10_000  # entries: what one page may hold in memory
MAX_FILTER: Final = 255  # characters: no file name is longer, and globs stay cheap to compile
FOLDER: Final = "Folder"  # the kind of a folder

_CURSOR: Final = re.compile(r"([df])(-?[0-9]{1,30})\.(.+)", re.DOTALL)
_EPOCH: Final = datetime(1970, 1, 1)
_YEAR_1: Final = -62_135_596_800  # seconds: the first and the last that a date can say, for
_YEAR_9999: Final = 253_402_300_799  # file systems keep times that none can


class Entry(NamedTuple):
    """A file or folder as a listing shows it: ``size`` in bytes, ``mtime_ns`` since the epoch."""

    name: str
    is_folder: bool
    size: int
    mtime_ns: int


class Sort(StrEnum):
    """The columns to sort by, as they are written in a URL."""

    NAME = "name"
    SIZE = "size"
    MODIFIED = "modified"
    KIND = "kind"


@dataclass(frozen=True, slots=True)
class Query:
    """Which page of a listing is wanted: at most ``limit`` entries whose name fits ``contains``.

    ``after`` and ``before`` are cursors, "" for none: the page begins behind the one or ends ahead
    of the other. A cursor holds an entry's place and not its number, so that a page stays whole
    while files come and go; the entry itself may be gone.
    """

    sort: Sort = Sort.NAME
    descending: bool = False
    contains: str = ""
    after: str = ""
    before: str = ""
    limit: int = PAGE_SIZE


class Page(NamedTuple):
    """One page: its entries in order, and where it stands in the whole.

    ``matching`` entries fit the filter, ``size`` bytes together, out of ``total`` in the folder;
    ``start`` of them come before the page. ``next`` and ``previous`` are the cursors for the pages
    after and before, "" where there is none.
    """

    entries: list[Entry]
    matching: int
    total: int
    size: int
    start: int
    next: str
    previous: str


def parse_query(args: Mapping[str, str]) -> Query:
    """A URL's query as a Query: ``sort``, ``order``, ``filter``, ``after``, ``before``, ``limit``.

    Other keys are ignored, and an empty value, as a form sends it, is none. BadRequest names the
    key whose value is wrong.
    """
    given = {key: value for key, value in args.items() if value}
    if "after" in given and "before" in given:
        raise BadRequest("Give 'after' or 'before', not both.")
    return Query(
        sort=Sort(_one_of(given, "sort", *Sort)),
        descending=_one_of(given, "order", "asc", "desc") == "desc",
        contains=_filter(given),
        after=_cursor_in(given, "after"),
        before=_cursor_in(given, "before"),
        limit=_limit(given),
    )


def _one_of(given: Mapping[str, str], key: str, *values: str) -> str:
    value = given.get(key, values[0])
    if value not in values:
        raise BadRequest(f"'{key}' must be one of {', '.join(values)}.")
    return value


def _filter(given: Mapping[str, str]) -> str:
    text = given.get("filter", "").strip()
    if len(text) > MAX_FILTER:
        raise BadRequest(f"'filter' must be at most {MAX_FILTER} characters.")
    return text


def _cursor_in(given: Mapping[str, str], key: str) -> str:
    cursor = given.get(key, "")
    if cursor and not _CURSOR.fullmatch(cursor):
        raise BadRequest(f"'{key}' must be a cursor that a listing gave.")
    return cursor


def _limit(given: Mapping[str, str]) -> int:
    text = given.get("limit", str(PAGE_SIZE))
    if not re.fullmatch("[0-9]{1,5}", text) or not 1 <= int(text) <= MAX_PAGE_SIZE:
        raise BadRequest(f"'limit' must be a whole number from 1 to {MAX_PAGE_SIZE}.")
    return int(text)


def query_string(query: Query, **extra: str) -> str:
    """The part of a URL behind the ``?`` that :func:`parse_query` reads as this query.

    ASCII; what has its default is left out. ``extra`` keys come last.
    """
    values = {
        "sort": "" if query.sort is Sort.NAME else query.sort.value,
        "order": "desc" if query.descending else "",
        "filter": query.contains,
        "limit": "" if query.limit == PAGE_SIZE else str(query.limit),
        "after": query.after,
        "before": query.before,
        **extra,
    }
    return "&".join(f"{key}={_quoted(value)}" for key, value in values.items() if value)


def _quoted(value: str) -> str:
    return quote_from_bytes(value.encode("utf-8", "surrogateescape"), safe="")


def sorted_by(query: Query, column: Sort) -> Query:
    """The first page in the order of this column: turned round where it is the order already."""
    descending = query.sort is column and not query.descending
    return replace(query, sort=column, descending=descending, after="", before="")


def at(query: Query, *, after: str = "", before: str = "") -> Query:
    """The page behind or ahead of a cursor, in the same order, filter and size; else the first."""
    return replace(query, after=after, before=before)


def cursor(entry: Entry, sort: Sort) -> str:
    """An entry's place as ASCII: folder or file, the number it is sorted by, the encoded name."""
    number = {Sort.SIZE: entry.size, Sort.MODIFIED: entry.mtime_ns}.get(sort, 0)
    return f"{'d' if entry.is_folder else 'f'}{number}.{paths.encode(entry.name)}"


def place(cursor: str) -> Entry | None:
    """An entry that sorts where the cursor's did, or None."""
    found = _CURSOR.fullmatch(cursor)
    if found is None:
        return None
    name = paths.decode(found[3].encode("utf-8", "surrogateescape"))
    return Entry(name, found[1] == "d", int(found[2]), int(found[2]))


def matcher(contains: str) -> Callable[[str], object]:
    """Whether a name has this text in it, or is like it where it has ``*`` or ``?``. No case.

    ``fnmatch`` compiles to atomic groups, so that ``*a*a*a*b`` takes no exponential time.
    """
    wanted = contains.casefold()
    if not {"*", "?"} & set(wanted):
        return lambda name: wanted in name.casefold()
    match = re.compile(fnmatch.translate(wanted.replace("[", "[[]"))).match
    return lambda name: match(name.casefold())


def kind(entry: Entry) -> str:
    """What a person calls this entry. A suffix that could not be shown makes it a plain file."""
    if entry.is_folder:
        return FOLDER
    found = media.kind(entry.name)
    return found if found.isprintable() else "File"


def modified(entry: Entry) -> str:
    """When the entry was last changed, RFC 3339 in UTC, to the second.

    Any time that a file system holds: what no date can say becomes the first or the last that one
    can, and no platform's ``gmtime`` with its own limits is asked.
    """
    seconds = max(_YEAR_1, min(entry.mtime_ns // NANOSECONDS, _YEAR_9999))
    return f"{(_EPOCH + timedelta(seconds=seconds)).isoformat()}Z"


def url(entry: Entry) -> str:
    """The entry's URL, relative to its folder. No name can be a scheme: colons are escaped."""
    return paths.encode(entry.name) + "/" * entry.is_folder
