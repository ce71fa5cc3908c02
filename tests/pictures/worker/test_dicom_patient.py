"""Metadata with the patient, if that is asked for: all but pixels, bulk and private elements."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

from pydicom.data import get_charset_files
from twisted.trial.unittest import SynchronousTestCase

from imgd.pictures.instances import Broken, Instance
from imgd.pictures.views import ViewKind
from tests.pictures.worker.indexed import attributes, told
from tests.pictures.worker.test_dicom import all_files, ct, written
from tests.pictures.worker.test_dicom_index import parsed
from tests.pictures.worker.test_dicom_metadata import OURS, by_pydicom, differences

PATIENT = ViewKind.PATIENT_INDEX


def found(data: bytes) -> dict[str, Any]:
    return attributes(data, PATIENT)


class PatientTests(SynchronousTestCase):
    def test_pydicom(self) -> None:
        """Every value is the one that pydicom reads, and nothing is missing but bulk, lengths of
        groups, pixels and what is private.
        """
        compared = 0
        for path in all_files():
            if not isinstance(told(path.read_bytes(), kind=PATIENT)[0], Instance):
                continue
            ours, theirs = found(path.read_bytes()), by_pydicom(parsed(path))
            self.assertEqual(list(differences(ours, theirs)), [], path)
            missing = {tag for tag in {*theirs} - {*ours} if not tag.endswith("0000")}
            odd = {tag for tag in missing if int(tag[3], 16) % 2}
            self.assertLessEqual(missing - odd, {"7FE00010", "FFFCFFFC"}, path)
            compared += len(ours)
        self.assertGreater(compared, 6000)

    def test_names(self) -> None:
        """Names in the character sets of DICOM, and their groups, as pydicom reads them."""
        read = 0
        for path in map(Path, get_charset_files("*.dcm")):
            [answer] = told(path.read_bytes(), kind=PATIENT)
            if isinstance(answer, Broken):  # without a UID
                continue
            ours, theirs = found(path.read_bytes()), by_pydicom(parsed(path))
            self.assertEqual(list(differences(ours, theirs)), [], path)
            self.assertEqual(ours["00100010"], theirs["00100010"])
            self.assertEqual(ours["00080005"]["Value"], ["ISO_IR 192"])
            read += 1
        self.assertGreater(read, 10)

    def test_bulk(self) -> None:
        """Bytes of up to 64 kB are told, and no more; tables whatever their size."""
        dataset = ct()
        dataset.add_new(0x00420011, "OB", bytes(1 << 16))
        dataset.add_new(0x60003000, "OW", bytes((1 << 16) + 2))
        dataset.add_new(0x00281201, "OW", bytes(1 << 17))
        document = found(written(dataset))
        self.assertEqual(len(base64.b64decode(document["00420011"]["InlineBinary"])), 1 << 16)
        self.assertNotIn("60003000", document)
        self.assertEqual(len(base64.b64decode(document["00281201"]["InlineBinary"])), 1 << 17)

    def test_texts(self) -> None:
        """A backslash parts values, except in long text."""
        dataset = ct()
        dataset.ImageComments, dataset.OtherPatientIDs = "a\\b", ["c", "", "d"]
        dataset.PatientBirthDate, dataset.PatientName = "19700101", "Otto^K=\u5c71^\u7530"
        dataset.SpecificCharacterSet = "ISO_IR 192"
        document = found(written(dataset))
        self.assertEqual(document["00204000"]["Value"], ["a\\b"])
        self.assertEqual(document["00101000"]["Value"], ["c", None, "d"])
        self.assertEqual(document["00100030"]["Value"], ["19700101"])
        name = {"Alphabetic": "Otto^K", "Ideographic": "\u5c71^\u7530"}
        self.assertEqual(document["00100010"]["Value"], [name])

    def test_absent(self) -> None:
        """What clients expect is there without a value, if the file has none."""
        document = found(written(ct()))
        self.assertEqual(document["0008103E"], {"vr": "LO"})
        self.assertTrue({*document} >= OURS)
