"""``/images/`` and ``/collections``: what is loaded, and the files of it."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

from imgd.collections.manager import CollectionManager, LoadedCollection
from imgd.core import messages
from imgd.core.catalog import CURRENT
from imgd.errors import BadRequest, NotFound
from imgd.web.access import Access
from imgd.web.endpoint import respond_json
from imgd.web.files import Files
from imgd.web.folder_listings import FolderListings
from imgd.web.image_lists import ImageLists
from imgd.web.request import Request
from imgd.web.serializers import Serializers


class CollectionEndpoints:
    """Answers for collections. Each is looked up once a request: the answer is of one load."""

    def __init__(
        self,
        manager: CollectionManager,
        serializers: Serializers,
        access: Access,
        folders: FolderListings,
        images: ImageLists,
    ) -> None:
        self._manager = manager
        self._serializers = serializers
        self._access = access
        self._folders = folders
        self._images = images

    def current_files(self, request: Request) -> Coroutine[Any, Any, None] | None:
        """``/images/PATH``: a file or folder of the collection that was loaded without a name."""
        loaded_collection = self._manager.get(CURRENT)
        if loaded_collection is None:
            raise BadRequest("No directory loaded")
        return Files(loaded_collection.root, self._folders, self._manager.ask).answer(request)

    def files(self, request: Request) -> Coroutine[Any, Any, None] | None:
        """``/collections/NAME/files/PATH``."""
        return Files(self._find(request).root, self._folders, self._manager.ask).answer(request)

    def images(self, request: Request) -> Coroutine[Any, Any, None]:
        """``/collections/NAME/images``."""
        return self._images.answer(request, self._find(request))

    async def all(self, request: Request) -> None:
        """``/collections``."""
        show_paths = self._access.is_controller(request)
        collections = await self._serializers.collections(show_paths=show_paths)
        respond_json(request, messages.CollectionList(collections=collections))

    async def one(self, request: Request) -> None:
        """``/collections/NAME``."""
        loaded_collection = self._find(request)
        show_paths = self._access.is_controller(request)
        [collection] = await self._serializers.infos([loaded_collection], show_paths=show_paths)
        respond_json(request, collection)

    def _find(self, request: Request) -> LoadedCollection:
        name = request.route.collection
        if not messages.COLLECTION_NAME.fullmatch(name):
            raise NotFound
        return self._manager.find(name)
