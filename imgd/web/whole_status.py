"""The status with the name of every image, however many there are: ``GET /?image_list=all``."""

from __future__ import annotations

from typing import Final

from msgspec import Raw

from imgd.collections.manager import CollectionManager, LoadedCollection
from imgd.core import messages, paths
from imgd.core.catalog import CURRENT
from imgd.core.messages import EncodedStatus
from imgd.core.name_index import NameIndex
from imgd.core.wait_limits import WaitLimit
from imgd.host.blocking import RunBlocking
from imgd.web.backpressure import BackpressuredWriter
from imgd.web.endpoint import JSON, respond_json
from imgd.web.image_lists import MAX_STREAMS_PER_CLIENT, MAX_STREAMS_PER_COLLECTION
from imgd.web.request import Request
from imgd.web.serializers import Serializers

PIECE: Final = 10_000  # names: a piece takes some milliseconds to make, on a thread
_LIST: Final = b'"image_list":['  # with its quotes, which are escaped in every value before it


class WholeStatus:
    """Streams the status: of 1,000,000 names, only those on the way are in memory twice."""

    def __init__(
        self, manager: CollectionManager, serializers: Serializers, run_blocking: RunBlocking
    ) -> None:
        self._manager = manager
        self._serializers = serializers
        self._run = run_blocking
        self._streams = WaitLimit(MAX_STREAMS_PER_COLLECTION, MAX_STREAMS_PER_CLIENT)

    async def answer(self, request: Request, *, show_paths: bool) -> None:
        """An error before the first byte is an answer; after it, it cuts the body."""
        loaded = self._manager.get(CURRENT)
        if loaded is None:
            respond_json(request, await self._serializers.status(request, show_paths=show_paths))
            return
        with self._streams.slot(loaded.root.path, request.peer):
            index = await self._manager.index(loaded)
            status = await self._serializers.status_of(request, loaded, show_paths=show_paths)
            if index is None:  # the directory is gone, and no name of it is known
                respond_json(request, status)
                return
            status.image_count, status.image_list = len(index.names), Raw(b"[]")
            status.image_list_truncated, status.image_list_note = False, None
            await self._stream(request, status, loaded, index.names)

    async def _stream(
        self, request: Request, status: EncodedStatus, loaded: LoadedCollection, names: NameIndex
    ) -> None:
        before, key, after = messages.encode(status).partition(_LIST)
        request.setHeader(b"Content-Type", JSON)
        request.setHeader(b"Cache-Control", b"no-store")
        if request.method == b"GET":
            with BackpressuredWriter(request) as writer:
                await writer.write(before + key)
                await self._write_names(writer, loaded, names)
                await writer.write(after)
        if not request.is_gone:
            request.finish()

    async def _write_names(
        self, writer: BackpressuredWriter, loaded: LoadedCollection, names: NameIndex
    ) -> None:
        for start in range(0, len(names), PIECE):
            if writer.is_over:
                return
            piece = await self._run(loaded.root.path, _encoded, names, start)
            await writer.write(b"," + piece if start else piece)


def _encoded(names: NameIndex, start: int) -> bytes:
    """A piece of the names as JSON strings, with commas between them."""
    return messages.encode([paths.display(name) for name in names.page(start, PIECE)])[1:-1]
