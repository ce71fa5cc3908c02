"""``/images/`` and ``/collections``: what is loaded, and the files of it."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

from imgd.collections.manager import CollectionManager, LoadedCollection
from imgd.core import messages, paths
from imgd.core.catalog import CURRENT
from imgd.errors import BadRequest, NotFound
from imgd.pictures.maker import Pictures
from imgd.web.access import Access
from imgd.web.collection_pages import collection_page, collections_page
from imgd.web.endpoint import respond_json, respond_page, vary_by_accept
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
        maker: Pictures,
    ) -> None:
        self._manager = manager
        self._serializers = serializers
        self._access = access
        self._folders = folders
        self._images = images
        self._maker = maker

    def current_files(self, request: Request) -> Coroutine[Any, Any, None] | None:
        """``/images/PATH``: a file or folder of the collection that was loaded without a name."""
        loaded_collection = self._manager.get(CURRENT)
        if loaded_collection is None:
            raise BadRequest("No directory loaded")
        try:
            answering = self._files_of(loaded_collection).answer(request)
        except NotFound:
            raise _image_not_found(request) from None
        return None if answering is None else _in_old_words(answering, request)

    def files(self, request: Request) -> Coroutine[Any, Any, None] | None:
        """``/collections/NAME/files/PATH``."""
        return self._files_of(self._find(request)).answer(request)

    def _files_of(self, loaded_collection: LoadedCollection) -> Files:
        return Files(loaded_collection.root, self._folders, self._manager.ask, self._maker)

    def images(self, request: Request) -> Coroutine[Any, Any, None]:
        """``/collections/NAME/images``."""
        return self._images.answer(request, self._find(request))

    async def all(self, request: Request) -> None:
        """``/collections``: JSON, and a page for people."""
        show_paths = self._access.is_controller(request)
        collections = await self._serializers.collections(request, show_paths=show_paths)
        vary_by_accept(request)
        if self._wants_page(request):
            respond_page(request, collections_page(collections, request.path.decode("latin-1")))
        else:
            respond_json(request, messages.CollectionList(collections=collections))

    async def one(self, request: Request) -> None:
        """``/collections/NAME``: JSON, and a page for people."""
        loaded_collection = self._find(request)
        show_paths = self._access.is_controller(request)
        infos = await self._serializers.infos(request, [loaded_collection], show_paths=show_paths)
        vary_by_accept(request)
        if self._wants_page(request):
            page = collection_page(
                infos[0],
                request.path.decode("latin-1"),
                has_archives=self._folders.has_archives,
                has_dicom=self._maker.are_offered,
            )
            respond_page(request, page)
        else:
            respond_json(request, infos[0])

    @staticmethod
    def _wants_page(request: Request) -> bool:
        return request.prefers(b"text/html") and request.query().get("format") != "json"

    def _find(self, request: Request) -> LoadedCollection:
        name = request.route.collection
        if not messages.COLLECTION_NAME.fullmatch(name):
            raise NotFound
        return self._manager.find(name)


async def _in_old_words(answering: Coroutine[Any, Any, None], request: Request) -> None:
    try:
        await answering
    except NotFound:
        raise _image_not_found(request) from None


def _image_not_found(request: Request) -> NotFound:
    """In the words of the older server of frames."""
    return NotFound(f"Image not found: {paths.display(paths.decode(request.route.below or b''))}")
