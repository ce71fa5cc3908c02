"""``/collections/NAME/dicom/``: studies and series as JSON and as a page."""

from __future__ import annotations

from imgd.collections.manager import LoadedCollection
from imgd.dicom.indexes import StillIndexing
from imgd.errors import NotFound
from imgd.web.dicom.parts import DicomParts
from imgd.web.endpoint import respond_json
from imgd.web.request import Request


async def answer(request: Request, parts: DicomParts, loaded: LoadedCollection) -> None:
    raise NotFound


def answer_progress(request: Request, progress: StillIndexing) -> None:
    """202: the index is being made."""
    request.setHeader(b"Retry-After", b"1")
    respond_json(request, {"indexed": progress.done, "total": progress.total}, 202)
