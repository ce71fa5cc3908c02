"""What a file is, by its content, and who decodes it."""

from __future__ import annotations

from collections.abc import Iterator

from imgd.pictures.messages import Progress
from imgd.pictures.worker import dicom, raster
from imgd.pictures.worker.formats import HEAD_SIZE, refused_format
from imgd.pictures.worker.source import Made, NotAPicture, PictureError, Sources


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
    """Load what decoders load when they are first used: later, nothing may be opened."""
    raster.warm()
    dicom.warm()


def _decode(sources: Sources) -> Iterator[Made | Progress]:
    head = sources.file.read(0, HEAD_SIZE)
    if dicom.detect(head):  # first: its preamble may make it a TIFF, too
        return dicom.make(sources)
    if raster.detect(head):
        return raster.make(sources)
    if not head:
        raise NotAPicture("it is empty.")
    if name := refused_format(head):
        raise NotAPicture(f"{name} is not decoded.")
    raise NotAPicture("no decoder knows it.")
