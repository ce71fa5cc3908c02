"""What a file is, by its content, and who decodes it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from itertools import chain
from typing import IO, Final

from imgd.pictures.messages import Job, Progress
from imgd.pictures.views import View, ViewKind
from imgd.pictures.worker import dicom, dicom_index, halves, raster, samples, volumes
from imgd.pictures.worker.formats import HEAD_SIZE, refused_format
from imgd.pictures.worker.source import Made, NotAPicture, PictureError, SourceFile, Sources

MAX_WARM_PIXELS: Final = 1 << 16


def decode(sources: Sources) -> Iterator[Made | Progress]:
    """Every view of the job, in any order, and perhaps more."""
    waiting = dict.fromkeys(sources.job.views)
    try:
        for item in _decode(sources):
            if isinstance(item, Made):
                waiting.pop(item.answer.view, None)
            yield item
    except PictureError as error:
        yield from (Made.failed(view, error) for view in waiting)


def warm() -> None:
    """Load what decoders load when they are first used: later, nothing may be opened.

    Returns after every format was decoded once; what cannot be is refused when it is asked for.
    """
    raster.warm()
    dicom_index.warm()
    views = [
        View(ViewKind.THUMB, size=8),
        View(ViewKind.SLICE, index=0, window="p2-98", size=8),
        View(ViewKind.SLICE, index=0, depth=16),
        View(ViewKind.MOSAIC, size=8, columns=2, rows=1),
        View(ViewKind.INFO),
    ]
    for data in chain(samples.pictures(), samples.dicom_files()):
        with _temporary_file() as file:
            file.write(data)
            file.flush()
            source = SourceFile(file.fileno(), "", len(data))
            for asked in (views, [View(ViewKind.PATIENT_INDEX)]):
                for _ in decode(Sources(source, {}, Job(asked, [""], MAX_WARM_PIXELS))):
                    pass


def _temporary_file() -> IO[bytes]:
    """In memory if the system has that: a hardened service may have no folder to write to."""
    memfd_create = getattr(os, "memfd_create", None)
    return open(memfd_create("imgd"), "w+b") if memfd_create else tempfile.TemporaryFile()


def _decode(sources: Sources) -> Iterator[Made | Progress]:
    if dicom_index.is_asked_for(sources.job):
        return dicom_index.make(sources)
    if halves.are_asked_for(sources):
        return volumes.make_of_halves(sources)
    head = sources.file.read(0, HEAD_SIZE)
    if dicom.detect(head):  # first: its preamble may make it a TIFF, too
        return dicom.make(sources)
    if raster.detect(head):
        return raster.make(sources)
    if reader := volumes.detect(head, sources.file):
        return volumes.make(sources, reader)
    if not head:
        raise NotAPicture("it is empty.")
    if name := refused_format(head):
        raise NotAPicture(f"{name} is not decoded.")
    raise NotAPicture("no decoder knows it.")
