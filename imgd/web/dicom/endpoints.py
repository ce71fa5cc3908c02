"""``/collections/NAME/dicom…``: which module answers what is asked of a collection's DICOM."""

from __future__ import annotations

from typing import Final

from imgd.collections.manager import LoadedCollection
from imgd.core import dicomweb_paths, messages
from imgd.core.dicomweb_paths import Resource
from imgd.dicom.indexes import StillIndexing
from imgd.errors import NotFound
from imgd.web.dicom import metadata, ohif, overview, rendered, retrieve, search, volumes
from imgd.web.dicom.parts import DicomParts
from imgd.web.request import Request

_ANSWERS: Final = {
    Resource.SEARCH: search.answer,
    Resource.FILES: retrieve.answer,
    Resource.METADATA: metadata.answer,
    Resource.FRAMES: retrieve.answer_frames,
    Resource.RENDERED: rendered.answer,
    Resource.THUMBNAIL: rendered.answer,
}


class DicomEndpoints:
    """Answers about collections' DICOM. Each waits for the index, or answers 202 with progress."""

    def __init__(self, parts: DicomParts) -> None:
        self._parts = parts

    async def dicom(self, request: Request) -> None:
        """``/collections/NAME/dicom/``, and a series below it as one file."""
        loaded = self._find(request)
        try:
            if request.route.is_exact:
                await overview.answer(request, self._parts, loaded)
            else:
                await volumes.answer(request, self._parts, loaded)
        except StillIndexing as progress:
            overview.answer_progress(request, progress)

    async def ohif(self, request: Request) -> None:
        """``/collections/NAME/dicom.json``."""
        try:
            await ohif.answer(request, self._parts, self._find(request))
        except StillIndexing as progress:
            overview.answer_progress(request, progress)

    async def dicomweb(self, request: Request) -> None:
        """``/collections/NAME/dicomweb/…``."""
        loaded = self._find(request)
        target = dicomweb_paths.parse(request.route.below or b"")
        if target is None:
            raise NotFound
        try:
            await _ANSWERS[target.resource](request, self._parts, loaded, target)
        except StillIndexing as progress:
            overview.answer_progress(request, progress)

    def _find(self, request: Request) -> LoadedCollection:
        name = request.route.collection
        if not messages.COLLECTION_NAME.fullmatch(name):
            raise NotFound
        return self._parts.manager.find(name)
