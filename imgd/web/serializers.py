"""Collections as they are told to whoever asks: URLs that work, and paths only for controllers."""

from __future__ import annotations

import os
from typing import Final

from msgspec import Raw
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from imgd import __version__
from imgd.collections.manager import CollectionManager, LoadedCollection
from imgd.collections.scan import MAX_FIRST
from imgd.core import messages, paths, routes
from imgd.core.catalog import CURRENT, Collection
from imgd.host.single_flight import gather

MAX_STATUS_NAMES: Final = MAX_FIRST
_NO_NAMES: Final = Raw(b"[]")


class Urls:
    """The URLs that imgd hands out, below a base that can be changed while it runs."""

    def __init__(self, own: str, public: str | None = None) -> None:
        self.own = own
        self.public = public

    @property
    def base(self) -> str:
        """The base of every URL handed out, without a slash at its end."""
        return (self.public or self.own).rstrip("/")

    def image(self, collection: str, name: str) -> str:
        """The URL of one image; ``name`` has slashes where it lies in a folder."""
        return self.base + routes.file_path(collection, name.split("/"))

    def images(self, collection: str) -> str:
        """The URL of the list of a collection's images."""
        return self.base + routes.images_path(collection)


class Serializers:
    """Makes messages of collections. ``full``: the asker may control, and so may see paths.

    No directory that takes long keeps them waiting: what it does not say in time by ``clock`` is
    told as it was last known.
    """

    def __init__(self, manager: CollectionManager, urls: Urls, clock: IReactorTime) -> None:
        self._manager = manager
        self._urls = urls
        self._clock = clock

    async def collections(self, *, full: bool) -> list[messages.Collection]:
        """Every loaded collection, sorted by name."""
        return await self.some(self._manager.loaded_collections(), full=full)

    async def some(
        self, loaded_collections: list[LoadedCollection], *, full: bool
    ) -> list[messages.Collection]:
        """These collections, each asked whether its directory is there."""
        available = await self._manager.available(loaded_collections, self._clock)
        return self._told(loaded_collections, available, full=full)

    def _told(
        self, loaded_collections: list[LoadedCollection], available: list[bool], *, full: bool
    ) -> list[messages.Collection]:
        return [
            self.collection(
                self._manager.latest(loaded_collection).collection, full=full, available=is_there
            )
            for loaded_collection, is_there in zip(loaded_collections, available, strict=True)
        ]

    def collection(
        self, collection: Collection, *, full: bool, available: bool = True
    ) -> messages.Collection:
        """One collection as COLLECTION of the contract."""
        expires_at = self._manager.expires_at(collection)
        return messages.Collection(
            name=collection.name,
            directory=directory_name(collection.directory, full=full),
            recursive=collection.recursive,
            image_count=collection.image_count,
            loaded_at=messages.utc(collection.loaded_at),
            expires_at=None if expires_at is None else messages.utc(expires_at),
            url=self._urls.images(collection.name),
            current=collection.name == CURRENT,
            available=available,
        )

    async def status(self, *, full: bool) -> messages.StatusTold:
        """``GET /``: the current collection, and all of them."""
        loaded_collection = self._manager.get(CURRENT)
        if loaded_collection is None:
            return await self._nothing_loaded(full=full)
        loaded_collections = self._manager.loaded_collections()
        index, available = await gather(
            Deferred.fromCoroutine(self._manager.index(loaded_collection, self._clock)),
            Deferred.fromCoroutine(self._manager.available(loaded_collections, self._clock)),
        )
        collection = self._manager.latest(loaded_collection).collection
        count = collection.image_count if index is None else len(index.names)
        expires_at = self._manager.expires_at(collection)
        left = self._manager.seconds_left(collection)
        return messages.StatusTold(
            current_directory=directory_name(collection.directory, full=full),
            image_count=count,
            image_list=_NO_NAMES if index is None else index.first,
            image_list_truncated=count > (0 if index is None else MAX_STATUS_NAMES),
            load_time=messages.local(collection.loaded_at),
            auto_unload_at=None if expires_at is None else messages.local(expires_at),
            timeout_minutes=collection.timeout_minutes or None,
            time_remaining=None if left is None else messages.remaining(left),
            collections=self._told(loaded_collections, available, full=full),
            version=__version__,
        )

    async def _nothing_loaded(self, *, full: bool) -> messages.StatusTold:
        return messages.StatusTold(
            current_directory=None,
            image_count=0,
            image_list=_NO_NAMES,
            image_list_truncated=False,
            load_time=None,
            auto_unload_at=None,
            timeout_minutes=self._manager.default_minutes or None,
            time_remaining=None,
            collections=await self.collections(full=full),
            version=__version__,
        )


def directory_name(directory: str, *, full: bool) -> str:
    """A directory as this asker may see it: its path, or its last name only."""
    return paths.display(directory if full else os.path.basename(directory) or os.sep)
