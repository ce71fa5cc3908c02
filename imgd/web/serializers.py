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
from imgd.host.single_flight import gather

MAX_STATUS_NAMES: Final = MAX_FIRST
_NO_NAMES: Final = Raw(b"[]")
_MORE_NAMES: Final = "{:,} of {:,} names are listed here; GET /?image_list=all lists every one."


class Urls:
    """The URLs that imgd gives, below a base that can be changed while it runs."""

    def __init__(self, own: str, public: str | None = None) -> None:
        self.own = own
        self.public = public

    @property
    def base(self) -> str:
        """The base of every URL, without a slash at its end."""
        return (self.public or self.own).rstrip("/")

    def image(self, collection: str, name: str) -> str:
        """The URL of one image; ``name`` contains slashes if it lies in a folder."""
        return self.base + routes.file_path(collection, name.split("/"))

    def images(self, collection: str) -> str:
        """The URL of the list of a collection's images."""
        return self.base + routes.images_path(collection)


class Serializers:
    """Makes messages of collections. ``show_paths``: the client may control, and so see paths.

    They do not wait long for a directory: if it does not answer in time by ``clock``, the message
    has what was last known of it.
    """

    def __init__(self, manager: CollectionManager, urls: Urls, clock: IReactorTime) -> None:
        self._manager = manager
        self._urls = urls
        self._clock = clock

    async def collections(self, *, show_paths: bool) -> list[CollectionInfo]:
        """Every loaded collection, sorted by name."""
        return await self.infos(self._manager.loaded_collections(), show_paths=show_paths)

    async def infos(
        self, loaded_collections: list[LoadedCollection], *, show_paths: bool
    ) -> list[CollectionInfo]:
        """These collections, and whether the directory of each is there."""
        available = await self._manager.available(loaded_collections, self._clock)
        return self._infos(loaded_collections, available, show_paths=show_paths)

    def _infos(
        self, loaded_collections: list[LoadedCollection], available: list[bool], *, show_paths: bool
    ) -> list[CollectionInfo]:
        return [
            self.info(
                self._manager.latest(loaded).collection,
                show_paths=show_paths,
                available=is_available,
            )
            for loaded, is_available in zip(loaded_collections, available, strict=True)
        ]

    def info(
        self, collection: Collection, *, show_paths: bool, available: bool = True
    ) -> CollectionInfo:
        """One collection."""
        expires_at = self._manager.expires_at(collection)
        return CollectionInfo(
            name=collection.name,
            directory=directory_name(collection.directory, show_path=show_paths),
            recursive=collection.recursive,
            image_count=collection.image_count,
            loaded_at=messages.utc(collection.loaded_at),
            expires_at=None if expires_at is None else messages.utc(expires_at),
            url=self._urls.images(collection.name),
            current=collection.name == CURRENT,
            available=available,
            all_files=collection.all_files,
            skipped=_skipped(collection, show_suffixes=show_paths),
        )

    async def status(self, *, show_paths: bool) -> EncodedStatus:
        """``GET /``: the current collection, and all of them."""
        loaded = self._manager.get(CURRENT)
        if loaded is None:
            return await self._status_without_current(show_paths=show_paths)
        return await self.status_of(loaded, show_paths=show_paths)

    async def status_of(self, loaded: LoadedCollection, *, show_paths: bool) -> EncodedStatus:
        """The status while this load is the current collection."""
        loaded_collections = self._manager.loaded_collections()
        index, available = await gather(
            Deferred.fromCoroutine(self._manager.index(loaded, self._clock)),
            Deferred.fromCoroutine(self._manager.available(loaded_collections, self._clock)),
        )
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
            collections=self._infos(loaded_collections, available, show_paths=show_paths),
            version=__version__,
        )

    async def _status_without_current(self, *, show_paths: bool) -> EncodedStatus:
        return EncodedStatus(
            current_directory=None,
            image_count=0,
            image_list=_NO_NAMES,
            image_list_truncated=False,
            load_time=None,
            auto_unload_at=None,
            timeout_minutes=self._manager.default_minutes or None,
            time_remaining=None,
            collections=await self.collections(show_paths=show_paths),
            version=__version__,
        )


def directory_name(directory: str, *, show_path: bool) -> str:
    """A directory's path, or only its last name."""
    return paths.display(directory if show_path else os.path.basename(directory) or os.sep)


def _skipped(collection: Collection, *, show_suffixes: bool) -> messages.SkippedFiles | None:
    """What was passed over. A suffix is part of the name of a file that nobody may read."""
    skipped = collection.skipped
    return skipped if skipped is None or show_suffixes else replace(skipped, suffixes={})
