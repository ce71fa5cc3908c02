"""What a file is, by its content, and who decodes it."""

from __future__ import annotations

from collections.abc import Iterator

from imgd.pictures.worker.source import Made, NotAPicture, PictureError, Sources


def decode(sources: Sources) -> Iterator[Made]:
    """Every view of the job, in any order, and perhaps more."""
    try:
        yield from _decode(sources)
    except PictureError as error:
        for view in sources.job.views:
            yield Made.failed(view, error)


def _decode(_sources: Sources) -> Iterator[Made]:
    raise NotAPicture("no decoder knows it.")
