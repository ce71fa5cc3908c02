"""A folder's listing, as JSON for programs and as a page for people."""

from __future__ import annotations

from imgd.core import listing
from imgd.core.listing import Page, Query
from imgd.host import disk
from imgd.host.disk import Root
from imgd.keeper import RunBlocking
from imgd.web import pages
from imgd.web.access import Access
from imgd.web.endpoint import respond_json, respond_page, vary_by_accept
from imgd.web.request import Request
from imgd.web.views import Views


class Folders:
    """Answers for folders. They are read on another thread, and only a page of one is kept."""

    def __init__(self, views: Views, access: Access, run_blocking: RunBlocking) -> None:
        self._views = views
        self._access = access
        self._run = run_blocking

    async def listing(
        self, request: Request, root: Root, base: str, names: tuple[str, ...]
    ) -> None:
        """List the folder ``names`` of ``root``, which is mounted at ``base``."""
        query = listing.parse_query(request.query())
        page: Page = await self._run(_select, root, names, query)
        vary_by_accept(request)
        if wants_json(request):
            respond_json(request, pages.folder_json(base, names, page, query))
            return
        at_front = base == "/" and not names
        full = self._access.is_controller(request)
        collections = await self._views.collections(full=full) if at_front else []
        respond_page(
            request,
            pages.folder_page(
                names=names, base=base, page=page, query=query, collections=collections
            ),
        )


def wants_json(request: Request) -> bool:
    """Whether a folder is asked for as JSON: ``?format=json``, or by ``Accept``."""
    return request.query().get("format") == "json" or (
        request.prefers(b"application/json") and not request.prefers(b"text/html")
    )


def _select(root: Root, names: tuple[str, ...], query: Query) -> Page:
    return listing.select(disk.scan(root, names), query)
