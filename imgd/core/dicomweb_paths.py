"""What the part of a path after ``/dicomweb/`` means: DICOM PS3.18 sections 10.4 and 10.6."""

from __future__ import annotations

import re
from enum import Enum
from typing import Final, NamedTuple

from imgd.core import paths

# DICOM PS3.5 section 9.1 has fewer; files have what they have.
UID: Final = re.compile(r"[0-9][0-9.]{0,63}", re.ASCII)
MAX_FRAMES: Final = 1000  # that one path may name
_FRAMES: Final = re.compile(r"[1-9][0-9]{0,6}(?:,[1-9][0-9]{0,6}){0,999}", re.ASCII)
_LEVELS: Final = ("studies", "series", "instances")


class Resource(Enum):
    """What of a study, a series or an instance is asked for. ``SEARCH`` is for those below it."""

    SEARCH = "search"
    FILES = ""
    METADATA = "metadata"
    FRAMES = "frames"
    RENDERED = "rendered"
    THUMBNAIL = "thumbnail"


class DicomwebTarget(NamedTuple):
    """A resource. ``level`` is what is searched for, or else asked for: ``studies``, ``series`` or
    ``instances``. UIDs are "" if the path has none; ``frames`` count from 1.
    """

    resource: Resource
    level: str
    study: str = ""
    series: str = ""
    instance: str = ""
    frames: tuple[int, ...] = ()


def parse(below: bytes) -> DicomwebTarget | None:
    """The target of a path; None if there is none. No UID in it is known to exist."""
    segments = [paths.decode(segment) for segment in below.rstrip(b"/").split(b"/")]
    uids: list[str] = []
    for level in _LEVELS:
        if segments[:1] != [level]:
            break
        if len(segments) == 1:
            study, series = (*uids, "", "")[:2]
            return DicomwebTarget(Resource.SEARCH, level, study, series)
        if not UID.fullmatch(segments[1]):
            return None
        uids.append(segments[1])
        segments = segments[2:]
    if (len(uids) < 2 and segments == ["instances"]) or (segments == ["series"] and not uids):
        return DicomwebTarget(Resource.SEARCH, segments[0], "".join(uids))  # of all
    return _of_known(uids, segments) if uids else None


def _of_known(uids: list[str], segments: list[str]) -> DicomwebTarget | None:
    level = _LEVELS[len(uids) - 1]
    study, series, instance = (*uids, "", "")[:3]
    match segments:
        case []:
            return DicomwebTarget(Resource.FILES, level, study, series, instance)
        case ["metadata"]:
            return DicomwebTarget(Resource.METADATA, level, study, series, instance)
        case ["thumbnail"]:
            return DicomwebTarget(Resource.THUMBNAIL, level, study, series, instance)
        case ["rendered"] if level == "instances":
            return DicomwebTarget(Resource.RENDERED, level, study, series, instance)
        case ["frames", numbered, *rest] if level == "instances" and _FRAMES.fullmatch(numbered):
            frames = tuple(map(int, numbered.split(",")))
            kind = {(): Resource.FRAMES, ("rendered",): Resource.RENDERED}.get(tuple(rest))
            if rest == ["thumbnail"]:
                kind = Resource.THUMBNAIL
            return (
                None
                if kind is None
                else DicomwebTarget(kind, level, study, series, instance, frames)
            )
    return None
