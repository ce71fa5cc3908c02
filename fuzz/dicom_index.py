"""Headers of DICOM files: whatever they hold, the index is told of an instance with its pixels in
the file, or in a sentence why not; and of no text unless that was asked for.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterator
from typing import Any

import atheris
import pydicom
from pydicom.dataset import Dataset

from fuzz.harness import must, run

with atheris.instrument_imports(include=["imgd"]):
    from imgd.pictures.instances import Broken, Instance, Pixels, parse
    from imgd.pictures.messages import Job
    from imgd.pictures.views import INDEXES, View, ViewKind
    from imgd.pictures.worker import dicom_index, samples
    from imgd.pictures.worker.source import SourceFile, Sources

KINDS = ("UI", "CS", "DS", "IS", "FD", "FL", "US", "SS", "UL", "SL", "AT", "OW", "SQ")


def one_input(data: bytes) -> None:
    """The first byte says whether the patient is asked for."""
    kind, content = INDEXES[(data[:1] or b"\0")[0] & 1], data[1:]
    fd = os.memfd_create("fuzz")
    try:
        os.write(fd, content)
        source = SourceFile(fd, "x", len(content))
        job = Job([View(kind)], [source.name], 1)
        [made] = dicom_index.make(Sources(source, {}, job, [source]))
    finally:
        os.close(fd)
    [found] = parse(made.body)
    if isinstance(found, Broken):
        must(found.why.endswith(".") and found.why.isascii() and len(found.why) < 100, found)
    if isinstance(found, Instance):
        must(found.study and found.series and found.uid, found)
        must(len(found.planes) in (0, max(found.frames, 1)), len(found.planes), found.frames)
        if found.pixels is not None:
            check_places(found.pixels, found.frames, len(content))
        attributes = json.loads(bytes(found.metadata), parse_constant=no_number)
        if kind is ViewKind.INDEX:
            check_kinds(attributes)


def no_number(text: str) -> None:
    must(False, text)


def check_places(pixels: Pixels, frames: int, size: int) -> None:
    must(0 < pixels.offset <= size and pixels.offset + pixels.length <= size, pixels, size)
    must(len(pixels.fragments) in (0, frames), len(pixels.fragments), frames)
    for flat in pixels.fragments:
        must(len(flat) % 2 == 0 and flat, flat)
        for offset, length in zip(flat[::2], flat[1::2], strict=True):
            must(offset > 0 and length >= 0 and offset + length <= size, offset, length, size)


def check_kinds(attributes: dict[str, Any]) -> None:
    """Text is there without a value, if at all."""
    for tag, attribute in attributes.items():
        int(tag, 16)
        if attribute.keys() == {"vr"}:
            continue
        must(attribute["vr"] in KINDS, tag, attribute)
        for item in attribute.get("Value", ()):
            if isinstance(item, dict):
                check_kinds(item)


def files() -> Iterator[bytes]:
    """As samples have them, with the UIDs of an instance, a name, and groups for each frame."""
    for data in samples.dicom_files():
        dataset = pydicom.dcmread(io.BytesIO(data))
        dataset.StudyInstanceUID = dataset.SeriesInstanceUID = "1.2.3"
        dataset.PatientName, dataset.SpecificCharacterSet = "A^B=C", ["", "ISO 2022 IR 87"]
        position, frame = Dataset(), Dataset()
        position.ImagePositionPatient = [1, 2, 3]
        frame.PlanePositionSequence = [position]
        dataset.PerFrameFunctionalGroupsSequence = [frame]
        dataset["PerFrameFunctionalGroupsSequence"].is_undefined_length = True
        out = io.BytesIO()
        dataset.save_as(out)
        yield out.getvalue()


if __name__ == "__main__":
    run(one_input, tuple(bytes([kind]) + data for data in files() for kind in (0, 1)))
