"""What imgd says of itself: its status, its health, and its default timeout."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from msgspec import UNSET

from imgd import __version__
from imgd.collections.manager import CollectionManager
from imgd.core import listing, messages, paths
from imgd.errors import BadRequest
from imgd.host.health_monitor import HealthMonitor
from imgd.web.access import Access
from imgd.web.endpoint import Endpoint, Reply, respond_json, vary_by_accept
from imgd.web.files import Files
from imgd.web.request import Request
from imgd.web.serializers import Serializers
from imgd.web.whole_status import WholeStatus


class RootEndpoint(Endpoint):
    """``/``: the status for programs, the document root's page for people."""

    def __init__(
        self, documents: Files, serializers: Serializers, whole: WholeStatus, access: Access
    ) -> None:
        super().__init__()
        self._documents = documents
        self._serializers = serializers
        self._whole = whole
        self._access = access

    def answer(self, request: Request) -> Coroutine[Any, Any, None] | None:
        """The status with all names if asked for; the listing if HTML is named, or an archive or
        anything of a listing's query; else the status.
        """
        if b"image_list" in request.args:
            return self._whole_status(request)
        wants_folder = b"archive" in request.args or not listing.KEYS.isdisjoint(request.query())
        if request.prefers(b"text/html") or wants_folder:
            return self._documents.answer(request)
        vary_by_accept(request)
        return self._status(request)

    async def _whole_status(self, request: Request) -> None:
        if (wanted := request.query()["image_list"]) != "all":
            raise BadRequest(f"image_list must be all, not {paths.display(wanted)}.")
        await self._whole.answer(request, show_paths=self._access.is_controller(request))

    async def _status(self, request: Request) -> None:
        show_paths = self._access.is_controller(request)
        respond_json(request, await self._serializers.status(request, show_paths=show_paths))


def timeout(manager: CollectionManager) -> Reply:
    """``GET /timeout``: how long a load without its own timeout stays."""

    def answer(request: Request) -> None:
        minutes = manager.default_minutes
        respond_json(
            request, messages.TimeoutInfo(timeout_minutes=minutes, timeout_enabled=minutes > 0)
        )

    return Reply(answer)


def health(
    uptime: Callable[[], float],
    health_monitor: HealthMonitor,
    pictures: Callable[[], messages.PicturesReport | None],
) -> Reply:
    """``GET /health``: 200 while anything is answered, with the reasons why not all is well."""

    def answer(request: Request) -> None:
        reasons = health_monitor.reasons()
        report = messages.Health(
            status="degraded" if reasons else "healthy",
            version=__version__,
            uptime_seconds=round(uptime(), 3),
            reasons=reasons or UNSET,
            pictures=pictures() or UNSET,
        )
        respond_json(request, report)

    return Reply(answer)
