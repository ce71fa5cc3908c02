"""DICOM files with marks to search for in every element that could tell who is in the picture."""

from __future__ import annotations

import base64
import io
import re
import struct
from functools import cache
from pathlib import Path

import numpy
import pydicom
from pydicom._dicom_dict import DicomDictionary
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, RLELossless

ROOT = "1.2.826.0.1.3680043.8.498.5."  # of the UIDs here, which are addresses and no marks
NAME = "Kanarienvogel^Gelbschnabel"
PATIENT_ID = "1.2.826.0.1.3680043.8.498.77744433322211"  # reads like a UID
DATE, TIME = "19370413", "031415.926535"
NUMBER = "81.41592653"
CODE = "KANARIENCODE"  # fits every rule of a code string
MARKS = ("kanarienvogel", "gelbschn", PATIENT_ID, DATE, "1937-04-13", TIME, NUMBER, CODE.lower())
# What a value of each representation holds; those of numbers only in the module of the patient.
_VALUES = {
    **dict.fromkeys(("LO", "ST", "LT", "UT", "UC"), f"{NAME} of the Gelbschnabel Clinic"),
    **{"PN": f"{NAME}^^Dr.", "SH": "Kanarienvogel 7", "AE": "Kanarienvogel", "AS": "087Y"},
    **{"DA": DATE, "TM": TIME, "DT": DATE + TIME, "UR": "https://kanarienvogel.example/7"},
    **{"CS": "Kanarienvogel 7", "UI": "Kanarienvogel"},
}
_OF_PATIENT = {"CS": CODE, "DS": NUMBER, "IS": "814159265", "US": 81}
# Without their right values no program can tell what the file is, or show it.
_NEEDED = re.compile(
    r"SpecificCharacterSet|(Study|Series|SOP)(Instance|Class)UID|FrameOfReferenceUID|Modality"
    r"|PhotometricInterpretation|PixelPresentation|RescaleType|PresentationLUTShape|VOILUTFunction"
    r"|PixelPaddingRangeLimit|ImageType|SegmentationType|LossyImageCompression|ValueType"
)
_SEQUENCES_OF_PIXELS = re.compile(r"FunctionalGroups|LUT|Icon|PixelMatrix|Palette|Codec|Encrypted")


def _item() -> Dataset:
    item = Dataset()
    item.PatientName, item.PatientID, item.InstitutionName = _VALUES["PN"], PATIENT_ID, NAME
    item.PatientBirthDate, item.StudyTime, item.PatientSex = DATE, TIME, CODE
    item.PatientComments, item.CodeMeaning, item.CodeValue = NAME, NAME, "Kanarienvogel"
    item.PatientWeight, item.DerivationDescription = NUMBER, NAME
    item.private_block(0x0011, "Kanarienvogel", create=True).add_new(1, "PN", NAME)
    return item


def fill(dataset: Dataset) -> int:
    """Put marks into every element of pydicom's dictionary that takes text, the patient's numbers,
    sequences and private elements; the number of them.
    """
    count = 0
    for tag, (representation, _, _, _, keyword) in DicomDictionary.items():
        group = tag >> 16
        if group < 8 or group >= 0x7000 or not keyword or _NEEDED.search(keyword):
            continue
        kind = representation.partition(" ")[0]
        value = (_OF_PATIENT if group == 0x10 else {}).get(kind, _VALUES.get(kind))
        if kind == "SQ" and not _SEQUENCES_OF_PIXELS.search(keyword):
            value = [_item()]
        if value is not None:
            dataset.add_new(tag, kind, value)
            count += 1
    for group in (0x0009, 0x0019, 0x0029, 0x7053):
        block = dataset.private_block(group, "KANARIENVOGEL 1.0", create=True)
        for number, kind in enumerate(("PN", "LO", "UT", "DA", "CS"), 1):
            block.add_new(number, kind, _VALUES[kind])
        block.add_new(0x10, "OB", f"Name: {NAME} ".encode("utf-16-le"))
        block.add_new(0x11, "UN", NAME.encode())
        block.add_new(0x12, "SQ", [_item()])
    dataset.add_new(0x60000022, "LO", NAME)  # of an overlay
    dataset.add_new(0x60004000, "LT", NAME)
    dataset.PatientID = PATIENT_ID
    # The same name in a character set that is not UTF-8.
    dataset.SpecificCharacterSet = "ISO_IR 100"
    dataset.PatientComments = "Gelbschnäbelchen Kanarienvogel"
    return count


def dataset(sop_class: str, study: int, series: int, number: int, modality: str) -> FileDataset:
    """A file with marks and without pixels, of these numbers."""
    uid = f"{ROOT}{study}.{series}.{number}"
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = UID(sop_class), UID(uid)
    meta.SourceApplicationEntityTitle = "Kanarienvogel"
    meta.PrivateInformationCreatorUID, meta.PrivateInformation = UID(ROOT + "9"), NAME.encode()
    preamble = f"{NAME:<128}".encode()
    made = FileDataset("", {}, file_meta=meta, preamble=preamble)
    fill(made)
    made.SOPClassUID, made.SOPInstanceUID = UID(sop_class), UID(uid)
    made.StudyInstanceUID = UID(f"{ROOT}{study}")
    made.SeriesInstanceUID = UID(f"{ROOT}{study}.{series}")
    made.FrameOfReferenceUID = UID(f"{ROOT}{study}.0.1")
    made.Modality, made.SeriesNumber, made.InstanceNumber = modality, series, number
    return made


def _pixels(made: FileDataset, frames: int) -> None:
    size = 24
    values = numpy.arange(frames * size * size).reshape(frames, size, size) % 700
    made.Rows = made.Columns = size
    made.BitsAllocated = made.BitsStored = 16
    made.HighBit, made.PixelRepresentation, made.SamplesPerPixel = 15, 1, 1
    made.PhotometricInterpretation = "MONOCHROME2"
    made.WindowCenter, made.WindowWidth = 300, 600
    made.PixelData = values.astype("<i2").tobytes()


def classic(sop_class: str, study: int, number: int, modality: str) -> FileDataset:
    """A slice."""
    made = dataset(sop_class, study, 1, number, modality)
    _pixels(made, 1)
    made.ImagePositionPatient = [-12, -12, 2.5 * number]
    made.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    made.PixelSpacing, made.SliceThickness = [0.5, 0.5], 2.5
    made.RescaleSlope, made.RescaleIntercept = 1, -1024
    return made


def enhanced(study: int, frames: int = 4) -> FileDataset:
    """An enhanced MR of many frames, with marks in its functional groups."""
    made = dataset("1.2.840.10008.5.1.4.1.1.4.1", study, 1, 1, "MR")
    _pixels(made, frames)
    made.NumberOfFrames = frames
    shared, measures, orientation = _item(), _item(), _item()
    measures.PixelSpacing, measures.SliceThickness = [0.5, 0.5], 2.5
    orientation.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    shared.PixelMeasuresSequence, shared.PlaneOrientationSequence = [measures], [orientation]
    made.SharedFunctionalGroupsSequence = [shared]
    groups = []
    for number in range(frames):
        group, content, position = _item(), _item(), _item()
        content.FrameComments, content.FrameAcquisitionDateTime = NAME, DATE + TIME
        content.InStackPositionNumber, content.StackID = number + 1, "Kanarienvogel"
        position.ImagePositionPatient = [-12, -12, 2.5 * number]
        group.FrameContentSequence, group.PlanePositionSequence = [content], [position]
        groups.append(group)
    made.PerFrameFunctionalGroupsSequence = groups
    return made


def report(study: int) -> FileDataset:
    """A structured report."""
    made = dataset("1.2.840.10008.5.1.4.1.1.88.22", study, 1, 1, "SR")
    made.ValueType, made.CompletionFlag = "CONTAINER", "COMPLETE"
    items = []
    for kind, keyword, value in (
        ("TEXT", "TextValue", NAME),
        ("PNAME", "PersonName", NAME),
        ("DATE", "Date", DATE),
        ("DATETIME", "DateTime", DATE + TIME),
    ):
        item = _item()
        item.ValueType = kind
        setattr(item, keyword, value)
        items.append(item)
    made.ContentSequence = items
    return made


def write(folder: Path) -> None:
    """Write files of each kind, broken ones too, into a folder. No name tells of the patient."""
    folder.mkdir(parents=True)
    for name, data in _files().items():
        (folder / name).write_bytes(data)


@cache
def _files() -> dict[str, bytes]:
    ct, mr = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.4"
    with pydicom.config.disable_value_validation():
        files = {f"IM{number}": _saved(classic(ct, 1, number, "CT")) for number in range(3)}
        compressed = classic(mr, 2, 1, "MR")
        compressed.compress(RLELossless)
        files |= {"IM5": _saved(compressed), "IM6": _saved(enhanced(3)), "IM7": _saved(report(4))}
        nameless = classic(ct, 5, 1, "CT")
        del nameless.SOPInstanceUID
        files["IM8"] = _saved(nameless)
        text = classic(ct, 7, 1, "CT")
        text.StudyInstanceUID = UID("Kanarienvogel")
        files["IM10"] = _saved(text)
        files["IM9"] = _with_text_for_numbers(classic(ct, 6, 1, "CT"))
    whole = files["IM0"]
    return {**files, "IM11": whole[: len(whole) // 2], "IM12": whole}  # and a second time


def _with_text_for_numbers(made: FileDataset) -> bytes:
    numbers = (0x00200032, 0x00200037, 0x00280030, 0x00281050, 0x00281053)
    for tag in numbers:
        made.add_new(tag, "LO", NAME)
    data = _saved(made)
    for tag in numbers:  # pydicom itself writes no text for numbers
        spelling = struct.pack("<HH", tag >> 16, tag & 0xFFFF)
        assert spelling + b"LO" in data
        data = data.replace(spelling + b"LO", spelling + b"DS")
    return data


def _saved(made: FileDataset) -> bytes:
    file = io.BytesIO()
    made.save_as(file, enforce_file_format=True)
    return file.getvalue()


def found(data: bytes) -> list[str]:
    """The marks that are in these bytes: as UTF-8, UTF-16, hexadecimal or base64."""
    lowered = data.lower()
    return [mark for mark in MARKS if any(spelling in lowered for spelling in _spellings(mark))]


@cache
def _spellings(mark: str) -> frozenset[bytes]:
    """In lower case, base64 too: so much the less can be missed."""
    spellings = set()
    for text in (mark, mark.capitalize(), mark.upper()):
        for raw in (text.encode(), text.encode("utf-16-le"), text.encode("utf-16-be")):
            spellings |= {raw.lower(), raw.hex().encode()}
            for before in range(3):
                whole = base64.b64encode(b"\0" * before + raw)
                end = len(whole) // 4 * 4 - 4  # what follows changes the last four
                spellings.add(whole[(0, 2, 3)[before] : end].lower())
    return frozenset(spellings)
