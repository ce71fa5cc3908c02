"""``/collections/NAME/dicom.json``: what OHIF's dicomjson data source reads."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeVar

from twisted.internet.defer import Deferred

from imgd.collections.manager import LoadedCollection
from imgd.core import messages, paths
from imgd.dicom.model import DicomIndex, IndexedInstance, IndexedSeries
from imgd.dicom.natural_json import STUDY_KEYS, natural
from imgd.errors import NotFound
from imgd.pictures.instances import Instance
from imgd.web.backpressure import BackpressuredWriter
from imgd.web.dicom.parts import DicomParts
from imgd.web.endpoint import JSON
from imgd.web.request import Request

PIECE: Final = 256  # frames whose metadata are in memory at once, or one file with more
T = TypeVar("T")
# OHIF takes a URL with this segment for one of DICOMweb's, and shows nothing.
_FRAMES: Final = re.compile("(/frame)(s)(?=/)", re.IGNORECASE)


async def answer(request: Request, parts: DicomParts, loaded: LoadedCollection) -> None:
    """All studies, or with ``?StudyInstanceUID=`` one of them, sent as they are read."""
    parts.addresses.require_all(request, loaded.collection.name)
    index = await parts.indexes.index(loaded)
    study = request.query().get("StudyInstanceUID", "")
    if study and study not in index.studies:
        raise NotFound("There is no study of this StudyInstanceUID.")
    url = parts.addresses.collection(request, loaded.collection.name)
    request.setHeader(b"Content-Type", JSON)
    request.setHeader(b"Cache-Control", b"no-store")
    if request.method == b"GET":
        document = _Document(parts, loaded, f"dicomweb:{url}/files/")
        with BackpressuredWriter(request) as writer:
            async for piece in document.pieces(index, study):
                await writer.write(piece)
                if writer.is_over:
                    return
    if not request.is_gone:
        request.finish()


class _Document:
    """The JSON in pieces. ``files`` is what the URLs of files begin with."""

    def __init__(self, parts: DicomParts, loaded: LoadedCollection, files: str) -> None:
        self._parts, self._loaded, self._files = parts, loaded, files

    async def pieces(self, index: DicomIndex, study: str) -> AsyncIterator[bytes]:
        comma = b'{"studies":['
        for of_study in [index.studies[study]] if study else index.studies.values():
            async for piece in self._study(of_study):
                yield comma + piece
                comma = b""
            comma = b","
        yield b"]}" if index.studies else b'{"studies":[]}'

    async def _study(self, of_study: Mapping[str, IndexedSeries]) -> AsyncIterator[bytes]:
        all_series = list(of_study.values())
        first = await self._natural(all_series[0].instances[0])
        opening = _open(_about_study(all_series, first), "series")
        for series in all_series:
            opening += _open(await self._about_series(series), "instances")
            async for entries in self._entries(series):
                yield opening + entries
                opening = b","
            opening = b"]},"
        yield b"]}]}"

    async def _entries(self, series: IndexedSeries) -> AsyncIterator[bytes]:
        for piece in _pieces(series.instances):
            records = await self._parts.indexes.records(self._loaded, piece)
            yield await self._run(_entries, piece, records, self._files)
            last, record = piece[-1], records[-1]
            for frame in range(PIECE + 1, _frames(record) + 1, PIECE):
                yield await self._run(_further, last, record, self._files, frame)

    async def _about_series(self, series: IndexedSeries) -> dict[str, Any]:
        about = {
            "SeriesInstanceUID": series.uid,
            "SeriesNumber": series.number,
            "Modality": series.modality,
        }
        if self._parts.indexes.has_patient_data:
            first = await self._natural(series.instances[0])
            about["SeriesDescription"] = first.get("SeriesDescription", "")
        return about

    async def _natural(self, instance: IndexedInstance) -> dict[str, Any]:
        [record] = await self._parts.indexes.records(self._loaded, [instance])
        return await self._run(natural, record.metadata)

    def _run(self, f: Callable[..., T], *arguments: Any) -> Deferred[T]:
        return self._parts.run(self._loaded.root.path, f, *arguments)


def _about_study(all_series: Sequence[IndexedSeries], first: Mapping[str, Any]) -> dict[str, Any]:
    modalities = sorted({series.modality for series in all_series if series.modality})
    return {
        "StudyInstanceUID": all_series[0].study,
        **{key: first.get(key, "") for key in STUDY_KEYS},
        "NumInstances": sum(len(series.instances) for series in all_series),
        "Modalities": "/".join(modalities),
    }


def _open(about: Mapping[str, Any], key: str) -> bytes:
    """A JSON object as far as the beginning of its last member, a list."""
    return messages.encode(about)[:-1] + b',"%b":[' % key.encode("ascii")


def _pieces(instances: Sequence[IndexedInstance]) -> Iterator[Sequence[IndexedInstance]]:
    """Of the instances of a piece, only the last may have more frames than ``PIECE``."""
    start = frames = 0
    for end, instance in enumerate(instances):
        frames += max(1, instance.frames)
        if frames >= PIECE:
            yield instances[start : end + 1]
            start, frames = end + 1, 0
    if start < len(instances):
        yield instances[start:]


def _url(files: str, instance: IndexedInstance) -> str:
    url = files + paths.encode(*instance.names)
    return _FRAMES.sub(lambda match: f"{match[1]}%{ord(match[2]):02X}", url)


def _frames(record: Instance) -> int:
    """As many as the file really has; 1 if there is nothing to tell them apart."""
    return record.frames if record.pixels is not None else 1


def _entries(
    instances: Sequence[IndexedInstance], records: Sequence[Instance], files: str
) -> bytes:
    """Each file, or the first frames of a file of several, as members of a JSON list.

    OHIF keeps the metadata of the first entry of an instance alone, and takes the URL of frame n
    from its entry n.
    """
    pieces = []
    for instance, record in zip(instances, records, strict=True):
        url, frames = _url(files, instance), _frames(record)
        metadata = natural(record.metadata)
        metadata.pop("NumberOfFrames", None)
        if frames > 1:
            metadata["NumberOfFrames"] = frames
        first = {"metadata": metadata, "url": f"{url}?frame=1" if frames > 1 else url}
        pieces.append(messages.encode(first))
        if frames > 1 and PIECE > 1:
            pieces.append(_further(instance, record, files, 2))
    return b",".join(pieces)


def _further(instance: IndexedInstance, record: Instance, files: str, first: int) -> bytes:
    """A file's frames from ``first`` to the end of the piece that it is in."""
    url = _url(files, instance)
    metadata = {
        **{"StudyInstanceUID": record.study, "SeriesInstanceUID": record.series},
        **{"SOPInstanceUID": record.uid, "NumberOfFrames": record.frames},
    }
    end = first + PIECE - (first - 1) % PIECE  # frames count from 1
    return b",".join(
        messages.encode({"metadata": metadata, "url": f"{url}?frame={frame}"})
        for frame in range(first, min(end, record.frames + 1))
    )
