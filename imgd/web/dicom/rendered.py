"""WADO-RS rendered and thumbnail resources: pictures of ``imgd.pictures``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from imgd.collections.manager import LoadedCollection
from imgd.core.dicomweb_paths import DicomwebTarget, Resource
from imgd.dicom import rendering
from imgd.dicom.model import DicomIndex, IndexedInstance
from imgd.errors import BadRequest, NotFound, Unavailable
from imgd.web import pictures
from imgd.web.dicom.asked import accepted_type, instances_of
from imgd.web.dicom.parts import DicomParts
from imgd.web.request import Request

_NO_OTHER: Final = "imgd renders JPEG and PNG: accept image/jpeg, image/png or */*."
_CHANGED: Final = "The file has changed since it was indexed. Try again in a moment."


async def answer(
    request: Request, parts: DicomParts, loaded: LoadedCollection, target: DicomwebTarget
) -> None:
    """A frame as JPEG or PNG: of an instance the first, and as a thumbnail the one in the middle;
    of a series its middle instance's, of a study that of its largest series.
    """
    media_type = accepted_type(request, rendering.OFFERS, _NO_OTHER)
    if len(target.frames) > 1:
        raise BadRequest("imgd renders one frame at a time.")
    is_thumbnail = target.resource is Resource.THUMBNAIL
    frame = next(iter(target.frames), None if is_thumbnail else 1)
    view = rendering.view(request.query(), media_type, frame, is_thumbnail=is_thumbnail)
    instance = _shown(await parts.indexes.index(loaded), target)
    if frame is not None and frame > instance.frames:
        raise NotFound(f"There is no frame {frame}: the instance has {instance.frames}.")
    source = await parts.pictures.find(loaded.root, instance.names, request.peer)
    if source.file.facts != instance.facts:
        source.close()
        parts.indexes.has_changed(loaded, instance)
        raise Unavailable(_CHANGED)
    await pictures.answer_of(request, parts.pictures, source, view)


def _shown(index: DicomIndex, target: DicomwebTarget) -> IndexedInstance:
    """The instance that stands for a target."""
    instances_of(index, target)
    series = index.series(target.study, target.series)
    largest = max((_with_pixels(s.instances, target) for s in series), key=len)
    if not largest:
        raise NotFound("It has no pixels that could be shown.")
    return largest[len(largest) // 2]


def _with_pixels(
    instances: Sequence[IndexedInstance], target: DicomwebTarget
) -> list[IndexedInstance]:
    return [i for i in instances if i.frames and target.instance in ("", i.uid)]
