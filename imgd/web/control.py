"""The control API: load, unload, timers, the public URL. JSON in, JSON out."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from imgd.collections.manager import CollectionManager, LoadSpec
from imgd.core import json_body, messages, paths
from imgd.core.catalog import CURRENT, Collection
from imgd.core.request_body import NOT_JSON, is_json
from imgd.dicom.indexes import DicomIndexes
from imgd.errors import BadRequest, NotFound, UnsupportedMediaType
from imgd.web.access import Access
from imgd.web.endpoint import Reply, respond_json
from imgd.web.own_hosts import OwnHosts
from imgd.web.request import Request
from imgd.web.serializers import Serializers, Urls

T = TypeVar("T")
_WHOLE_NUMBER: Final = re.compile(r"[0-9]{1,9}")
_MINUTES: Final = "MINUTES in /timeout/MINUTES"


def control(
    access: Access, act: Callable[[Request], Awaitable[object]], *, deep: bool = False
) -> Reply:
    """A resource that checks that the client may control, and only then reads what it sent."""

    async def answer(request: Request) -> None:
        access.require_control(request)
        respond_json(request, await act(request))

    return Reply(answer, methods=(b"POST",), deep=deep)


def read_json(request: Request, kind: type[T]) -> T:
    """The body as a message of this kind; BadRequest or UnsupportedMediaType if it is not."""
    if not is_json(tuple(request.requestHeaders.getRawHeaders(b"content-type", ()))):
        raise UnsupportedMediaType(NOT_JSON.reason)
    return json_body.decode(request.content.read(), kind)


class Actions:
    """What a controller can do."""

    def __init__(
        self,
        manager: CollectionManager,
        serializers: Serializers,
        urls: Urls,
        hosts: OwnHosts,
        dicom: DicomIndexes,
    ) -> None:
        self._manager = manager
        self._dicom = dicom
        self._serializers = serializers
        self._urls = urls
        self._hosts = hosts

    async def load(self, request: Request) -> messages.LoadResult:
        """``POST /load-directory``: load a directory, and replace the collection of its name."""
        body = read_json(request, messages.LoadRequest)
        spec = _load_spec(body)
        if body.dicom is True:
            self._dicom.require()
        loaded = await self._manager.load(spec)
        if body.dicom is True:
            self._dicom.prepare(loaded)
        collection = loaded.collection
        info = self._serializers.info(self._urls.base(request), collection, show_paths=True)
        noun = "files" if collection.all_files else "images"
        return messages.LoadResult(
            directory=info.directory,
            image_count=info.image_count,
            message=f"Loaded {info.image_count} {noun} from {info.directory}",
            timeout=self._describe_timeout(collection),
            collection=info,
            skipped=collection.skipped or messages.SkippedFiles(),
        )

    def _describe_timeout(self, collection: Collection) -> str:
        expires_at = self._manager.expires_at(collection)
        if expires_at is None:
            return "No auto-unload timeout set"
        return (
            f"Directory will be automatically unloaded at {messages.local(expires_at)} "
            f"({collection.timeout_minutes} minutes)"
        )

    async def unload(self, request: Request) -> messages.UnloadResult:
        """``POST /unload``: unload the named collection, or the current one."""
        has_body = bool(request.content.getvalue().strip())
        name = read_json(request, messages.UnloadRequest).name if has_body else None
        if await self._manager.unload(name or CURRENT):
            return messages.UnloadResult()
        if name is None:
            return messages.UnloadResult(status="info", message="No directory currently loaded")
        raise NotFound(f"No collection named {messages.valid_name(name)} is loaded.")

    async def timeout(self, request: Request) -> messages.TimeoutResult:
        """``POST /timeout/MINUTES``: restart the running timers, and set the default."""
        digits = paths.decode(request.route.below or b"")
        if not _WHOLE_NUMBER.fullmatch(digits):
            raise BadRequest(f"{_MINUTES} must be a whole number, 0 for never.")
        minutes = messages.valid_minutes(int(digits), _MINUTES)
        await self._manager.restart_timers(minutes)
        return messages.TimeoutResult(
            timeout_minutes=minutes,
            timeout_enabled=minutes > 0,
            message=f"Timeout set to {minutes} minutes"
            if minutes
            else "Auto-unload timeout disabled",
        )

    async def public_url(self, request: Request) -> messages.PublicUrlResult:
        """``POST /public-url``: set the base of all URLs; null for what each client asks."""
        url = read_json(request, messages.PublicUrlRequest).url
        self._urls.public = None if url is None else messages.valid_base_url(url)
        self._hosts.add_url(self._urls.public)
        base = self._urls.base(request)
        return messages.PublicUrlResult(
            public_url=self._urls.public,
            message=f"URLs now begin with {base}" + (", as you ask for it" if url is None else ""),
        )


def _load_spec(body: messages.LoadRequest) -> LoadSpec:
    """What to load; BadRequest names the field that is wrong."""
    minutes = body.timeout_minutes
    return LoadSpec(
        directory=body.directory_or_path,
        name=CURRENT if body.name is None else messages.valid_name(body.name),
        recursive=body.recursive,
        all_files=body.all_files,
        minutes=None if minutes is None else messages.valid_minutes(minutes),
    )
