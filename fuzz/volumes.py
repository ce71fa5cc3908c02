"""Headers and voxels of volumes: whatever they hold, each view gets one answer, and no picture is
larger than is allowed.
"""

from __future__ import annotations

import gzip
import os
import struct
import zlib

import atheris

from fuzz.harness import must, run

with atheris.instrument_imports(include=["imgd"]):
    from imgd.pictures.messages import Job
    from imgd.pictures.views import View, ViewKind, parse
    from imgd.pictures.worker import halves, volumes
    from imgd.pictures.worker.source import Made, PictureError, SourceFile, Sources

MAX_PIXELS = 1 << 16
STATUSES = (200, 400, 413, 415)
QUERIES = (
    b"slice=axial", b"slice=coronal:1&size=256&window=1,2", b"slice=sagittal:2&depth=16&t=1",
    b"slice=axial:0&depth=16&size=256", b"slice=axial&convention=neuro&window=min-max",
    b"mosaic=2x2&axis=coronal&size=256", b"thumb", b"info",
)  # fmt: skip
VIEWS = [view for query in QUERIES if (view := parse(query)) is not None]
COMPANION = View(ViewKind.COMPANION)


def one_input(data: bytes) -> None:
    """The first byte says how the rest is packed, and whether a header has its data beside it."""
    way, content = data[:1] or b"\0", data[1:]
    if way[0] & 1:
        content = gzip.compress(content, 1)
    files = [in_memory("a.img" if way[0] & 4 else "a.mhd", content)]
    if way[0] & 2:
        files.append(
            in_memory("a.raw" if not way[0] & 4 else "a.hdr", content[len(content) // 2 :])
        )
    try:
        companions = {file.name: file for file in files[1:]}
        ask(Sources(files[0], companions, Job(VIEWS, [], MAX_PIXELS)))
        ask(Sources(files[0], {}, Job([COMPANION], [], MAX_PIXELS)))
    finally:
        for file in files:
            os.close(file.fd)


def in_memory(name: str, content: bytes) -> SourceFile:
    fd = os.memfd_create("fuzz")
    os.write(fd, content)
    return SourceFile(fd, name, len(content))


def ask(sources: Sources) -> None:
    """Every view is answered once, or refused with one of the statuses that a client may get."""
    answered: list[View] = []
    try:
        if halves.are_asked_for(sources):
            answers = volumes.make_of_halves(sources)
        else:
            reader = volumes.detect(sources.file.read(0, 1024), sources.file)
            if reader is None:
                return
            answers = volumes.make(sources, reader)
        for item in answers:
            if isinstance(item, Made):
                answered.append(item.answer.view)
                check(item)
    except PictureError as error:
        must(error.status in STATUSES, error)
        return
    must(len(answered) == len(set(answered)), answered)
    must(set(answered) >= set(sources.job.views), answered)


def check(made: Made) -> None:
    must(made.answer.status in STATUSES, made.answer)
    must(made.answer.size == len(made.body), made.answer)
    if made.answer.media_type == "image/png":
        width, height = struct.unpack_from(">II", made.body, 16)
        must(width * height <= 4 * MAX_PIXELS, width, height)


def nifti(datatype: int, order: str = "<", single: bool = True) -> bytes:
    header = bytearray(348)
    struct.pack_into(order + "i", header, 0, 348)
    struct.pack_into(order + "8h", header, 40, 4, 4, 4, 4, 2, 1, 1, 1)
    struct.pack_into(order + "2h", header, 70, datatype, 16)
    struct.pack_into(order + "8f", header, 76, *[1.0] * 8)
    struct.pack_into(order + "3f", header, 108, 352.0 if single else 0.0, 2.0, 1.0)
    struct.pack_into(order + "2h", header, 252, 1, 1)
    struct.pack_into(order + "12f", header, 280, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0)
    header[344:348] = b"n+1\0" if single else b"ni1\0"
    return bytes(header) + (b"\0" * 4 + bytes(range(256)) * 2 if single else b"")


def nifti_2() -> bytes:
    header = bytearray(540)
    struct.pack_into("<i8s2h", header, 0, 540, b"n+2\0\r\n\x1a\n", 16, 32)
    struct.pack_into("<8q", header, 16, 3, 4, 4, 4, 1, 1, 1, 1)
    struct.pack_into("<8d", header, 104, *[1.0] * 8)
    struct.pack_into("<q2d", header, 168, 544, 1.0, 0.0)
    return bytes(header) + bytes(4) + bytes(range(256))


NRRD = b"""NRRD0004
type: short
dimension: 4
space: left-posterior-superior
sizes: 2 3 4 5
space directions: none (1,0,0) (0,1,0) (0,0,1)
kinds: list domain domain domain
endian: little
encoding: %s
space origin: (0,0,0)
%s
"""
METAIMAGE = b"""ObjectType = Image
NDims = 3
BinaryDataByteOrderMSB = False
CompressedData = %s
TransformMatrix = 1 0 0 0 1 0 0 0 1
Offset = 0 0 0
ElementSpacing = 1 1 2
DimSize = 3 4 5
ElementNumberOfChannels = 3
ElementType = MET_UCHAR
ElementDataFile = %s
"""
VOXELS = bytes(range(240))
MGH = struct.pack(
    ">7ih15f", 1, 3, 4, 5, 2, 4, 0, 1, *[1.0] * 3, -1, 0, 0, 0, 0, -1, 0, 1, 0, 0, 0, 0
)


if __name__ == "__main__":
    run(
        one_input,
        (
            *(b"\0" + nifti(code) for code in (2, 4, 16, 32, 64, 128, 2304, 256, 1024)),
            b"\0" + nifti(4, ">"),
            b"\1" + nifti(4),
            b"\6" + bytes(348) + nifti(4, single=False),
            b"\0" + nifti_2(),
            b"\1" + nifti_2(),
            b"\0" + NRRD % (b"raw", b"") + VOXELS,
            b"\0" + NRRD % (b"gzip", b"") + gzip.compress(VOXELS),
            b"\2" + NRRD % (b"raw", b"data file: a.raw\n"),
            b"\0" + METAIMAGE % (b"False", b"LOCAL") + VOXELS,
            b"\0" + METAIMAGE % (b"True", b"LOCAL") + zlib.compress(VOXELS),
            b"\2" + METAIMAGE % (b"False", b"a.raw") + VOXELS * 2,
            b"\0" + MGH.ljust(284, b"\0") + VOXELS,
            b"\1" + MGH.ljust(284, b"\0") + VOXELS,
        ),
    )
