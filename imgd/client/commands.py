"""The small commands: status, unload, timeout, link. Each returns an exit status."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from imgd.client.api import LINK_SECONDS
from imgd.client.desk import Desk
from imgd.client.discovery import Server
from imgd.core import messages
from imgd.core.messages import CollectionInfo, StatusInfo
from imgd.logs import escape, escape_json

_HEAD: Final = ("NAME", "IMAGES", "UNLOADS AT", "DIRECTORY")


async def status(desk: Desk, server: Server, *, as_json: bool) -> int:
    """Print what is loaded, as a table or as the daemon's own JSON, fit for a terminal."""
    found = await desk.client(server).status()
    if as_json:
        desk.give(escape_json(messages.encode(found).decode("utf-8")))
    else:
        for line in table(server.url, found):
            desk.tell(line)
    return 0


async def unload(desk: Desk, server: Server, name: str | None) -> int:
    """Unload a collection, or the current one."""
    desk.tell((await desk.client(server).unload(name)).message)
    return 0


async def timeout(desk: Desk, server: Server, minutes: int) -> int:
    """Restart every timer with this many minutes."""
    desk.tell((await desk.client(server).set_timeout(minutes)).message)
    return 0


async def link(
    desk: Desk, server: Server, place: str, expires: int | None, *, is_prefix: bool
) -> int:
    """Print a signed link to a URL or path of the server."""
    client = desk.client(server)
    made = await client.link(place, expires=expires or LINK_SECONDS, prefix=is_prefix)
    desk.tell(made.url)
    desk.say(f"good until {_when(made.expires_at)}")
    return 0


async def revoke_links(desk: Desk, server: Server) -> int:
    """Make every link worthless."""
    desk.tell((await desk.client(server).revoke_links()).message)
    return 0


def table(url: str, found: StatusInfo) -> Iterable[str]:
    """A status for a person to read."""
    yield f"imgd {escape(found.version)} at {url}"
    if not found.collections:
        yield "Nothing is loaded. To load a directory: imgd load DIR"
        return
    yield ""
    yield from _aligned([_HEAD, *map(_row, found.collections)])


def _row(collection: CollectionInfo) -> Sequence[str]:
    directory = collection.directory + (" (and below)" if collection.recursive else "")
    if not collection.available:
        directory += " (missing)"
    return (
        escape(collection.name),
        f"{collection.image_count:,}",
        escape(_when(collection.expires_at or "never")),
        escape(directory),
    )


def _when(utc: str) -> str:
    return utc.replace("T", " ").replace("Z", " UTC")


def _aligned(rows: Sequence[Sequence[str]]) -> Iterable[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for name, images, *rest in rows:
        cells = [name.ljust(widths[0]), images.rjust(widths[1])]
        cells += [cell.ljust(width) for cell, width in zip(rest, widths[2:], strict=True)]
        yield "  ".join(cells).rstrip()
