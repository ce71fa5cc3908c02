"""QIDO-RS (DICOM PS3.18 section 10.6): studies, series and instances that match."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from imgd.collections.manager import LoadedCollection
from imgd.core.dicomweb_paths import DicomwebTarget
from imgd.core.plan import Header
from imgd.dicom import query
from imgd.dicom.model import DicomIndex
from imgd.dicom.results import Found, Results
from imgd.dicom.search import Search
from imgd.pictures.instances import Instance
from imgd.web.dicom import json_answers
from imgd.web.dicom.parts import DicomParts
from imgd.web.request import Request

# PS3.18 section 8.3.4.4 asks for such a sentence.
MORE: Final = "There are additional results that can be requested."


async def answer(
    request: Request, parts: DicomParts, loaded: LoadedCollection, target: DicomwebTarget
) -> None:
    """Every result as one JSON array; ``[]`` if nothing matches."""
    text = request.uri.partition(b"?")[2]
    asked = query.parse(text, has_patient_data=parts.indexes.has_patient_data)
    media_type = json_answers.json_type(request)
    index = await parts.indexes.index(loaded)
    services = parts.addresses.collection(request, loaded.collection.name) + "/dicomweb"
    results = Results(target, asked, services)
    with parts.answers.slot(loaded.root.path, request.peer):
        found = await _find(parts, loaded, index, Search(target, asked))
        page = found[asked.offset :][: asked.limit]
        is_cut = asked.offset + len(page) < len(found)
        warnings = map(_warning, (*asked.warnings, *([MORE] if is_cut else [])))
        headers = (media_type, (b"Cache-Control", b"no-store"), *warnings)
        await _write(request, parts, loaded, results, page, headers)


async def _write(
    request: Request,
    parts: DicomParts,
    loaded: LoadedCollection,
    results: Results,
    page: Sequence[Found],
    headers: Iterable[Header],
) -> None:
    async def encoded(piece: slice) -> bytes:
        some = page[piece]
        records = await parts.indexes.records(loaded, [found.instance for found in some])
        return await parts.run(loaded.root.path, _encode, results, some, records, key=object())

    await json_answers.write_array(request, headers, [f.instance for f in page], encoded)


async def _find(
    parts: DicomParts, loaded: LoadedCollection, index: DicomIndex, search: Search
) -> list[Found]:
    """Everything that matches. What takes long is not done on the reactor's thread."""
    path = loaded.root.path
    candidates = await parts.run(path, search.candidates, index, key=object())
    if not search.needs_records:
        return candidates
    matching: list[Found] = []
    for piece in json_answers.pieces([found.instance for found in candidates]):
        some = candidates[piece]
        records = await parts.indexes.records(loaded, [found.instance for found in some])
        matching += await parts.run(path, search.matching, some, records, key=object())
    return search.distinct(matching)


def _encode(results: Results, page: Sequence[Found], records: Sequence[Instance]) -> bytes:
    return b",".join(map(results.encode, page, records))


def _warning(sentence: str) -> Header:
    return b"Warning", f'299 imgd "{sentence}"'.encode("ascii")
