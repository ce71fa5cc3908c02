"""The images of a collection as JSON: one page, or all of them line by line."""

from __future__ import annotations

from typing import Final, NamedTuple

from msgspec import Raw

from imgd.collections.manager import CollectionManager, LoadedCollection
from imgd.core import listing, messages, paths, routes
from imgd.core.listing import Entry
from imgd.core.name_index import NameIndex
from imgd.core.wait_limits import WaitLimit
from imgd.errors import BadRequest, NotFound
from imgd.files import disk
from imgd.host.blocking import RunBlocking
from imgd.web.backpressure import BackpressuredWriter
from imgd.web.endpoint import respond_json
from imgd.web.request import Request
from imgd.web.serializers import Urls

NDJSON: Final = b"application/x-ndjson"
# Streams at once; each of them has one piece of work at a time.
MAX_STREAMS_PER_COLLECTION: Final = 128
MAX_STREAMS_PER_CLIENT: Final = 32


class _PageQuery(NamedTuple):
    """``base`` is that of the images' URLs, ``path`` that in ``next``."""

    limit: int
    after: str
    base: str
    path: str


class ImageLists:
    """Answers ``/collections/NAME/images``."""

    def __init__(
        self, manager: CollectionManager, urls: Urls, run_blocking: RunBlocking, pages: WaitLimit
    ) -> None:
        self._manager = manager
        self._urls = urls
        self._run = run_blocking
        self._pages = pages
        self._streams = WaitLimit(MAX_STREAMS_PER_COLLECTION, MAX_STREAMS_PER_CLIENT)

    async def answer(self, request: Request, loaded: LoadedCollection) -> None:
        """A page, or every image with ``?format=ndjson``."""
        query = request.query()
        match query.get("format", "json"):
            case "json":
                limit = listing.parse_limit(query.get("limit", str(listing.PAGE_SIZE)))
                await self._answer_page(request, loaded, limit, query.get("after", ""))
            case "ndjson":
                await self._answer_stream(request, loaded)
            case other:
                raise BadRequest(f"format must be json or ndjson, not {paths.display(other)}.")

    async def _answer_page(
        self, request: Request, loaded: LoadedCollection, limit: int, after: str
    ) -> None:
        with self._pages.slot(loaded.root.path, request.peer):
            names = await self._manager.names(loaded)
            path = self._urls.next_path(request, routes.images_path(loaded.collection.name))
            query = _PageQuery(limit, after, self._urls.base(request), path)
            page = await self._run(loaded.root.path, _page, loaded, names, query)
            respond_json(request, Raw(page))

    async def _answer_stream(self, request: Request, loaded: LoadedCollection) -> None:
        """Every image. An error before the first line is an answer; after it, it cuts the body."""
        with self._streams.slot(loaded.root.path, request.peer):
            names = await self._manager.names(loaded)
            request.setHeader(b"Content-Type", NDJSON)
            request.setHeader(b"Cache-Control", b"no-store")
            if request.method == b"GET":
                with BackpressuredWriter(request) as writer:
                    await self._write_all(writer, loaded, names, self._urls.base(request))
            if not request.is_gone:
                request.finish()

    async def _write_all(
        self, writer: BackpressuredWriter, loaded: LoadedCollection, names: NameIndex, base: str
    ) -> None:
        for start in range(0, len(names), listing.PAGE_SIZE):
            if writer.is_over:
                return
            path = loaded.root.path
            await writer.write(await self._run(path, _lines, loaded, names, start, base))


def _page(loaded: LoadedCollection, names: NameIndex, query: _PageQuery) -> bytes:
    start = names.index_after(query.after) if query.after else 0
    page = names.page(start, query.limit)
    has_next = start + len(page) < len(names)
    following = query.path + routes.images_query(query.limit, page[-1]) if has_next else None
    images = _images(loaded, page, query.base)
    return messages.encode(messages.ImagePage(images=images, count=len(names), next=following))


def _lines(loaded: LoadedCollection, names: NameIndex, start: int, base: str) -> bytes:
    images = _images(loaded, names.page(start, listing.PAGE_SIZE), base)
    return b"".join(messages.encode(image) + b"\n" for image in images)


def _images(loaded: LoadedCollection, names: list[str], base: str) -> list[messages.Image]:
    """These images as they are on disk now; one that is gone is left out."""
    images = []
    for name in names:
        path = tuple(name.split("/"))
        try:
            entry = disk.stat_file(loaded.root, path)
        except NotFound:
            continue
        url = base + routes.file_path(loaded.collection.name, path)
        images.append(image_message(name, url, entry))
    return images


def image_message(name: str, url: str, entry: Entry) -> messages.Image:
    """An image of a collection; ``name`` contains slashes if it lies in a folder."""
    return messages.Image(
        name=paths.display(name),
        url=url,
        size=entry.size,
        modified=listing.modified(entry),
        media_type=listing.media_type(entry),
    )
