"""Workers for tests, ``python -m tests.pictures.decoders NAME``: each decodes as one function says.

They are real processes in the real sandbox; the decoder alone is of the tests.
"""

from __future__ import annotations

import errno
import os
import select
import sys
from collections.abc import Iterator

from imgd.pictures.messages import MAX_BODY, Progress
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
    """Each view says how many views its job has, and who made it; of "sleep", never."""
    if sources.file.read(0, 100) == b"sleep":
        select.poll().poll()
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


def strange(sources: Sources) -> Iterator[Made | Progress]:
    """Nothing that was asked for, and much that was not."""
    yield Progress(is_volume=True)
    yield Made.of(View(ViewKind.INFO), JSON, b"{}")
    for index in range(100, 500):
        yield Made.of(View(ViewKind.SLICE, index=index), PNG, b"unasked")


def flood(sources: Sources) -> Iterator[Made | Progress]:
    """More than any worker sends."""
    yield Progress(is_volume=True)
    for index in range(10):
        yield Made.of(View(ViewKind.SLICE, index=index), PNG, bytes(MAX_BODY))


def first_of_all(sources: Sources) -> Iterator[Made]:
    """The first job is done, the second never."""
    if _held:
        select.poll().poll()
    _held.append(b"")
    yield from counting(sources)


def surroundings(sources: Sources) -> Iterator[Made]:
    """Names in the environment, and the descriptors that are open."""
    fds = [fd for fd in range(100) if _is_open(fd)]
    text = f"{','.join(os.environ)} {','.join(map(str, fds))}"
    yield from (Made.of(view, JSON, text.encode()) for view in sources.job.views)


def _is_open(fd: int) -> bool:
    try:
        os.lseek(fd, 0, os.SEEK_CUR)
    except OSError as error:
        return error.errno != errno.EBADF
    return True


def hog(sources: Sources) -> Iterator[Made]:
    """The worker holds more memory after each job."""
    _held.append(b"x" * 400_000_000)
    yield from counting(sources)


_held: list[bytes] = []

_NAMED = (echo, counting, by_content, strange, flood, first_of_all, surroundings, hog)
DECODERS: dict[str, Decode] = {decode.__name__: decode for decode in _NAMED}

if __name__ == "__main__":
    run(DECODERS[sys.argv[1]])
