"""Volumes in two files: a header, and the voxels beside it."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Final

import msgspec

from imgd.pictures.views import ViewKind
from imgd.pictures.worker import metaimage, nifti, nrrd
from imgd.pictures.worker.source import NotAPicture, SourceFile, Sources
from imgd.pictures.worker.volume import head_of

_HEAD: Final = 1 << 20  # bytes, as many as the longest header
_HEADERS: Final = (".hdr", ".mhd", ".nhdr")
# Those that a file may have whose own content says nothing, the more frequent first.
_HEADERS_OF: Final = {
    ".img": (".hdr",),
    ".img.gz": (".hdr.gz",),
    ".raw": (".mhd", ".nhdr"),
    ".zraw": (".mhd",),
    ".raw.gz": (".nhdr",),
}


def are_asked_for(sources: Sources) -> bool:
    """Whether a job asks which files belong together, or brings two."""
    return bool(sources.companions) or any(
        view.kind is ViewKind.COMPANION for view in sources.job.views
    )


def names(file: SourceFile) -> bytes:
    """JSON with the names of the other file that a volume needs, in the same folder: of its data,
    or those that its header may have (``are_headers``).
    """
    head = head_of(file, _HEAD)
    if _is_header(head):
        data = _data_name(file, head)
        return msgspec.json.encode({"names": [data] if data else []})
    stem, suffix = _split(file.name)
    headers = _HEADERS_OF.get(suffix.lower(), ())
    found = [stem + (header.upper() if suffix.isupper() else header) for header in headers]
    return msgspec.json.encode({"names": found, "are_headers": True})


def header_and_data(sources: Sources) -> tuple[SourceFile, SourceFile]:
    """Which of two files is which, whichever was asked for; NotAPicture if they are no pair."""
    files = [sources.file, *sources.companions.values()]
    header = next(
        (file for file in files if _split(file.name)[1].lower().startswith(_HEADERS)), None
    )
    if header is None or len(files) != 2:
        raise NotAPicture("it has no header of its own.")
    data = files[1] if header is files[0] else files[0]
    head = head_of(header, _HEAD)
    if not _is_header(head) or _data_name(header, head) != data.name:
        raise NotAPicture("the header beside it is of another file, or of none.")
    return header, data


def _is_header(head: bytes) -> bool:
    known: tuple[Callable[[bytes], object], ...] = (
        nifti.kind,
        nrrd.is_one,
        metaimage.is_one,
    )
    return any(is_known(head) for is_known in known)


def _data_name(file: SourceFile, head: bytes) -> str:
    """ "" if the voxels are in the header's own file."""
    if nrrd.is_one(head):
        return nrrd.data_name(head)
    if metaimage.is_one(head):
        return metaimage.data_name(head)
    stem, suffix = _split(file.name)
    if not nifti.has_data_apart(head) or not suffix.lower().startswith(".hdr"):
        return ""
    data = suffix.lower().replace(".hdr", ".img")
    return stem + (data.upper() if suffix.isupper() else data)


def _split(name: str) -> tuple[str, str]:
    """Stem and suffix, with .gz."""
    is_gzip = name.lower().endswith(".gz")
    stem, suffix = os.path.splitext(name[:-3] if is_gzip else name)
    return stem, suffix + (name[-3:] if is_gzip else "")
