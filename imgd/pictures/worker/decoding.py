"""What a file is, by its content, and who decodes it."""

from __future__ import annotations

from collections.abc import Iterator

from imgd.pictures.messages import Progress
from imgd.pictures.worker import halves, volumes
from imgd.pictures.worker.source import Made, NotAPicture, PictureError, Sources

HEAD_SIZE = 1 << 13  # bytes


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


def _decode(sources: Sources) -> Iterator[Made | Progress]:
    if halves.are_asked_for(sources):
        return volumes.make_of_halves(sources)
    head = sources.file.read(0, HEAD_SIZE)
    if reader := volumes.detect(head, sources.file):
        return volumes.make(sources, reader)
    raise NotAPicture("no decoder knows it.")
