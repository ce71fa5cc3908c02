"""Workers for tests, ``python -m tests.pictures.decoders NAME``: each decodes as one function says.

They are real processes in the real sandbox; the decoder alone is of the tests.
"""

from __future__ import annotations

import os
import select
import sys
from collections.abc import Iterator

from imgd.pictures.messages import Progress
from imgd.pictures.views import Plane, View, ViewKind
from imgd.pictures.worker.encoding import JSON, PNG
from imgd.pictures.worker.jobs import Decode, run
from imgd.pictures.worker.source import Made, PictureError, Sources

COMMAND = (sys.executable, "-m", "tests.pictures.decoders")


def echo(sources: Sources) -> Iterator[Made | Progress]:
    """Each view is the bytes of the file; a slice brings its neighbour."""
    file = sources.file
    for view in sources.job.views:
        if view.kind is ViewKind.SLICE:
            yield Progress(is_volume=True)
            extra = View(ViewKind.SLICE, plane=Plane.AXIAL, index=(view.index or 0) + 1)
            yield Made.of(extra, PNG, b"extra")
        yield Made.of(view, PNG, file.read(0, file.size))


def counting(sources: Sources) -> Iterator[Made]:
    """Each view says how many views its job has, and who made it."""
    for view in sources.job.views:
        yield Made.of(view, JSON, b"%d %d" % (len(sources.job.views), os.getpid()))


def by_content(sources: Sources) -> Iterator[Made | Progress]:
    """The file says what happens."""
    data = sources.file.read(0, 100)
    if data.startswith(b"volume"):
        yield Progress(is_volume=True)
    match data:
        case b"sleep" | b"volume that sleeps":
            select.poll().poll()
        case b"crash":
            os.abort()
        case b"memory":
            bytes(1 << 31)
        case b"refuse":
            raise PictureError(413, f"More than {sources.job.max_pixels} pixels.")
        case b"bug":
            raise ValueError("the name of a patient", "/a/path")
        case b"left":
            return
    yield from (Made.of(view, PNG, data) for view in sources.job.views)


def hog(sources: Sources) -> Iterator[Made]:
    """The worker holds more memory after each job."""
    _held.append(b"x" * 400_000_000)
    yield from counting(sources)


_held: list[bytes] = []

DECODERS: dict[str, Decode] = {
    decode.__name__: decode for decode in (echo, counting, by_content, hog)
}

if __name__ == "__main__":
    run(DECODERS[sys.argv[1]])
