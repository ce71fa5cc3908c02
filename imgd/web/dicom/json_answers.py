"""Answers of DICOM JSON: their type, and arrays written piece by piece."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from typing import Final

from imgd.core.plan import Header
from imgd.dicom.model import IndexedInstance
from imgd.web.backpressure import BackpressuredWriter
from imgd.web.dicom.asked import accepted_type
from imgd.web.request import Request

DICOM_JSON: Final = "application/dicom+json"
# How much of the store is in memory at a time: records of files of many frames are large.
MAX_FRAMES: Final = 128
_TYPES: Final = (DICOM_JSON, "application/json")
_NO_XML: Final = f"imgd gives this as {DICOM_JSON} alone: it has no XML. Accept that, or */*."


def json_type(request: Request) -> Header:
    """The type of an answer of DICOM JSON; 406 if the client does not accept it."""
    return b"Content-Type", accepted_type(request, _TYPES, _NO_XML).encode("ascii")


def pieces(instances: Sequence[IndexedInstance]) -> Iterator[slice]:
    """Parts of a sequence, each of ``MAX_FRAMES`` frames, or of one instance that has more."""
    start = frames = 0
    for number, instance in enumerate(instances):
        if frames and frames + max(instance.frames, 1) > MAX_FRAMES:
            yield slice(start, number)
            start, frames = number, 0
        frames += max(instance.frames, 1)
    if instances:
        yield slice(start, len(instances))


async def write_array(
    request: Request,
    headers: Iterable[Header],
    instances: Sequence[IndexedInstance],
    objects: Callable[[slice], Awaitable[bytes]],
) -> None:
    """Answer with a JSON array. ``objects`` gives those of a piece, with commas between them.

    An error before the first piece is an answer; after it, it cuts the body.
    """
    cuts = list(pieces(instances)) if request.method == b"GET" else []
    data = await objects(cuts[0]) if cuts else b""
    for name, value in headers:
        request.responseHeaders.addRawHeader(name, value)
    if request.method == b"GET":
        with BackpressuredWriter(request) as writer:
            await writer.write(b"[" + data)
            for cut in cuts[1:]:
                if writer.is_over:
                    return
                await writer.write(b"," + await objects(cut))
            await writer.write(b"]")
    if not request.is_gone:
        request.finish()
