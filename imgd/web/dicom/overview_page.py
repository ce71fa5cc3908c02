"""The page of a collection's DICOM for people: a card for each series, and what was not indexed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Final, NamedTuple
from urllib.parse import quote

from imgd.core import paths, routes
from imgd.dicom.model import DicomIndex, IndexedSeries, UnindexedFile
from imgd.dicom.series_facts import SeriesFacts
from imgd.errors import BadRequest
from imgd.web import pages
from imgd.web.dicom.known_series import FactsByUid, study_patient
from imgd.web.page_parts import Breadcrumb

PAGE_SIZE: Final = 200  # series
MAX_UNINDEXED: Final = 1000  # files that are named
_TOP: Final = "../../../"
_MAX_DIGITS: Final = 9
_BY: Final = "\N{NO-BREAK SPACE}\N{MULTIPLICATION SIGN}\N{NO-BREAK SPACE}"


class SeriesCard(NamedTuple):
    """A series; links are relative to the page, "" for what there is not. ``url`` is that of the
    volume for other programs.
    """

    title: str
    about: str
    uid: str
    size: str
    why_no_volume: str
    url: str
    thumb: str
    viewer: str
    volume: str
    facts: str

    @classmethod
    def of(cls, series: IndexedSeries, known: SeriesFacts, name: str, url: str) -> SeriesCard:
        """The card of a series of the collection ``name``, whose URL is ``url``."""
        volume = f"{series.uid}.nii"
        web = f"../dicomweb/studies/{series.study}/series/{series.uid}"
        number = "" if series.number is None else f"series {series.number}"
        path = f"{routes.collection_path(name)}/dicom/"
        return cls(
            title=" ".join(filter(None, (series.modality, number))) or "Series",
            about=known.patient.series_description,
            uid=series.uid,
            size=_size(series, known),
            why_no_volume=known.why_no_volume,
            url="" if known.why_no_volume else f"{url}/dicom/{volume}",
            thumb=f"{web}/thumbnail" if known.frames else "",
            viewer=f"{_TOP}{routes.VIEW_BASE[1:]}{path}{volume}" if known.frames else "",
            volume="" if known.why_no_volume else volume,
            facts=f"{series.uid}.json",
        )


class StudySection(NamedTuple):
    """A study as far as a page shows it. ``ohif`` and ``dicomweb`` are absolute URLs."""

    heading: str
    about: str
    uid: str
    counts: str
    ohif: str
    cards: list[SeriesCard]


class OverviewQuery(NamedTuple):
    """Which part of a collection's series a page shows: ``offset`` of them are before it."""

    offset: int = 0

    @classmethod
    def of(cls, query: Mapping[str, str]) -> OverviewQuery:
        """By the URL's query; BadRequest."""
        text = query.get("offset", "0")
        if not (text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS):
            raise BadRequest("offset must be a number: of how many series the page begins after.")
        return cls(int(text))


def render(
    name: str,
    url: str,
    index: DicomIndex,
    facts: FactsByUid,
    query: OverviewQuery,
    *,
    has_links: bool,
) -> bytes:
    """The page of an index, as HTML in UTF-8; ``url`` is the absolute one of the collection.
    Without ``has_links`` it leads nowhere, for a reader who may see the page alone.
    """
    series = list(index.series())
    start = query.offset
    shown = series[start : start + PAGE_SIZE]
    end = start + len(shown)
    return pages.render(
        "dicom.html",
        **_frame(name),
        studies=list(_sections(name, url, index, facts, shown)),
        summary=_summary(index, len(series)),
        total=len(series),
        start=start,
        end=end,
        previous=f"?offset={max(0, start - PAGE_SIZE)}" if start else "",
        next=f"?offset={end}" if end < len(series) else "",
        dicomweb=f"{url}/dicomweb",
        ohif=f"{url}/dicom.json",
        has_links=has_links,
        is_signed=routes.SIGNED_BASE in url,
        unindexed=[_named(file) for file in islice(index.unindexed, MAX_UNINDEXED)],
        unindexed_count=len(index.unindexed),
    )


def progress_page(name: str, done: int, total: int) -> bytes:
    """The page while the index is made, which asks again by itself."""
    return pages.render("dicom_progress.html", **_frame(name), done=done, count=total)


def _frame(name: str) -> dict[str, object]:
    trail = [
        Breadcrumb("imgd", _TOP),
        Breadcrumb("Collections", f"{_TOP}{routes.RouteKind.COLLECTIONS.value[1:]}"),
        Breadcrumb(name, f"../../{paths.encode(name)}"),
        Breadcrumb("DICOM", ""),
    ]
    return {"top": _TOP, "trail": trail, "heading": name}


def _sections(
    name: str, url: str, index: DicomIndex, facts: FactsByUid, shown: list[IndexedSeries]
) -> Iterator[StudySection]:
    by_study: dict[str, list[IndexedSeries]] = {}
    for series in shown:
        by_study.setdefault(series.study, []).append(series)
    for uid, some in by_study.items():
        of_study = index.studies[uid]
        patient = study_patient(of_study, facts)
        modalities = sorted({series.modality for series in of_study.values() if series.modality})
        about = (patient.name, patient.study_description, _day(patient.study_date))
        yield StudySection(
            heading=" · ".join(filter(None, about)) or ", ".join(modalities) or "Study",
            about=", ".join(modalities) if any(about) else "",
            uid=uid,
            counts=_study_counts(of_study),
            ohif=_ohif_line(f"{url}/dicom.json?StudyInstanceUID={uid}"),
            cards=[
                SeriesCard.of(series, facts[series.study, series.uid], name, url) for series in some
            ],
        )


def _ohif_line(url: str) -> str:
    """What follows the address of an OHIF viewer to open what the URL of dicomjson names."""
    return f"/viewer/dicomjson?url={quote(url, safe='')}"


def _named(file: UnindexedFile) -> tuple[str, str]:
    return "/".join(file.names), file.why


def _summary(index: DicomIndex, series: int) -> str:
    instances = sum(len(series.instances) for series in index.series())
    return ", ".join(
        (
            _count(len(index.studies), "study", "studies"),
            _count(series, "series", "series"),
            _count(instances, "instance", "instances"),
        )
    )


def _study_counts(of_study: Mapping[str, IndexedSeries]) -> str:
    instances = sum(len(series.instances) for series in of_study.values())
    series = _count(len(of_study), "series", "series")
    return f"{series}, {_count(instances, 'instance', 'instances')}"


def _size(series: IndexedSeries, known: SeriesFacts) -> str:
    """Columns, rows and frames, then a voxel in mm, as far as they are known."""
    instances = _count(len(series.instances), "instance", "instances")
    if known.shape is None:
        return instances
    parts = [_BY.join(f"{length:,}" for length in known.shape)]
    if known.voxel_size is not None:
        lengths = filter(None, known.voxel_size)
        parts.append(f"{_BY.join(f'{length:.3g}' for length in lengths)}\N{NO-BREAK SPACE}mm")
    if len(series.instances) != known.shape[2]:
        parts.append(instances)
    return " · ".join(parts)


def _count(number: int, one: str, more: str) -> str:
    return f"{number:,} {one if number == 1 else more}"


def _day(date: str) -> str:
    """``20040119`` as ``2004-01-19``."""
    return f"{date[:4]}-{date[4:6]}-{date[6:]}" if len(date) == 8 and date.isdigit() else date
