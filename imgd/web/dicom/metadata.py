"""WADO-RS metadata (DICOM PS3.18 section 10.4.1.1.2): the index, as JSON."""

from __future__ import annotations

import hashlib
from typing import Final

from imgd.collections.manager import LoadedCollection
from imgd.core import conditional
from imgd.core.dicomweb_paths import DicomwebTarget
from imgd.dicom.model import DicomIndex
from imgd.web.dicom import json_answers
from imgd.web.dicom.asked import instances_of
from imgd.web.dicom.parts import DicomParts
from imgd.web.endpoint import respond
from imgd.web.request import Request

_BY_TAG: Final = (b"if-match", b"if-none-match")


async def answer(
    request: Request, parts: DicomParts, loaded: LoadedCollection, target: DicomwebTarget
) -> None:
    """The metadata of every instance of a study or a series, or of one, as the index has it.

    Pixels are not among it, nor a BulkDataURI of them: ``frames`` is where clients read those.
    """
    media_type = json_answers.json_type(request)
    index = await parts.indexes.index(loaded)
    instances = instances_of(index, target)
    tag = _etag(index, target, media_type[1])
    common = ((b"ETag", tag), (b"Cache-Control", request.cache_control))
    conditions = {k: v for k, v in request.conditions().items() if k in _BY_TAG}
    status = conditional.evaluate(conditions, tag, 0)
    if status != 200:
        for name, value in common:
            request.setHeader(name, value)
        respond(request, b"", b"", status)
        return

    async def encoded(piece: slice) -> bytes:
        records = await parts.indexes.records(loaded, instances[piece])
        return b",".join(bytes(record.metadata) for record in records)

    with parts.answers.slot(loaded.root.path, request.peer):
        await json_answers.write_array(request, (media_type, *common), instances, encoded)


def _etag(index: DicomIndex, target: DicomwebTarget, media_type: bytes) -> bytes:
    """Another one whenever the answer is another. The index's own changes with every file."""
    parts = (index.tag, target.study, target.series, target.instance)
    digest = hashlib.sha256("\0".join(parts).encode() + media_type)
    return b'"%b"' % digest.hexdigest()[:32].encode("ascii")
