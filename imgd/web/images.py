"""The images of a collection as JSON: page by page, or all of them line by line."""

from __future__ import annotations

from typing import Final

from msgspec import Raw

from imgd.core import listing, media, messages, paths
from imgd.core.conditional import NANOSECONDS
from imgd.core.names import Names
from imgd.core.waiting import Waiting
from imgd.errors import BadRequest, NotFound
from imgd.host import disk
from imgd.host.disk import Root
from imgd.keeper import Keeper, RunBlocking, Shelf
from imgd.web.endpoint import respond_json
from imgd.web.flow import Flow
from imgd.web.request import Request
from imgd.web.views import Urls

NDJSON: Final = b"application/x-ndjson"
# Streams at once, of one collection and for one client: each has one piece of work at a time.
STREAMS_OF_EACH: Final = 128
STREAMS_OF_CLIENT: Final = 32


class ImageLists:
    """Answers ``/collections/NAME/images``."""

    def __init__(
        self, keeper: Keeper, urls: Urls, run_blocking: RunBlocking, waiting: Waiting
    ) -> None:
        self._keeper = keeper
        self._urls = urls
        self._run = run_blocking
        self._waiting = waiting
        self._streams = Waiting(STREAMS_OF_EACH, STREAMS_OF_CLIENT)

    async def answer(self, request: Request, shelf: Shelf) -> None:
        """A page, or with ``?format=ndjson`` everything."""
        query = request.query()
        match query.get("format", "json"):
            case "json":
                await self._page(request, shelf, _limit(query.get("limit")), query.get("after", ""))
            case "ndjson":
                await self._stream(request, shelf)
            case other:
                raise BadRequest(f"format must be json or ndjson, not {paths.display(other)}.")

    async def _page(self, request: Request, shelf: Shelf, limit: int, after: str) -> None:
        with self._waiting.turn(shelf.root.path, request.peer):
            names = await self._keeper.names(shelf)
            written = await self._run(self._written, shelf.root, shelf, names, limit, after)
            respond_json(request, Raw(written))

    def _written(self, _root: Root, shelf: Shelf, names: Names, limit: int, after: str) -> bytes:
        start = names.place_after(after) if after else 0
        page = names.page(start, limit)
        more = start + len(page) < len(names)
        place = f"/collections/{shelf.collection.name}/images"
        following = f"{place}?limit={limit}&after={paths.encode(page[-1])}" if more else None
        images = self._images(shelf, page)
        return messages.encode(messages.ImagePage(images=images, count=len(names), next=following))

    async def _stream(self, request: Request, shelf: Shelf) -> None:
        with self._streams.turn(shelf.root.path, request.peer):
            names = await self._keeper.names(shelf)
            request.setHeader(b"Content-Type", NDJSON)
            request.setHeader(b"Cache-Control", b"no-store")
            flow = Flow(request)
            if request.method == b"GET":
                await self._write_all(flow, shelf, names)
            flow.finish()

    async def _write_all(self, flow: Flow, shelf: Shelf, names: Names) -> None:
        for start in range(0, len(names), listing.PAGE_SIZE):
            if flow.is_over:
                return
            await flow.write(await self._run(self._lines, shelf.root, shelf, names, start))

    def _lines(self, _root: Root, shelf: Shelf, names: Names, start: int) -> bytes:
        images = self._images(shelf, names.page(start, listing.PAGE_SIZE))
        return b"".join(messages.encode(image) + b"\n" for image in images)

    def _images(self, shelf: Shelf, names: list[str]) -> list[messages.Image]:
        """These images with what the disk says of them now; one that has gone is left out."""
        found = []
        for name in names:
            try:
                found.append(self._image(shelf.collection.name, shelf.root, name))
            except NotFound:
                continue
        return found

    def _image(self, collection: str, root: Root, name: str) -> messages.Image:
        facts = disk.stat_file(root, tuple(name.split("/")))
        return messages.Image(
            name=paths.display(name),
            url=self._urls.image(collection, name),
            size=facts.size,
            modified=messages.utc(facts.mtime_ns // NANOSECONDS),
            media_type=media.media_type(name),
        )


def _limit(given: str | None) -> int:
    if given is None:
        return listing.PAGE_SIZE
    if not (given.isascii() and given.isdigit() and 1 <= int(given[:9]) <= listing.MAX_PAGE_SIZE):
        raise BadRequest(f"limit must be a whole number from 1 to {listing.MAX_PAGE_SIZE}.")
    return int(given)
