"""Nothing of the patient leaves a worker that was not asked for it."""

from __future__ import annotations

import base64
import json
import re
import struct
from collections.abc import Iterator
from typing import Any

from pydicom._dicom_dict import DicomDictionary
from pydicom.datadict import dictionary_VR, tag_for_keyword
from twisted.trial.unittest import SynchronousTestCase

from imgd.pictures.views import ViewKind
from imgd.pictures.worker.dicom_allowed import ALLOWED, EMPTY, KEYWORDS, SEQUENCES
from tests.pictures.worker.indexed import attributes, body
from tests.pictures.worker.test_dicom import all_files, ct, written
from tests.samples import dicom

CANARY = b"Kanarienvogel^Otto"
# What DICOM PS3.15 table E.1-1 has that is neither text, nor a day, nor a UID.
OF_TABLE = (
    *("PatientSex", "PatientSize", "PatientWeight", "PatientSexNeutered", "SmokingStatus"),
    *("PregnancyStatus", "GPSLatitude", "GPSLongitude", "GPSAltitude", "GPSTimeStamp"),
    *("GPSSpeed", "GPSTrack", "GPSImgDirection", "GPSDestLatitude", "GPSDestLongitude"),
    *("GPSAltitudeRef", "GPSLatitudeRef", "GPSLongitudeRef", "GPSVersionID", "GPSDOP"),
    *("LensSpecification", "MakerNote", "IconImageSequence", "EncapsulatedDocument", "MAC"),
    *("ContentSequence", "GraphicAnnotationSequence", "AcquisitionContextSequence"),
    *("ReferencedImageSequence", "SourceImageSequence", "ReferencedPatientSequence"),
    *("ReferencedStudySequence", "ReferencedPerformedProcedureStepSequence", "UDISequence"),
    *("RequestAttributesSequence", "OriginalAttributesSequence", "ModifiedAttributesSequence"),
    *("OperatorIdentificationSequence", "InstitutionCodeSequence", "DigitalSignaturesSequence"),
    *("OtherPatientIDsSequence", "PatientInsurancePlanCodeSequence", "SelectorOBValue"),
    *("PersonIdentificationCodeSequence", "TransducerIdentificationSequence", "SelectorUNValue"),
    *("InstanceOriginStatus", "FunctionalSyncPulse", "CertifiedTimestamp", "DeviceUID"),
    *("InstanceCreatorUID", "IrradiationEventUID", "SpecimenUID", "TrackingUID"),
)
TEXTS = (
    *("AE", "AS", "CS", "DA", "DS", "DT", "IS", "LO", "LT", "PN", "SH", "ST", "TM", "UC", "UI"),
    *("UN", "UR", "UT", "OB"),
)
LONG = ("OB", "OW", "SQ", "UC", "UN", "UR", "UT")
MAY_BE = r"^([0-9.]{1,64}|[A-Z0-9_ ]{1,16}|instance|broken|ignored|PixelData|It[s ].*\.)$"
# Names, text, a code, a code string, a number, a UID, a day, bytes; and of a private block.
IN_ITEMS = (
    *(0x00080018, 0x00080060, 0x00080100, 0x00080104, 0x00090010, 0x00091010, 0x00100010),
    *(0x00181000, 0x00200032, 0x00200052, 0x0040A121, 0x0040A123, 0x0040A160, 0x00420011),
)
IDENTITY = {0x0020000D: b"1.2.3\0", 0x0020000E: b"1.2.4\0", 0x00080018: b"1.2.5\0"}


def element(tag: int, vr: str, value: bytes, *, is_implicit: bool = False) -> bytes:
    value += b" " * (len(value) % 2)
    head = struct.pack("<HH", tag >> 16, tag & 0xFFFF)
    if is_implicit:
        return head + struct.pack("<I", len(value)) + value
    if vr in LONG:
        return head + vr.encode() + struct.pack("<HI", 0, len(value)) + value
    return head + vr.encode() + struct.pack("<H", len(value)) + value


def named(is_implicit: bool) -> bytes:
    """The canary in every element of the standard that takes text, also in every sequence of the
    list and some others, and in private elements.
    """
    elements = {tag: entry[0] for tag, entry in DicomDictionary.items()}
    item = b"".join(
        element(tag, elements.get(tag, "LO"), CANARY, is_implicit=is_implicit) for tag in IN_ITEMS
    )
    items = b"\xfe\xff\x00\xe0" + struct.pack("<I", len(item)) + item
    values: dict[int, tuple[str, bytes]] = {}
    for tag, vr in elements.items():
        if 0x00080005 < tag < 0x7FE00000 and vr in TEXTS and tag & 0xFFFF:
            values[tag] = vr, IDENTITY.get(tag, CANARY)
        elif vr == "SQ" and (tag in ALLOWED or tag % 7 == 0):
            values[tag] = vr, items
    for number, vr in enumerate(("LO", "PN", "UN", "CS"), 0x10):
        values[0x00090000 | number] = vr, CANARY
    return b"".join(element(tag, *values[tag], is_implicit=is_implicit) for tag in sorted(values))


def file(is_implicit: bool) -> bytes:
    syntax = b"1.2.840.10008.1.2\0" if is_implicit else b"1.2.840.10008.1.2.1\0"
    meta = element(0x00020010, "UI", syntax) + element(0x00020016, "AE", CANARY[:16])
    return CANARY.ljust(128, b"\0") + b"DICM" + meta + named(is_implicit)


class ListTests(SynchronousTestCase):
    def test_kinds(self) -> None:
        """What is on the list is in the standard, and never text, a day or a time."""
        for tag, vr in ALLOWED.items():
            kinds = set(vr.split(" or "))
            self.assertLessEqual(
                kinds,
                {"UI", "CS", "DS", "IS", "FD", "FL", "US", "SS", "UL", "SL", "AT", "OW", "SQ"},
                hex(tag),
            )
        tables = [tag for tag, vr in ALLOWED.items() if "OW" in vr]
        for tag in tables:
            self.assertRegex(DicomDictionary[tag][4], "Lookup ?Table|LUT|LookupTable")
        for keyword in SEQUENCES:
            self.assertEqual(dictionary_VR(keyword), "SQ")

    def test_table(self) -> None:
        """Nothing of PS3.15 table E.1-1 is on it but UIDs of instances and what is made of them."""
        for keyword in OF_TABLE:
            self.assertIsNotNone(tag_for_keyword(keyword), keyword)
            self.assertNotIn(keyword, KEYWORDS)
        for tag in ALLOWED:
            self.assertNotEqual(tag >> 16, 0x0010, "a patient's")


class CanaryTests(SynchronousTestCase):
    def test_canary(self) -> None:
        """A name in every element of the standard is in no byte of the answer."""
        for is_implicit in (False, True):
            data = file(is_implicit)
            self.assertGreater(data.count(CANARY), 4000)
            answer = body([data])
            self.assertGreater(len(answer), 1000)
            self.assert_without(answer)

    def test_in_another_place(self) -> None:
        """Nor if an element of the list claims to be text."""
        data = dicom("CT_small.dcm").read_bytes()
        start = data[: data.index(b"\x08\x00\x60\x00CS")]
        rest = b"".join(element(tag, "UI", uid) for tag, uid in IDENTITY.items())
        for tag in (0x00280010, 0x00200032, 0x00281101, 0x52009230, 0x00200013):
            for vr in ("LO", "PN", "UT", "ZZ"):
                answer = body([start + rest + element(tag, vr, CANARY)])
                self.assertIn(b'"instance"', answer)
                self.assert_without(answer)

    def assert_without(self, answer: bytes) -> None:
        self.assertNotIn(b"anarien", answer)
        self.assertNotIn(b"Otto", answer)
        for text in re.findall(rb'"InlineBinary":"([^"]*)"', answer):
            self.assertNotIn(b"anarien", base64.b64decode(text))

    def test_with_patient(self) -> None:
        """Whoever asks for it gets it; private elements are left out."""
        answer = body([file(False)], ViewKind.PATIENT_INDEX)
        self.assertGreater(answer.count(CANARY), 2000)
        document = attributes(file(False), ViewKind.PATIENT_INDEX)
        self.assertEqual(document["00100010"]["Value"], [{"Alphabetic": CANARY.decode()}])
        self.assertNotIn("00090010", document)

    def test_real_files(self) -> None:
        """Of pydicom's files, each text is a UID, a code or a sentence of imgd."""
        for path in all_files():
            for text in strings(json.loads(body([path.read_bytes()]))):
                self.assertRegex(text, MAY_BE, path)

    def test_empty(self) -> None:
        """What clients expect in every answer is there, and holds nothing."""
        dataset = ct()
        dataset.StudyDescription = "Otto"
        document = attributes(written(dataset))
        for tag, vr in EMPTY.items():
            self.assertEqual(document[f"{tag:08X}"], {"vr": vr})
        self.assertEqual(document["00100010"], {"vr": "PN"})


def strings(value: Any) -> Iterator[str]:
    """Every text that is a value, and no bytes."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from () if key == "InlineBinary" else strings(item)
    elif isinstance(value, list):
        for item in value:
            yield from strings(item)
