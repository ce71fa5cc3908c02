"""WADO-RS rendered and thumbnail resources: pictures of ``imgd.pictures``."""

from __future__ import annotations

from imgd.collections.manager import LoadedCollection
from imgd.core.dicomweb_paths import DicomwebTarget
from imgd.errors import NotFound
from imgd.web.dicom.parts import DicomParts
from imgd.web.request import Request


async def answer(
    request: Request, parts: DicomParts, loaded: LoadedCollection, target: DicomwebTarget
) -> None:
    raise NotFound
