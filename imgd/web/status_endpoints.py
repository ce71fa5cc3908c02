"""What imgd says of itself: its status, its health, its default timeout, and its own assets."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from msgspec import UNSET

from imgd import __version__
from imgd.collections.manager import CollectionManager
from imgd.core import listing, messages, paths
from imgd.errors import NotFound
from imgd.host.health_monitor import HealthMonitor
from imgd.web import pages
from imgd.web.access import Access
from imgd.web.endpoint import Endpoint, Reply, respond, respond_json, vary_by_accept
from imgd.web.files import Files
from imgd.web.request import Request
from imgd.web.serializers import Serializers


class RootEndpoint(Endpoint):
    """``/``: the status for programs, the document root's page for people."""

    def __init__(self, documents: Files, serializers: Serializers, access: Access) -> None:
        super().__init__()
        self._documents = documents
        self._serializers = serializers
        self._access = access

    def answer(self, request: Request) -> Coroutine[Any, Any, None] | None:
        """The listing if HTML is named, or anything of a listing's query; else the status."""
        if request.prefers(b"text/html") or not listing.KEYS.isdisjoint(request.query()):
            return self._documents.answer(request)
        vary_by_accept(request)
        return self._status(request)

    async def _status(self, request: Request) -> None:
        show_paths = self._access.is_controller(request)
        respond_json(request, await self._serializers.status(show_paths=show_paths))


def timeout(manager: CollectionManager) -> Reply:
    """``GET /timeout``: how long a load without its own timeout stays."""

    def answer(request: Request) -> None:
        minutes = manager.default_minutes
        respond_json(
            request, messages.TimeoutInfo(timeout_minutes=minutes, timeout_enabled=minutes > 0)
        )

    return Reply(answer)


def health(uptime: Callable[[], float], health_monitor: HealthMonitor) -> Reply:
    """``GET /health``: 200 while anything is answered, with the reasons why not all is well."""

    def answer(request: Request) -> None:
        reasons = health_monitor.reasons()
        report = messages.Health(
            status="degraded" if reasons else "healthy",
            version=__version__,
            uptime_seconds=round(uptime(), 3),
            reasons=reasons or UNSET,
        )
        respond_json(request, report)

    return Reply(answer)


def assets(ca_pem: Callable[[], bytes | None]) -> Reply:
    """``/-/NAME``: imgd's own files, and the certificate of its CA."""

    def answer(request: Request) -> None:
        name = paths.decode(request.route.below or b"")
        if name == "ca.pem" and (pem := ca_pem()) is not None:
            request.setHeader(b"Content-Disposition", b'attachment; filename="imgd-ca.pem"')
            respond(request, pem, b"application/x-pem-file")
        elif name in pages.ASSETS:
            media_type, body = pages.ASSETS[name]
            request.setHeader(b"Cache-Control", b"max-age=3600")
            respond(request, body, media_type.encode("ascii"))
        else:
            raise NotFound

    return Reply(answer, deep=True)
