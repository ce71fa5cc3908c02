"""Makes the messages that describe collections: URLs that work, and paths for controllers only."""

from __future__ import annotations

import os
from typing import Final

from msgspec import Raw
from msgspec.structs import replace
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from imgd import __version__
from imgd.collections.manager import CollectionManager, LoadedCollection
from imgd.collections.scan import MAX_FIRST
from imgd.core import messages, paths, routes
from imgd.core.catalog import CURRENT, Collection
from imgd.core.messages import CollectionInfo, EncodedStatus
from imgd.core.urls import parse_url
from imgd.host.single_flight import gather
from imgd.web.own_hosts import OwnHosts
from imgd.web.request import Request

MAX_STATUS_NAMES: Final = MAX_FIRST
_NO_NAMES: Final = Raw(b"[]")
_MORE_NAMES: Final = "{:,} of {:,} names are listed here; GET /?image_list=all lists every one."


class Urls:
    """What the URLs begin with that imgd gives: ``public``, which can be changed while it runs.

    Without it, the origin that the client asked, by ``hosts``; and ``own`` if that is not known to
    be this daemon's.
    """

    def __init__(self, own: str, public: str | None = None, hosts: OwnHosts | None = None) -> None:
        self._own = own.rstrip("/")
        self.public = public
        self._hosts = hosts or OwnHosts()

    def base(self, request: Request) -> str:
        """The base of every URL in the answer to a request, without a slash at its end."""
        if self.public is not None:
            return self.public.rstrip("/")
        return str(self._hosts.origin(request) or self._own)

    def next_path(self, request: Request, path: str) -> str:
        """The path in ``next``, the reference to a further page of what was asked for, at ``path``.

        It is "" if the client may have asked for a longer one, by a signed link or a public URL
        with a path: the query alone keeps whatever that was (RFC 3986 section 5.2.2).
        """
        public = parse_url(self.public or "")
        is_below = public is not None and public.target != "/"
        return "" if is_below or routes.is_signed(request.uri) else path


class Serializers:
    """Makes messages of collections. ``show_paths``: the client may control, and so see paths.

    They do not wait long for a directory: if it does not answer in time by ``clock``, the message
    has what was last known of it.
    """

    def __init__(self, manager: CollectionManager, urls: Urls, clock: IReactorTime) -> None:
        self.urls = urls
        self._manager = manager
        self._clock = clock

    async def collections(self, request: Request, *, show_paths: bool) -> list[CollectionInfo]:
        """Every loaded collection, sorted by name."""
        loaded_collections = self._manager.loaded_collections()
        return await self.infos(request, loaded_collections, show_paths=show_paths)

    async def infos(
        self, request: Request, loaded_collections: list[LoadedCollection], *, show_paths: bool
    ) -> list[CollectionInfo]:
        """These collections, and whether the directory of each is there."""
        available = await self._manager.available(loaded_collections, self._clock)
        base = self.urls.base(request)
        return self._infos(base, loaded_collections, available, show_paths=show_paths)

    def _infos(
        self,
        base: str,
        loaded_collections: list[LoadedCollection],
        available: list[bool],
        *,
        show_paths: bool,
    ) -> list[CollectionInfo]:
        return [
            self.info(
                base,
                self._manager.latest(loaded).collection,
                show_paths=show_paths,
                available=is_available,
            )
            for loaded, is_available in zip(loaded_collections, available, strict=True)
        ]

    def info(
        self,
        base: str,
        collection: Collection,
        *,
        show_paths: bool,
        available: bool = True,
    ) -> CollectionInfo:
        """One collection, whose URL begins with ``base``."""
        expires_at = self._manager.expires_at(collection)
        return CollectionInfo(
            name=collection.name,
            directory=directory_name(collection.directory, show_path=show_paths),
            recursive=collection.recursive,
            image_count=collection.image_count,
            loaded_at=messages.utc(collection.loaded_at),
            expires_at=None if expires_at is None else messages.utc(expires_at),
            url=base + routes.images_path(collection.name),
            current=collection.name == CURRENT,
            available=available,
            all_files=collection.all_files,
            skipped=_skipped(collection, show_suffixes=show_paths),
        )

    async def status(self, request: Request, *, show_paths: bool) -> EncodedStatus:
        """``GET /``: the current collection, and all of them."""
        loaded = self._manager.get(CURRENT)
        if loaded is None:
            return await self._status_without_current(request, show_paths=show_paths)
        return await self.status_of(request, loaded, show_paths=show_paths)

    async def status_of(
        self, request: Request, loaded: LoadedCollection, *, show_paths: bool
    ) -> EncodedStatus:
        """The status while this load is the current collection."""
        loaded_collections = self._manager.loaded_collections()
        index, available = await gather(
            Deferred.fromCoroutine(self._manager.index(loaded, self._clock)),
            Deferred.fromCoroutine(self._manager.available(loaded_collections, self._clock)),
        )
        base = self.urls.base(request)
        collection = self._manager.latest(loaded).collection
        count = collection.image_count if index is None else len(index.names)
        shown = 0 if index is None else min(count, MAX_STATUS_NAMES)
        expires_at = self._manager.expires_at(collection)
        seconds_left = self._manager.seconds_left(collection)
        return EncodedStatus(
            current_directory=directory_name(collection.directory, show_path=show_paths),
            image_count=count,
            image_list=_NO_NAMES if index is None else index.first,
            image_list_truncated=count > shown,
            image_list_note=_MORE_NAMES.format(shown, count) if count > shown else None,
            load_time=messages.local(collection.loaded_at),
            auto_unload_at=None if expires_at is None else messages.local(expires_at),
            timeout_minutes=collection.timeout_minutes or None,
            time_remaining=None if seconds_left is None else messages.remaining(seconds_left),
            collections=self._infos(base, loaded_collections, available, show_paths=show_paths),
            version=__version__,
        )

    async def _status_without_current(self, request: Request, *, show_paths: bool) -> EncodedStatus:
        return EncodedStatus(
            current_directory=None,
            image_count=0,
            image_list=_NO_NAMES,
            image_list_truncated=False,
            load_time=None,
            auto_unload_at=None,
            timeout_minutes=self._manager.default_minutes or None,
            time_remaining=None,
            collections=await self.collections(request, show_paths=show_paths),
            version=__version__,
        )


def directory_name(directory: str, *, show_path: bool) -> str:
    """A directory's path, or only its last name."""
    return paths.display(directory if show_path else os.path.basename(directory) or os.sep)


def _skipped(collection: Collection, *, show_suffixes: bool) -> messages.SkippedFiles | None:
    """What was passed over. A suffix is part of the name of a file that nobody may read."""
    skipped = collection.skipped
    return skipped if skipped is None or show_suffixes else replace(skipped, suffixes={})
