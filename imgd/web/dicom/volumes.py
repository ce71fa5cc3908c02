"""``/collections/NAME/dicom/SERIES.nii`` and ``SERIES.json``."""

from __future__ import annotations

from imgd.collections.manager import LoadedCollection
from imgd.errors import NotFound
from imgd.web.dicom.parts import DicomParts
from imgd.web.request import Request


async def answer(request: Request, parts: DicomParts, loaded: LoadedCollection) -> None:
    raise NotFound
