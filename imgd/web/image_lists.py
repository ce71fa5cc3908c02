"""The images of a collection as JSON: page by page, or all of them line by line."""

from __future__ import annotations

from typing import Final

from msgspec import Raw

from imgd.collections.manager import CollectionManager, LoadedCollection
from imgd.core import listing, media, messages, paths
from imgd.core.conditional import NANOSECONDS
from imgd.core.name_index import NameIndex
from imgd.core.wait_limits import WaitLimit
from imgd.errors import BadRequest, NotFound
from imgd.files import disk
from imgd.files.disk import Root
from imgd.host.blocking import RunBlocking
from imgd.web.backpressure import BackpressuredWriter
from imgd.web.endpoint import respond_json
from imgd.web.request import Request
from imgd.web.serializers import Urls

NDJSON: Final = b"application/x-ndjson"
# Streams at once, of one collection and for one client: each has one piece of work at a time.
STREAMS_OF_EACH: Final = 128
STREAMS_OF_CLIENT: Final = 32


class ImageLists:
    """Answers ``/collections/NAME/images``."""

    def __init__(
        self, manager: CollectionManager, urls: Urls, run_blocking: RunBlocking, waiting: WaitLimit
    ) -> None:
        self._manager = manager
        self._urls = urls
        self._run = run_blocking
        self._waiting = waiting
        self._streams = WaitLimit(STREAMS_OF_EACH, STREAMS_OF_CLIENT)

    async def answer(self, request: Request, loaded_collection: LoadedCollection) -> None:
        """A page, or with ``?format=ndjson`` everything."""
        query = request.query()
        match query.get("format", "json"):
            case "json":
                await self._page(
                    request, loaded_collection, _limit(query.get("limit")), query.get("after", "")
                )
            case "ndjson":
                await self._stream(request, loaded_collection)
            case other:
                raise BadRequest(f"format must be json or ndjson, not {paths.display(other)}.")

    async def _page(
        self, request: Request, loaded_collection: LoadedCollection, limit: int, after: str
    ) -> None:
        with self._waiting.turn(loaded_collection.root.path, request.peer):
            names = await self._manager.names(loaded_collection)
            written = await self._run(
                loaded_collection.root.path, self._written, loaded_collection, names, limit, after
            )
            respond_json(request, Raw(written))

    def _written(
        self, loaded_collection: LoadedCollection, names: NameIndex, limit: int, after: str
    ) -> bytes:
        start = names.place_after(after) if after else 0
        page = names.page(start, limit)
        more = start + len(page) < len(names)
        place = f"/collections/{loaded_collection.collection.name}/images"
        following = f"{place}?limit={limit}&after={paths.encode(page[-1])}" if more else None
        images = self._images(loaded_collection, page)
        return messages.encode(messages.ImagePage(images=images, count=len(names), next=following))

    async def _stream(self, request: Request, loaded_collection: LoadedCollection) -> None:
        with self._streams.turn(loaded_collection.root.path, request.peer):
            names = await self._manager.names(loaded_collection)
            request.setHeader(b"Content-Type", NDJSON)
            request.setHeader(b"Cache-Control", b"no-store")
            flow = BackpressuredWriter(request)
            if request.method == b"GET":
                await self._write_all(flow, loaded_collection, names)
            flow.finish()

    async def _write_all(
        self, flow: BackpressuredWriter, loaded_collection: LoadedCollection, names: NameIndex
    ) -> None:
        for start in range(0, len(names), listing.PAGE_SIZE):
            if flow.is_over:
                return
            path = loaded_collection.root.path
            await flow.write(await self._run(path, self._lines, loaded_collection, names, start))

    def _lines(self, loaded_collection: LoadedCollection, names: NameIndex, start: int) -> bytes:
        images = self._images(loaded_collection, names.page(start, listing.PAGE_SIZE))
        return b"".join(messages.encode(image) + b"\n" for image in images)

    def _images(
        self, loaded_collection: LoadedCollection, names: list[str]
    ) -> list[messages.Image]:
        """These images with what the disk says of them now; one that has gone is left out."""
        found = []
        for name in names:
            try:
                found.append(
                    self._image(loaded_collection.collection.name, loaded_collection.root, name)
                )
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
