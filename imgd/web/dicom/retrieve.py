"""WADO-RS instances and frames (DICOM PS3.18 section 10.4): files, and ranges of them, as they are.

Nothing is decoded or converted: what a client would have otherwise is a 406.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import closing
from functools import partial
from typing import Final

from imgd.collections.manager import LoadedCollection
from imgd.core import joined_file
from imgd.core.dicomweb_paths import DicomwebTarget
from imgd.core.joined_file import FileSlice, JoinedFile
from imgd.core.ranges import Slice
from imgd.dicom import accept, frame_layout, multipart
from imgd.dicom.accept import Offer
from imgd.dicom.frame_layout import BYTES, FrameLayout
from imgd.dicom.model import IndexedInstance
from imgd.files import disk
from imgd.files.disk import Root
from imgd.web.dicom.asked import accepted, instances_of
from imgd.web.dicom.parts import DicomParts
from imgd.web.many_files import send_joined
from imgd.web.request import Request

_DICOM: Final = "application/dicom"
MANY: Final = 200  # instances whose answer is not put together on the reactor's thread
# Bytes from the VR to the value: it, two reserved ones, four of the length (PS3.5 section 7.1.2).
_VR_BEFORE_VALUE: Final = 8


async def answer(
    request: Request, parts: DicomParts, loaded: LoadedCollection, target: DicomwebTarget
) -> None:
    """All files of a study or a series, or the one of an instance."""
    instances = await _instances(parts, loaded, target)
    syntaxes = {instance.syntax for instance in instances}
    offers = [Offer(_DICOM, syntaxes.pop() if len(syntaxes) == 1 else "")]
    if target.level == "instances":
        offers.append(offers[0]._replace(is_multipart=False))
    bodies = (
        (
            Offer(_DICOM, instance.syntax).content_type,
            (FileSlice(instance.names, instance.facts, Slice(0, instance.facts.size)),),
        )
        for instance in instances
    )
    await _send(request, parts, loaded, instances, accept.choose(accepted(request), offers), bodies)


async def answer_frames(
    request: Request, parts: DicomParts, loaded: LoadedCollection, target: DicomwebTarget
) -> None:
    """Frames of an instance, in the order asked."""
    instances = await _instances(parts, loaded, target)
    instance = instances[0]
    layout = frame_layout.of_indexed(instance) or await _layout(parts, loaded, instance)
    frames = [
        [FileSlice(instance.names, instance.facts, part) for part in layout.slices(number)]
        for number in target.frames
    ]
    types = dict.fromkeys((layout.media_type, BYTES))
    offers = [Offer(media_type, layout.syntax) for media_type in types]
    if len(frames) == 1:
        offers += [offer._replace(is_multipart=False) for offer in offers]
    chosen = accept.choose(accepted(request), offers)
    bodies = ((chosen.content_type, frame) for frame in frames)
    await _send(request, parts, loaded, instances, chosen, bodies)


async def _instances(
    parts: DicomParts, loaded: LoadedCollection, target: DicomwebTarget
) -> Sequence[IndexedInstance]:
    """An instance that was there a second ago need not be asked for: whether its file is the same
    is seen when that is opened.
    """
    if target.level == "instances" and (recent := parts.indexes.recent(loaded)) is not None:
        found = list(recent.instances(target.study, target.series, target.instance))
        if found:
            return found
    return instances_of(await parts.indexes.index(loaded), target)


async def _layout(
    parts: DicomParts, loaded: LoadedCollection, instance: IndexedInstance
) -> FrameLayout:
    [record] = await parts.indexes.records(loaded, [instance])
    is_swapped = False
    if record.pixels is not None and record.syntax == frame_layout.BIG_ENDIAN:
        root, names, offset = loaded.root, instance.names, record.pixels.offset
        key = (root.path, names)
        is_swapped = await parts.ask(root.path, _has_words, root, names, offset, key=key)
    return frame_layout.of_record(record, is_swapped=is_swapped)


def _has_words(root: Root, names: tuple[str, ...], offset: int) -> bool:
    """Whether the pixels of a file with explicit VR, whose value is at ``offset``, are words of 16
    bits. Blocks.
    """
    with closing(disk.open_file(root, names)) as file:
        return file.read(offset - _VR_BEFORE_VALUE, 2) != b"OB"


async def _send(
    request: Request,
    parts: DicomParts,
    loaded: LoadedCollection,
    instances: Sequence[IndexedInstance],
    chosen: Offer,
    bodies: Iterable[multipart.Part],
) -> None:
    """Send what was chosen: bodies of these instances, each with its Content-Type."""
    what = (request.path.rstrip(b"/"), chosen.content_type.encode("ascii"))
    make = partial(_make, instances, chosen, bodies, what)
    is_long = len(instances) > MANY
    made = (await parts.run(loaded.root.path, make, key=request)) if is_long else make()
    joined, media_type, tag = made
    rep = joined_file.represent(joined, media_type, tag, request.now, request.site.max_age)
    plan = joined_file.plan_joined(rep, request.conditions(), request.now)
    await send_joined(request, plan, joined, parts.opener(loaded, instances))


def _make(
    instances: Iterable[IndexedInstance],
    chosen: Offer,
    bodies: Iterable[multipart.Part],
    what: Iterable[bytes],
) -> tuple[JoinedFile, str, str]:
    """The answer, its Content-Type, and what its ETag is made of."""
    kind = b"multipart" if chosen.is_multipart else b"single"
    tag = joined_file.digest((instance.facts for instance in instances), *what, kind)
    if chosen.is_multipart:
        boundary = f"imgd-{tag}"
        joined = JoinedFile(multipart.message(bodies, boundary))
        return joined, multipart.content_type(chosen.media_type, boundary), tag
    [(media_type, pieces)] = bodies
    return JoinedFile(pieces), media_type, tag
