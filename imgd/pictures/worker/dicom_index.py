"""What the index keeps of DICOM files: many of them in one job, each for itself."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator, Sequence
from typing import Final

import msgspec
import numpy as np
from pydicom.tag import BaseTag
from pydicom.uid import DeflatedExplicitVRLittleEndian

from imgd.pictures.instances import MAX_ANSWER, MAX_METADATA, Broken, Ignored, Indexed, Instance
from imgd.pictures.messages import Job
from imgd.pictures.views import INDEXES, View, ViewKind
from imgd.pictures.worker import dicom_attributes as attributes_of
from imgd.pictures.worker import dicom_patient
from imgd.pictures.worker.dicom_header import (
    BoundedFile,
    Parsed,
    PixelPlace,
    detect,
    find_pixels,
    parse,
)
from imgd.pictures.worker.dicom_json import Json
from imgd.pictures.worker.dicom_metadata import TAGS, metadata
from imgd.pictures.worker.dicom_places import BadPixels, places
from imgd.pictures.worker.dicom_planes import planes
from imgd.pictures.worker.encoding import JSON
from imgd.pictures.worker.formats import HEAD_SIZE
from imgd.pictures.worker.source import Made, NotAPicture, PictureError, SourceFile, Sources

HEAD: Final = 1 << 16  # bytes in which most headers end
MAX_HEADER: Final = 16 << 20  # bytes of elements that are read
MAX_VALUE: Final = 12 << 20  # bytes of one: a sequence of thousands of frames
MAX_FRAMES: Final = 100_000  # of a file whose pixels cannot be found
_NOT_READ: Final = "Its DICOM data is broken or cut short."
_LOOKED_AT: Final = 1 << 16  # bytes of pixels
_DIRECTORY: Final = "1.2.840.10008.1.3.10"  # Media Storage Directory Storage
_IDENTITY: Final = (
    ("StudyInstanceUID", "Study Instance UID"),
    ("SeriesInstanceUID", "Series Instance UID"),
    ("SOPInstanceUID", "SOP Instance UID"),
)


class BrokenFile(Exception):
    """``why`` is one sentence."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class _CountedFile(BoundedFile):
    """A file of which so many bytes may be read and no more: else a header would have no end."""

    def __init__(self, file: io.BufferedReader, size: int) -> None:
        super().__init__(file, size)
        self._left = MAX_HEADER

    def read(self, length: int = -1) -> bytes:
        data = super().read(length)
        self._left -= len(data)
        if self._left < 0:
            raise BrokenFile(f"Its header has more than {MAX_HEADER >> 20} MB.")
        return data


def warm() -> None:
    """Load what reading loads when it is first used."""
    dicom_patient.warm()


def is_asked_for(job: Job) -> bool:
    """Whether a job is of the index: its files have nothing to do with each other."""
    return any(view.kind in INDEXES for view in job.views)


def make(sources: Sources) -> Iterator[Made]:
    """An answer to each view of such a job, as ``instances.parse`` reads it."""
    files = sources.files or [sources.file]
    with warnings.catch_warnings():  # what pydicom warns of quotes files
        warnings.simplefilter("ignore")
        answers = [(view, answer(files, view)) for view in sources.job.views]
    for view, body in answers:
        yield Made.of(view, JSON, body)


def answer(files: Sequence[SourceFile], view: View) -> bytes:
    """JSON of as many files as there is room for."""
    parts: list[bytes] = []
    room = MAX_ANSWER
    for file in files:
        part = msgspec.json.encode(indexed(file, with_patient=view.kind is ViewKind.PATIENT_INDEX))
        room -= len(part) + 1
        if parts and room < 0:
            break
        parts.append(part)
    return b"[" + b",".join(parts) + b"]"


def indexed(file: SourceFile, *, with_patient: bool) -> Indexed:
    """A file, whatever it holds."""
    try:
        return _indexed(file, with_patient)
    except BrokenFile as error:
        return Broken(error.why)
    except MemoryError:
        return Broken("It takes too much memory.")
    except PictureError as error:
        return Broken(_NOT_READ if isinstance(error, NotAPicture) else error.detail)
    except Exception:  # pydicom raises whatever the data leads it to
        return Broken(_NOT_READ)


def _indexed(file: SourceFile, with_patient: bool) -> Indexed:
    parsed, place = _read(file, None if with_patient else TAGS)
    if _is_directory(parsed):
        return Ignored()
    syntax = str(DeflatedExplicitVRLittleEndian if parsed.is_deflated else parsed.syntax)
    attributes = metadata(parsed.dataset, syntax, with_patient=with_patient)
    text = msgspec.json.encode(attributes)
    if len(text) > MAX_METADATA:
        raise BrokenFile(f"Its metadata has more than {MAX_METADATA >> 20} MB.")
    for keyword, name in _IDENTITY:
        if not attributes_of.text(attributes, keyword):
            is_dicom = detect(file.read(0, HEAD_SIZE))
            raise BrokenFile(f"It has no {name}." if is_dicom else "It is not DICOM.")
    return _instance(file, parsed, place, attributes, msgspec.Raw(text))


def _read(file: SourceFile, tags: list[BaseTag | int] | None) -> tuple[Parsed, PixelPlace | None]:
    """Out of its first bytes, if that is enough: it is three times as fast."""
    head = file.read(0, HEAD)
    try:
        parsed = parse(io.BytesIO(head), tags, MAX_VALUE)
        place = find_pixels(parsed)
        if place is not None or len(head) == file.size:
            return parsed, place
    except Exception:
        if len(head) == file.size:
            raise
    parsed = parse(_CountedFile(file.open(), file.size), tags, MAX_VALUE)
    return parsed, find_pixels(parsed)


def _is_directory(parsed: Parsed) -> bool:
    meta = getattr(parsed.dataset, "file_meta", None)
    return meta is not None and meta.get("MediaStorageSOPClassUID") == _DIRECTORY


def _instance(
    file: SourceFile,
    parsed: Parsed,
    place: PixelPlace | None,
    attributes: Json,
    text: msgspec.Raw,
) -> Instance:
    number = attributes_of.whole
    frames = 0 if place is None else max(number(attributes, "NumberOfFrames") or 1, 1)
    allocated = number(attributes, "BitsAllocated") or 0
    stored = number(attributes, "BitsStored") or allocated
    instance = Instance(
        study=attributes_of.text(attributes, "StudyInstanceUID"),
        series=attributes_of.text(attributes, "SeriesInstanceUID"),
        uid=attributes_of.text(attributes, "SOPInstanceUID"),
        sop_class=attributes_of.text(attributes, "SOPClassUID"),
        syntax=attributes_of.text(attributes, "AvailableTransferSyntaxUID"),
        modality=attributes_of.text(attributes, "Modality"),
        series_number=number(attributes, "SeriesNumber"),
        number=number(attributes, "InstanceNumber"),
        acquisition=number(attributes, "AcquisitionNumber"),
        frames=frames,
        rows=number(attributes, "Rows") or 0,
        columns=number(attributes, "Columns") or 0,
        samples=number(attributes, "SamplesPerPixel") or 1,
        photometric=attributes_of.text(attributes, "PhotometricInterpretation"),
        bits_allocated=allocated,
        bits_stored=stored,
        high_bit=_or(number(attributes, "HighBit"), max(stored - 1, 0)),
        is_signed=number(attributes, "PixelRepresentation") == 1,
        planes=planes(attributes, frames) if place else [],
        metadata=text,
    )
    _add_values(instance, attributes)
    if place is not None:
        _add_pixels(instance, file, parsed, place)
    return instance


def _or(value: int | None, default: int) -> int:
    return default if value is None else value


def _add_values(instance: Instance, attributes: Json) -> None:
    """What may be in the groups of the first frame, those of all frames, or the file."""
    own = attributes_of.item(attributes, "PerFrameFunctionalGroupsSequence")
    shared = attributes_of.item(attributes, "SharedFunctionalGroupsSequence")
    measures, window = (
        attributes_of.item(own, keyword) or attributes_of.item(shared, keyword) or attributes
        for keyword in ("PixelMeasuresSequence", "FrameVOILUTSequence")
    )
    instance.thickness = attributes_of.number(measures, "SliceThickness")
    center = attributes_of.number(window, "WindowCenter")
    width = attributes_of.number(window, "WindowWidth")
    instance.window = None if center is None or width is None else [center, width]


def _add_pixels(instance: Instance, file: SourceFile, parsed: Parsed, place: PixelPlace) -> None:
    bits = instance.rows * instance.columns * instance.samples * instance.bits_allocated
    if instance.photometric == "YBR_FULL_422":
        bits = bits // 3 * 2
    size = -(-bits * instance.frames // 8)
    try:
        instance.pixels = places(file, parsed, place, instance.frames, size)
    except BadPixels as error:
        instance.note = error.why
        if instance.frames > MAX_FRAMES:  # else each would be listed
            raise BrokenFile("It does not have the frames that its header claims.") from None
        return
    if not instance.pixels.fragments and instance.bits_stored < instance.bits_allocated:
        is_little = bool(parsed.dataset.original_encoding[1])
        instance.has_other_bits = _has_other_bits(file, instance, is_little)


def _has_other_bits(file: SourceFile, instance: Instance, is_little: bool) -> bool:
    """Whether the bits beside those that are stored are neither zero nor the sign, in the middle of
    the pixels (PS3.5 section 8.1.1).
    """
    assert instance.pixels is not None
    allocated, stored, high = instance.bits_allocated, instance.bits_stored, instance.high_bit
    if allocated not in (8, 16, 32) or not 0 < stored <= high + 1 <= allocated:
        return False
    middle = instance.pixels.offset + instance.pixels.length // 2 // 8 * 8
    end = instance.pixels.offset + instance.pixels.length
    data = file.read(middle, min(_LOOKED_AT, end - middle))
    kind = f"{'<' if is_little else '>'}{'i' if instance.is_signed else 'u'}{allocated // 8}"
    values = np.frombuffer(data[: len(data) // 8 * 8], kind)
    if high != stored - 1:
        below = (1 << high + 1 - stored) - 1
        if (values & values.dtype.type(below)).any():
            return True
    up = allocated - 1 - high
    return bool(((values << up) >> up != values).any())
