"""The plain index of a folder: every entry on a line, as other servers write it, for programs."""

from __future__ import annotations

import html
import os
import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import chain, islice
from typing import Final

from imgd.core import listing, messages, natural_order, paths
from imgd.core.conditional import NANOSECONDS
from imgd.core.listing import Entry
from imgd.core.routes import RouteKind
from imgd.core.wait_limits import WaitLimit
from imgd.errors import NotFound
from imgd.files import disk
from imgd.files.disk import Root
from imgd.host.blocking import RunBlocking
from imgd.web.backpressure import BackpressuredWriter
from imgd.web.endpoint import begin_page, vary_by_accept
from imgd.web.escape import escape_text
from imgd.web.request import Request

# Entries that are read and written at once: some 50 ms of work on another thread, and 1.2 MB. With
# 2,000 a million entries took 10 % more CPU.
PIECE: Final = 10_000
MAX_SORTED: Final = 4_000  # entries of a folder: some 20 ms before the first is sent
# Indexes that are written at once; each of them has one piece of work at a time.
MAX_STREAMS_PER_FOLDER: Final = 128
MAX_STREAMS_PER_CLIENT: Final = 32
# Names that stand in a link and on the page as they are: most.
_is_plain: Final = re.compile("(?!http)[A-Za-z0-9_.~-]+").fullmatch
_MINUTE: Final = 60 * NANOSECONDS
_NAME_WIDTH: Final = 50  # characters, as far as names allow
_MONTHS: Final = "JanFebMarAprMayJunJulAugSepOctNovDec"
_END: Final = b"</pre><hr></body>\n</html>\n"


class PlainIndexes:
    """Writes the index of a folder of any size, piece by piece, no faster than it is read."""

    def __init__(self, run_blocking: RunBlocking) -> None:
        self._run = run_blocking
        self._streams = WaitLimit(MAX_STREAMS_PER_FOLDER, MAX_STREAMS_PER_CLIENT)

    async def answer(self, request: Request, root: Root, names: tuple[str, ...]) -> None:
        """Every entry. An error before the first is an answer; after it, it cuts the body."""
        with self._streams.slot("/".join((root.path, *names)), request.peer):
            if request.method == b"HEAD":
                if not await self._run(root.path, disk.is_folder, root, names):
                    raise NotFound
                _begin(request)
            else:
                await self._write(request, root, names)
            if not request.is_gone:
                request.finish()

    async def _write(self, request: Request, root: Root, names: tuple[str, ...]) -> None:
        pieces = _pieces(root, names)

        async def read() -> bytes:
            return await self._run(root.path, next, pieces, b"", key=id(pieces))

        piece = await read()
        _begin(request)
        with BackpressuredWriter(request) as writer:
            await writer.write(_start(request.uri, has_parent=bool(names)) + piece)
            while piece and not writer.is_over:
                piece = await read()
                await writer.write(piece)
            await writer.write(_END)


def _pieces(root: Root, names: tuple[str, ...]) -> Iterator[bytes]:
    """The lines of a folder: sorted if they are few, else in the order of the file system.

    To sort a million entries takes as long as to send them, and programs need no order.
    """
    entries = disk.scan(root, names)
    first = list(islice(entries, MAX_SORTED + 1))
    if len(first) <= MAX_SORTED:
        first.sort(
            key=lambda entry: (not entry.is_folder, natural_order.key(os.fsencode(entry.name)))
        )
    rest = chain(first, entries)
    while piece := "".join(lines(islice(rest, PIECE))):  # no list, which the collector would visit
        yield piece.encode()


def _begin(request: Request) -> None:
    if request.route.kind is not RouteKind.INDEX:  # which has nothing but an index
        vary_by_accept(request)
    begin_page(request)


def _start(target: bytes, *, has_parent: bool) -> bytes:
    """The head of the index of the folder at this target.

    The title has the path as it was asked for, because GDAL takes no other page for an index. The
    folder at the top has no link to what is above it: no index is there.
    """
    path = target.partition(b"?")[0]
    title = html.escape(path.decode("utf-8", "replace"), quote=False)
    heading = _shown(paths.decode(path))
    parent = '<a href="../">../</a>\n' * has_parent
    return (
        '<!doctype html>\n<html>\n<head><meta charset="utf-8">\n'
        f"<title>Index of {title}</title></head>\n<body>\n"
        f"<h1>Index of {heading}</h1><hr><pre>\n{parent}"
    ).encode()


def lines(entries: Iterable[Entry]) -> Iterator[str]:
    """Each entry as a line: its link, when it was changed (UTC), and its size in bytes."""
    for entry in entries:
        name, is_folder, size, mtime_ns, _ = entry
        href = text = f"{name}/" if is_folder else name
        if not _is_plain(name):
            href, text = listing.href(entry), _shown(text)
        padding = " " * (_NAME_WIDTH - len(name) - is_folder)
        minute = _minute(mtime_ns // _MINUTE)
        yield f'<a href="{href}">{text}</a>{padding} {minute} {"-" if is_folder else size:>19}\n'


@lru_cache(1_000)
def _minute(minutes: int) -> str:
    """Minutes since the epoch as ``01-Mar-2026 12:30``, in English whatever the locale is."""
    time = messages.utc(minutes * 60)
    month = int(time[5:7]) - 1
    return f"{time[8:10]}-{_MONTHS[month * 3 : month * 3 + 3]}-{time[:4]} {time[11:16]}"


def _shown(text: str) -> str:
    """Text as markup, on one line whatever it contains."""
    return html.escape(escape_text(text), quote=False)
