"""A folder's listing, as JSON for programs and as a page for people."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from msgspec import Raw

from imgd.core import listing, messages
from imgd.core.listing import Page, Query
from imgd.core.wait_limits import WaitLimit
from imgd.files.disk import Root
from imgd.files.folder_indexes import FolderIndexes
from imgd.host.blocking import RunBlocking
from imgd.host.workers import JobProgress
from imgd.web import pages
from imgd.web.endpoint import respond_json, respond_page, vary_by_accept
from imgd.web.request import Request
from imgd.web.serializers import Serializers

# How many may wait for one folder or image list, and of one client for all of them. A page of 1,000
# entries takes some 15 ms: who is let in waits for a quarter of a second where one folder is asked
# for, and twice that for many. One folder leaves half of a client's share to others.
EACH_FOLDER: Final = 16
EACH_CLIENT: Final = 32

Written = Callable[[Page], bytes]


class FolderListings:
    """Answers for folders. They are read, sorted and written on another thread."""

    def __init__(
        self,
        views: Serializers,
        run_blocking: RunBlocking,
        indexes: FolderIndexes,
        waiting: WaitLimit,
    ) -> None:
        self._views = views
        self._run = run_blocking
        self._indexes = indexes
        self._waiting = waiting

    async def listing(
        self, request: Request, root: Root, base: str, names: tuple[str, ...]
    ) -> None:
        """List the folder ``names`` of ``root``, which is mounted at ``base``."""
        query = listing.parse_query(request.query())
        with self._waiting.turn("/".join((root.path, *names)), request.peer):
            if wants_json(request):
                written = await self._json(root, names, query, base)
                vary_by_accept(request)
                respond_json(request, Raw(written))
            else:
                written = await self._page(root, names, query, base)
                vary_by_accept(request)
                respond_page(request, written)

    async def _json(self, root: Root, names: tuple[str, ...], query: Query, base: str) -> bytes:
        def write(page: Page) -> bytes:
            return messages.encode(pages.folder_json(base, names, page, query))

        return await self._written(root, names, query, write, with_size=False)

    async def _page(self, root: Root, names: tuple[str, ...], query: Query, base: str) -> bytes:
        at_front = base == "/" and not names
        loaded_collections = await self._views.collections(full=False) if at_front else []

        def write(page: Page) -> bytes:
            return pages.folder_page(
                names=names, base=base, page=page, query=query, collections=loaded_collections
            )

        return await self._written(root, names, query, write, with_size=True)

    async def _written(
        self, root: Root, names: tuple[str, ...], query: Query, write: Written, *, with_size: bool
    ) -> bytes:
        number = self._indexes.next_number()

        def work(progress: JobProgress) -> bytes:
            page = self._indexes.page(root, names, query, number, progress, with_size=with_size)
            return write(page)

        folder = "/".join((root.path, *names))
        return await self._run(root.path, work, JobProgress(), key=folder)


def wants_json(request: Request) -> bool:
    """Whether a folder is asked for as JSON: ``?format=json``, or by ``Accept``."""
    return request.query().get("format") == "json" or (
        request.prefers(b"application/json") and not request.prefers(b"text/html")
    )
