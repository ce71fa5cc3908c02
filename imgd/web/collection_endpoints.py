"""``/images/`` and ``/collections``: what is loaded, and the files of it."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

from imgd.collections.manager import CollectionManager, LoadedCollection
from imgd.core import messages, paths
from imgd.core.catalog import CURRENT
from imgd.errors import BadRequest, NotFound
from imgd.web.access import Access
from imgd.web.endpoint import Endpoint, respond_json
from imgd.web.files import Files
from imgd.web.folder_listings import FolderListings
from imgd.web.image_lists import ImageLists
from imgd.web.request import Request
from imgd.web.serializers import Serializers

Work = Coroutine[Any, Any, None] | None


class CurrentImages(Endpoint):
    """``/images/NAME``: the collection loaded last without a name."""

    def __init__(self, manager: CollectionManager, folders: FolderListings) -> None:
        super().__init__()
        self._manager = manager
        self._folders = folders

    def is_file(self, request: Request) -> bool:
        """Anything below, but a folder."""
        return request.path.count(b"/") > 1 and not request.path.endswith(b"/")

    def answer(self, request: Request) -> Work:
        """A file or folder of the current collection."""
        loaded_collection = self._manager.get(CURRENT)
        if loaded_collection is None:
            raise BadRequest("No directory loaded")
        return Files(loaded_collection.root, self._folders, "/images/").answer(request)


class Collections(Endpoint):
    """``/collections``, ``/collections/NAME`` and what is below."""

    def __init__(
        self,
        manager: CollectionManager,
        views: Serializers,
        access: Access,
        folders: FolderListings,
        images: ImageLists,
    ) -> None:
        super().__init__()
        self._manager = manager
        self._views = views
        self._access = access
        self._folders = folders
        self._images = images

    def is_file(self, request: Request) -> bool:
        """A path below ``files/``, unless it is a folder's."""
        names = _below(request)
        return len(names) > 2 and names[1] == "files" and not request.path.endswith(b"/")

    def answer(self, request: Request) -> Work:
        """The collection is looked up once: the answer is of one load."""
        match _below(request):
            case [] | [""]:
                return self._all(request)
            case [name] | [name, ""]:
                return self._one(request, self._find(name))
            case [name, "images"] | [name, "images", ""]:
                return self._images.answer(request, self._find(name))
            case [name, "files", *_]:
                base = f"/collections/{name}/files/"
                return Files(self._find(name).root, self._folders, base).answer(request)
        raise NotFound

    def _find(self, name: str) -> LoadedCollection:
        """The collection of this name as it is now, or NotFound."""
        if not messages.COLLECTION_NAME.fullmatch(name):
            raise NotFound
        return self._manager.find(name)

    async def _all(self, request: Request) -> None:
        show_paths = self._access.is_controller(request)
        told = await self._views.collections(show_paths=show_paths)
        respond_json(request, messages.CollectionList(collections=told))

    async def _one(self, request: Request, loaded_collection: LoadedCollection) -> None:
        show_paths = self._access.is_controller(request)
        [told] = await self._views.infos([loaded_collection], show_paths=show_paths)
        respond_json(request, told)


def _below(request: Request) -> list[str]:
    """The segments of the path below ``/collections``, decoded."""
    return [paths.decode(segment) for segment in request.path.split(b"/")[2:]]
