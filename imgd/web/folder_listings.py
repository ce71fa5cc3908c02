"""Answers for folders: a page for people, JSON or a plain index for programs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from msgspec import Raw

from imgd.core import listing, messages, paths
from imgd.core.folder_json import listing_message
from imgd.core.listing import Page, Query
from imgd.core.routes import RouteKind
from imgd.core.wait_limits import WaitLimit
from imgd.files.disk import Root
from imgd.files.folder_indexes import FolderIndexes
from imgd.host.blocking import RunBlocking
from imgd.host.workers import JobProgress
from imgd.web import pages
from imgd.web.archives import Archives
from imgd.web.endpoint import respond_json, respond_page, vary_by_accept
from imgd.web.page_parts import root_name
from imgd.web.plain_index import PlainIndexes
from imgd.web.request import Request
from imgd.web.serializers import Serializers

# How many requests may wait for one folder or image list, and how many of one client for all. A
# page of 1,000 entries takes some 15 ms: the last in line waits a quarter of a second for one
# folder, and half a second for many. One folder leaves half of a client's share to others.
MAX_WAITING_PER_FOLDER: Final = 16
MAX_WAITING_PER_CLIENT: Final = 32

Serialize = Callable[[Page], bytes]


class FolderListings:
    """Reads, sorts and serializes folders on another thread."""

    def __init__(
        self,
        serializers: Serializers,
        run_blocking: RunBlocking,
        indexes: FolderIndexes,
        waiting: WaitLimit,
        archives: Archives,
        *,
        has_ca: bool = False,
        has_pictures: bool = False,
    ) -> None:
        self._serializers = serializers
        self._run = run_blocking
        self._indexes = indexes
        self._waiting = waiting
        self._has_ca = has_ca
        self._has_pictures = has_pictures
        self._archives = archives
        self._plain_indexes = PlainIndexes(run_blocking)

    @property
    def has_archives(self) -> bool:
        """Whether folders can be had as archives."""
        return self._archives.are_offered

    async def listing(
        self, request: Request, root: Root, base: str, names: tuple[str, ...]
    ) -> None:
        """List the folder ``names`` of ``root``, which is mounted at ``base``, or send an archive
        of it.
        """
        if request.query().get("archive"):
            title = names[-1] if names else root_name(base)
            await self._archives.answer(request, root, names, title)
            return
        if wants_index(request):
            await self._plain_indexes.answer(request, root, names)
            return
        query = listing.parse_query(request.query())
        with self._waiting.slot("/".join((root.path, *names)), request.peer):
            if wants_json(request):
                body = await self._json(request, root, names, query, base)
                vary_by_accept(request)
                respond_json(request, Raw(body))
            else:
                body = await self._html(request, root, names, query, base)
                vary_by_accept(request)
                respond_page(request, body)

    async def _json(
        self, request: Request, root: Root, names: tuple[str, ...], query: Query, base: str
    ) -> bytes:
        path = base + "".join(f"{paths.encode(name)}/" for name in names)
        next_path = self._serializers.urls.next_path(request, path)

        query = replace(query, layout=None)

        def serialize(page: Page) -> bytes:
            return messages.encode(listing_message(page, query, path, next_path))

        return await self._serialize(root, names, query, serialize, with_size=False)

    async def _html(
        self, request: Request, root: Root, names: tuple[str, ...], query: Query, base: str
    ) -> bytes:
        is_front = base == "/" and not names
        # A link to one page covers no picture of what is below it.
        has_pictures = self._has_pictures and request.covers_below
        collections = []
        if is_front:
            collections = await self._serializers.collections(request, show_paths=False)

        def serialize(page: Page) -> bytes:
            return pages.folder_page(
                names=names,
                base=base,
                page=page,
                query=query,
                collections=collections,
                has_ca=is_front and self._has_ca,
                has_archives=self.has_archives,
                has_pictures=has_pictures,
            )

        may_choose = has_pictures and is_browser(request)
        return await self._serialize(
            root, names, query, serialize, with_size=True, may_choose=may_choose
        )

    async def _serialize(
        self,
        root: Root,
        names: tuple[str, ...],
        query: Query,
        serialize: Serialize,
        *,
        with_size: bool,
        may_choose: bool = False,
    ) -> bytes:
        number = self._indexes.next_number()

        def work(progress: JobProgress) -> bytes:
            page = self._indexes.page(
                *(root, names, query, number, progress), with_size=with_size, may_choose=may_choose
            )
            return serialize(page)

        folder = "/".join((root.path, *names))
        return await self._run(root.path, work, JobProgress(), key=folder)


def wants_index(request: Request) -> bool:
    """Whether a folder's whole index is asked for: below its own path, or by a program that names
    neither a type nor a part of the listing, as programs do that copy folders.
    """
    if request.route.kind is RouteKind.INDEX:
        return True
    names_type = request.prefers(b"text/html") or request.prefers(b"application/json")
    return not names_type and listing.KEYS.isdisjoint(request.query())


def is_browser(request: Request) -> bool:
    """Whether a page is asked for by a browser that draws pictures: each names XHTML too, which
    robots and text browsers do not.
    """
    return request.prefers(b"application/xhtml+xml")


def wants_json(request: Request) -> bool:
    """Whether a folder is asked for as JSON: by ``?format=json``, or by ``Accept``."""
    return request.query().get("format") == "json" or (
        request.prefers(b"application/json") and not request.prefers(b"text/html")
    )
