"""``/collections/NAME/dicom/``: studies and series as JSON and as a page."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from msgspec import Raw, Struct

from imgd.collections.manager import LoadedCollection
from imgd.dicom.indexes import StillIndexing
from imgd.errors import NotFound
from imgd.web.dicom.overview_json import overview_message
from imgd.web.dicom.overview_page import OverviewQuery, progress_page, render
from imgd.web.dicom.parts import DicomParts
from imgd.web.endpoint import (
    HTML,
    begin_page,
    redirect,
    respond,
    respond_json,
    respond_page,
    vary_by_accept,
)
from imgd.web.request import Request


class IndexProgress(Struct):
    """202: the index is being made; ``indexed`` of ``total`` files are in it."""

    detail: str
    indexed: int
    total: int


async def answer(request: Request, parts: DicomParts, loaded: LoadedCollection) -> None:
    """The studies and series, as JSON, and a page for people."""
    if request.route.below is None:
        redirect(request, "dicom/")
        return
    if request.route.below:
        raise NotFound
    vary_by_accept(request)
    index = await parts.indexes.index(loaded)
    facts = await parts.known_series.facts(parts.indexes, parts.run, loaded, index)
    name = loaded.collection.name
    url = parts.addresses.collection(request, name)
    make: Callable[[], bytes]
    if _wants_page(request):
        query, has_links = OverviewQuery.of(request.query()), request.covers_below
        make = partial(render, name, url, index, facts, query, has_links=has_links)
        respond_page(request, await parts.run(loaded.root.path, make))
    else:
        has_patient = parts.indexes.has_patient_data
        make = partial(overview_message, name, url, index, facts, has_patient=has_patient)
        respond_json(request, Raw(await parts.run(loaded.root.path, make)))


def answer_progress(request: Request, progress: StillIndexing) -> None:
    """202: the index is being made. An answer that had begun ends before its end."""
    if request.startedWriting:
        request.abort()
        return
    request.setHeader(b"Retry-After", b"1")
    if request.route.is_exact and _wants_page(request):
        name = request.route.collection
        begin_page(request)
        request.setHeader(b"Cache-Control", b"no-store")
        respond(request, progress_page(name, progress.done, progress.total), HTML, 202)
        return
    done, total = progress.done, progress.total
    detail = f"imgd is reading the DICOM files: {done:,} of {total:,} so far."
    respond_json(request, IndexProgress(detail, done, total), 202)


def _wants_page(request: Request) -> bool:
    return request.prefers(b"text/html") and request.query().get("format") != "json"
