"""``/collections/NAME/dicom/SERIES.nii`` and ``SERIES.json``."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from typing import Final

import msgspec
from twisted.internet.defer import Deferred

from imgd.collections.manager import LoadedCollection
from imgd.core import conditional, joined_file, media
from imgd.core.conditional import FileFacts
from imgd.core.disposition import attachment, inline
from imgd.core.joined_file import JoinedFile
from imgd.core.plan import unchanged
from imgd.dicom import volume_json
from imgd.dicom.model import DicomIndex, IndexedInstance, IndexedSeries
from imgd.dicom.series_volume import SeriesVolume, VolumeDraft
from imgd.dicom.series_volumes import VolumeKey
from imgd.errors import ImgdError, NotFound, Unavailable
from imgd.files.disk import Root
from imgd.web.backpressure import BackpressuredWriter
from imgd.web.dicom.parts import DicomParts
from imgd.web.endpoint import JSON
from imgd.web.many_files import send_joined
from imgd.web.request import Request

_ASKED: Final = re.compile(rb"([0-9.]{1,64})\.(nii|json)")
_BATCH: Final = 500  # records that are read at once, some 2 MB
_CHUNK: Final = 64 * 1024  # bytes of JSON that are written at once
_CHANGED: Final = "A file changed just now. Try again in a moment."


async def answer(request: Request, parts: DicomParts, loaded: LoadedCollection) -> None:
    """Send a series as one volume, or tell of it; 409 if it is none, and why."""
    asked = _ASKED.fullmatch(request.route.below or b"")
    if asked is None:
        raise NotFound
    index = await parts.indexes.index(loaded)
    series = _find(index, asked[1].decode("ascii"))
    volume = await _volume(parts, loaded, index, series)
    if asked[2] == b"json":
        await _tell(request, parts, loaded, series, volume)
    elif volume.nifti is None:
        raise ImgdError.of(409, volume.why)
    else:
        await _send(request, parts, loaded, series, volume, volume.nifti)


def _find(index: DicomIndex, uid: str) -> IndexedSeries:
    found = list(index.series(series=uid))
    if not found:
        raise NotFound("There is no series of this UID here.")
    if len(found) > 1:
        raise ImgdError.of(
            409, f"{len(found)} studies have a series {uid}: it cannot be told which one is meant."
        )
    return found[0]


def _volume(
    parts: DicomParts, loaded: LoadedCollection, index: DicomIndex, series: IndexedSeries
) -> Deferred[SeriesVolume]:
    key = VolumeKey(loaded.collection.name, loaded.root.path, index.tag, series.study, series.uid)
    make = partial(_make, parts, loaded, series)
    return parts.volumes.find(key, lambda: Deferred.fromCoroutine(make()))


async def _make(parts: DicomParts, loaded: LoadedCollection, series: IndexedSeries) -> SeriesVolume:
    draft, directory = VolumeDraft(), loaded.root.path
    is_large = len(series.instances) > _BATCH
    with parts.volumes.garbage_pause if is_large else nullcontext():
        for start in range(0, len(series.instances), _BATCH):
            batch = series.instances[start : start + _BATCH]
            records = await parts.indexes.records(loaded, batch)
            await parts.run(directory, draft.add, batch, records, key=id(draft))
        return await parts.run(directory, draft.finish, key=id(draft))


async def _send(
    request: Request,
    parts: DicomParts,
    loaded: LoadedCollection,
    series: IndexedSeries,
    volume: SeriesVolume,
    nifti: JoinedFile,
) -> None:
    now, name = request.now, f"{series.uid}.nii"
    rep = joined_file.represent(
        nifti, media.media_type(name), volume.tag, now, request.site.max_age
    )
    modified = conditional.last_modified(FileFacts(0, volume.modified, 0, 0), now)
    dated = (b"Last-Modified", conditional.http_date(modified))
    disposition = attachment(name) if request.has_flag(b"download") else inline(name)
    named = replace(rep, headers=(*rep.headers, dated, disposition))
    plan = joined_file.plan_joined(named, request.conditions(), now)
    plan = unchanged(named) if plan.status == 304 else plan
    if request.method == b"HEAD" or not plan.parts:
        await _check(parts, loaded, series)  # else each file is judged when it is opened
    await send_joined(request, plan, nifti, parts.opener(loaded, series.instances))


async def _check(parts: DicomParts, loaded: LoadedCollection, series: IndexedSeries) -> None:
    """Unavailable if a file is not the version that was indexed."""
    root = loaded.root
    changed = await parts.ask(
        root.path, _changed, root, series.instances, key=(root.path, series.study, series.uid)
    )
    if changed is not None:
        parts.indexes.has_changed(loaded, changed)
        raise Unavailable(_CHANGED)


async def _tell(
    request: Request,
    parts: DicomParts,
    loaded: LoadedCollection,
    series: IndexedSeries,
    volume: SeriesVolume,
) -> None:
    """Answer with JSON, which is long if there are many files."""
    base = parts.addresses.collection(request, loaded.collection.name)
    body = await parts.run(
        loaded.root.path, _encode, volume, series.study, series.uid, base, key=id(request)
    )
    request.setHeader(b"Content-Type", JSON)
    request.setHeader(b"Cache-Control", b"no-store")
    request.setHeader(b"Content-Length", b"%d" % len(body))
    if request.method == b"GET":
        with BackpressuredWriter(request) as writer:
            for start in range(0, len(body), _CHUNK):
                await writer.write(body[start : start + _CHUNK])
    else:
        request.write(b"")
    if not request.is_gone:
        request.finish()


def _encode(volume: SeriesVolume, study: str, series: str, base: str) -> bytes:
    return msgspec.json.encode(volume_json.describe(volume, study, series, base))


def _changed(root: Root, instances: Sequence[IndexedInstance]) -> IndexedInstance | None:
    """The first file that is not the version that was indexed. Blocks."""
    for instance in instances:
        try:
            st = os.stat(root.join(instance.names))
        except (OSError, NotFound):
            return instance
        facts = instance.facts
        if (st.st_size, st.st_mtime_ns, st.st_ino) != (facts.size, facts.mtime_ns, facts.inode):
            return instance
    return None
