"""The control API: load, unload, timers, the public URL. JSON in, JSON out; contract section 2."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from imgd.collections.manager import CollectionManager, LoadSpec
from imgd.core import messages, paths
from imgd.core.catalog import CURRENT, Collection
from imgd.core.request_body import NOT_JSON, is_json
from imgd.errors import BadRequest, NotFound, UnsupportedMediaType
from imgd.web.access import Access
from imgd.web.endpoint import Reply, respond_json
from imgd.web.own_hosts import OwnHosts
from imgd.web.request import Request
from imgd.web.serializers import Serializers, Urls

T = TypeVar("T")
_WHOLE_NUMBER: Final = re.compile(r"[0-9]{1,9}")


def control(
    access: Access, act: Callable[[Request], Awaitable[object]], *, deep: bool = False
) -> Reply:
    """A resource that judges the asker before it reads a word of what is asked."""

    async def answer(request: Request) -> None:
        access.require_control(request)
        respond_json(request, await act(request))

    return Reply(answer, methods=(b"POST",), deep=deep)


def read_json(request: Request, kind: type[T]) -> T:
    """The body as a message of this kind; BadRequest or UnsupportedMediaType if it is not."""
    if not is_json(tuple(request.requestHeaders.getRawHeaders(b"content-type", ()))):
        raise UnsupportedMediaType(NOT_JSON.reason)
    return messages.decode(request.content.read(), kind)


class Actions:
    """What a controller can do."""

    def __init__(
        self, manager: CollectionManager, views: Serializers, urls: Urls, hosts: OwnHosts
    ) -> None:
        self._manager = manager
        self._views = views
        self._urls = urls
        self._hosts = hosts

    async def load(self, request: Request) -> messages.Loaded:
        """``POST /load-directory``: load, in place of what had the name."""
        asked = read_json(request, messages.LoadRequest)
        minutes = asked.timeout_minutes
        order = LoadSpec(
            directory=asked.wanted,
            name=CURRENT if asked.name is None else messages.valid_name(asked.name),
            recursive=asked.recursive,
            minutes=None if minutes is None else messages.valid_minutes(minutes),
        )
        collection = (await self._manager.load(order)).collection
        told = self._views.collection(collection, full=True)
        return messages.Loaded(
            directory=told.directory,
            image_count=told.image_count,
            message=f"Loaded {told.image_count} images from {told.directory}",
            timeout=self._told_timeout(collection),
            collection=told,
        )

    def _told_timeout(self, collection: Collection) -> str:
        expires_at = self._manager.expires_at(collection)
        if expires_at is None:
            return "No auto-unload timeout set"
        when = messages.local(expires_at)
        return (
            f"Directory will be automatically unloaded at {when} "
            f"({collection.timeout_minutes} minutes)"
        )

    async def unload(self, request: Request) -> messages.Unloaded:
        """``POST /unload``: the named collection, or the current one."""
        has_body = bool(request.content.getvalue().strip())
        asked = read_json(request, messages.UnloadRequest) if has_body else messages.UnloadRequest()
        if await self._manager.unload(asked.name or CURRENT):
            return messages.Unloaded()
        if asked.name is None:
            return messages.Unloaded(status="info", message="No directory currently loaded")
        raise NotFound(f"No collection named {messages.valid_name(asked.name)} is loaded.")

    async def timeout(self, request: Request) -> messages.TimeoutSet:
        """``POST /timeout/MINUTES``: restart the running timers, and set the default."""
        digits = paths.decode(request.route.below or b"")
        if not _WHOLE_NUMBER.fullmatch(digits):
            raise BadRequest("MINUTES in /timeout/MINUTES must be a whole number, 0 for never.")
        minutes = messages.valid_minutes(int(digits), "MINUTES in /timeout/MINUTES")
        await self._manager.restart_timers(minutes)
        said = f"Timeout set to {minutes} minutes" if minutes else "Auto-unload timeout disabled"
        return messages.TimeoutSet(
            timeout_minutes=minutes, timeout_enabled=minutes > 0, message=said
        )

    async def public_url(self, request: Request) -> messages.PublicUrlSet:
        """``POST /public-url``: the base of the URLs handed out from now on, null for its own."""
        asked = read_json(request, messages.PublicUrlRequest)
        self._urls.public = None if asked.url is None else messages.valid_base_url(asked.url)
        self._hosts.add_url(self._urls.public)
        return messages.PublicUrlSet(
            public_url=self._urls.public, message=f"URLs now begin with {self._urls.base}"
        )
