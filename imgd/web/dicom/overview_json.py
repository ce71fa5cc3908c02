"""A collection's DICOM as a JSON message: studies, series, and where else they are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Final

from msgspec import UNSET, Struct, UnsetType

from imgd.core import messages, paths, routes
from imgd.dicom.model import DicomIndex, IndexedSeries
from imgd.web.dicom.known_series import FactsByUid, study_patient

MAX_UNINDEXED: Final = 1000  # files that are named


class UnindexedName(Struct):
    """A file of the collection that is not in the index; ``why`` is a sentence."""

    name: str
    why: str


class SeriesSummary(Struct, omit_defaults=True):
    """A series. ``shape`` has columns, rows and frames, ``voxel_size`` mm in the same order; null
    for what is not known, or differs. ``nii`` is null if there is certainly none: ``why`` says so.
    ``description`` is there with ``--patient-data`` alone.
    """

    uid: str
    modality: str
    number: int | None
    instances: int
    frames: int
    shape: tuple[int, int, int] | None
    voxel_size: tuple[float, float, float | None] | None
    nii: str | None
    json: str
    dicomweb: str
    thumbnail: str | None
    viewer: str
    why: str | UnsetType = UNSET
    description: str | UnsetType = UNSET


class StudySummary(Struct, omit_defaults=True):
    """A study. ``ohif`` is the URL for OHIF's dicomjson data source; the last four are there with
    ``--patient-data`` alone.
    """

    uid: str
    modalities: list[str]
    instances: int
    frames: int
    dicomweb: str
    ohif: str
    series: list[SeriesSummary]
    description: str | UnsetType = UNSET
    date: str | UnsetType = UNSET
    patient_name: str | UnsetType = UNSET
    patient_id: str | UnsetType = UNSET


class DicomOverview(Struct):
    """``GET /collections/NAME/dicom/``. ``unindexed`` names the first 1,000 of
    ``unindexed_count`` files.
    """

    name: str
    study_count: int
    series_count: int
    instance_count: int
    dicomweb: str
    ohif: str
    studies: list[StudySummary]
    unindexed_count: int
    unindexed: list[UnindexedName]


def overview_message(
    name: str, url: str, index: DicomIndex, facts: FactsByUid, *, has_patient: bool
) -> bytes:
    """``url`` is that of the collection."""
    studies = [
        _study(url, uid, of_study, facts, has_patient=has_patient)
        for uid, of_study in index.studies.items()
    ]
    return messages.encode(
        DicomOverview(
            name=name,
            study_count=len(studies),
            series_count=sum(len(study.series) for study in studies),
            instance_count=sum(study.instances for study in studies),
            dicomweb=f"{url}/dicomweb",
            ohif=f"{url}/dicom.json",
            studies=studies,
            unindexed_count=len(index.unindexed),
            unindexed=list(islice(_unindexed(index), MAX_UNINDEXED)),
        )
    )


def _unindexed(index: DicomIndex) -> Iterator[UnindexedName]:
    for file in index.unindexed:
        yield UnindexedName(paths.display("/".join(file.names)), file.why)


def _study(
    url: str,
    uid: str,
    of_study: Mapping[str, IndexedSeries],
    facts: FactsByUid,
    *,
    has_patient: bool,
) -> StudySummary:
    series = [_series(url, one, facts, has_patient=has_patient) for one in of_study.values()]
    summary = StudySummary(
        uid=uid,
        modalities=sorted({one.modality for one in series if one.modality}),
        instances=sum(one.instances for one in series),
        frames=sum(one.frames for one in series),
        dicomweb=f"{url}/dicomweb/studies/{uid}",
        ohif=f"{url}/dicom.json?StudyInstanceUID={uid}",
        series=series,
    )
    if has_patient:
        patient = study_patient(of_study, facts)
        summary.patient_name, summary.patient_id = patient.name, patient.id
        summary.description, summary.date = patient.study_description, patient.study_date
    return summary


def _series(
    url: str, series: IndexedSeries, facts: FactsByUid, *, has_patient: bool
) -> SeriesSummary:
    known = facts[series.study, series.uid]
    volume = f"{url}/dicom/{series.uid}"
    web = f"{url}/dicomweb/studies/{series.study}/series/{series.uid}"
    summary = SeriesSummary(
        uid=series.uid,
        modality=series.modality,
        number=series.number,
        instances=len(series.instances),
        frames=known.frames,
        shape=known.shape,
        voxel_size=known.voxel_size,
        nii=None if known.why_no_volume else f"{volume}.nii",
        json=f"{volume}.json",
        dicomweb=web,
        thumbnail=f"{web}/thumbnail" if known.frames else None,
        viewer=_viewer(url, series.uid),
    )
    if known.why_no_volume:
        summary.why = known.why_no_volume
    if has_patient:
        summary.description = known.patient.series_description
    return summary


def _viewer(url: str, series: str) -> str:
    base, collections, name = url.rpartition(f"{routes.RouteKind.COLLECTIONS.value}/")
    return f"{base}{routes.VIEW_BASE}{collections}{name}/dicom/{series}.nii"
