"""Metadata as JSON (DICOM PS3.18 annex F), against what pydicom makes of the same files."""

from __future__ import annotations

import base64
import json
import struct
import warnings
from collections.abc import Iterator
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from imgd.pictures.instances import Instance
from imgd.pictures.worker.dicom_allowed import EMPTY
from tests.pictures.worker.indexed import attributes, told
from tests.pictures.worker.test_dicom import all_files, ct, written
from tests.pictures.worker.test_dicom_allowed import element
from tests.pictures.worker.test_dicom_index import parsed
from tests.samples import dicom

# What imgd says of its own answer and of the file; what it says for every file.
OURS = {"00080005", "00083002", *(f"{tag:08X}" for tag in EMPTY)}


def by_pydicom(dataset: Any) -> dict[str, Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        document: dict[str, Any] = dataset.to_json_dict(
            suppress_invalid_tags=True, bulk_data_threshold=1 << 30
        )
    return document


def differences(ours: Any, theirs: Any, path: str = "") -> Iterator[str]:
    """Attributes that are not those of pydicom, which leaves spaces in codes, has "" for a value
    that is empty, and leaves out what it cannot convert.
    """
    for tag, attribute in ours.items():
        other = theirs.get(tag)
        if other is None or tag in OURS:
            continue
        if attribute["vr"] == "SQ":
            items, others = attribute.get("Value", []), other.get("Value", [])
            if len(items) != len(others):
                yield f"{path}{tag}: {len(items)} items of {len(others)}"
            for item, one in zip(items, others, strict=False):
                yield from differences(item, one, f"{path}{tag}.")
        elif normal(attribute) != normal(other):
            yield f"{path}{tag}: {attribute} is not {other}"


def normal(attribute: dict[str, Any]) -> dict[str, Any]:
    values = attribute.get("Value", [])
    found = [value.strip() or None if isinstance(value, str) else value for value in values]
    return attribute | ({"Value": found} if values else {})


class MetadataTests(SynchronousTestCase):
    def test_pydicom(self) -> None:
        """Every value is the one that pydicom reads."""
        compared = 0
        for path in all_files():
            [found] = told(path.read_bytes())
            if isinstance(found, Instance):
                dataset = parsed(path)
                theirs = by_pydicom(dataset)
                ours = json.loads(bytes(found.metadata))
                self.assertEqual(list(differences(ours, theirs)), [], path)
                there = set(map("{:08X}".format, dataset.keys()))
                self.assertLess({*ours} - OURS, there, path)
                self.assertEqual(list(ours), sorted(ours))
                compared += len(ours)
        self.assertGreater(compared, 4000)

    def test_always(self) -> None:
        """The character set is that of JSON, and the transfer syntax that of the file."""
        document = attributes(dicom("CT_small.dcm").read_bytes())
        self.assertEqual(document["00080005"], {"vr": "CS", "Value": ["ISO_IR 192"]})
        self.assertEqual(document["00083002"], {"vr": "UI", "Value": ["1.2.840.10008.1.2.1"]})
        self.assertNotIn("7FE00010", document)


class ValueTests(SynchronousTestCase):
    def found(self, tag: int, vr: str, value: bytes) -> Any:
        """The attribute that comes of these bytes."""
        data = written(ct())
        start = data.index(b"\xe0\x7f\x10\x00OW")
        return attributes(data[:start] + element(tag, vr, value) + data[start:]).get(f"{tag:08X}")

    def test_decimals(self) -> None:
        """Numbers are numbers; what is none has no value, and is in no answer."""
        for text, values in (
            ("1.5\\-2\\+.25\\1e3", [1.5, -2.0, 0.25, 1000.0]),
            (" 7 \\8\0", [7.0, 8.0]),
            ("1\\\\3", [1.0, None, 3.0]),
            ("1\\x\\3", [1.0, None, 3.0]),
        ):
            self.assertEqual(self.found(0x00200032, "DS", text.encode())["Value"], values)
        for text in (
            "",
            "nan",
            "inf",
            "-Infinity",
            "1e999",
            "1_0",
            "0x10",
            "x",
            "1" * 41,
            "\u0661",
        ):
            self.assertEqual(self.found(0x00200032, "DS", text.encode()), {"vr": "DS"})

    def test_whole_numbers(self) -> None:
        self.assertEqual(self.found(0x00200013, "IS", b"-12")["Value"], [-12])
        self.assertEqual(self.found(0x00200013, "IS", b"12.0")["Value"], [12])
        for text in (b"1.5", b"2147483648", b"1A", b"9" * 30, b"1e30"):
            self.assertEqual(self.found(0x00200013, "IS", text), {"vr": "IS"})

    def test_floats(self) -> None:
        """NaN and infinities are not JSON."""
        nan, infinity = float("nan"), float("inf")
        value = struct.pack("<3d", 1.5, nan, infinity)
        self.assertEqual(self.found(0x00189087, "FD", value)["Value"], [1.5, None, None])
        self.assertEqual(self.found(0x00189087, "FD", value[8:]), {"vr": "FD"})
        self.assertEqual(self.found(0x00189087, "FD", value[:6]), {"vr": "FD"})

    def test_codes(self) -> None:
        for text, value in ((b"HEAD ", "HEAD"), (b"C_SPINE 2", "C_SPINE 2")):
            self.assertEqual(self.found(0x00180015, "CS", text)["Value"], [value])
        for text in (b"Head", b"A^B", b"ABCDEFGHIJKLMNOPQ", b"\xc4RZTE", b"A\nB"):
            self.assertEqual(self.found(0x00180015, "CS", text), {"vr": "CS"})

    def test_uids(self) -> None:
        self.assertEqual(self.found(0x00200052, "UI", b"1.2.3\0")["Value"], ["1.2.3"])
        for text in (b"1.2.Otto", b".1.2", b"1" * 65, b"../..", b"1.2\n"):
            self.assertEqual(self.found(0x00200052, "UI", text), {"vr": "UI"})

    def test_words(self) -> None:
        """Numbers of which the file decides whether they have a sign; tags."""
        self.assertEqual(self.found(0x00280120, "SS", b"\xfe\xff")["Value"], [-2])
        self.assertEqual(self.found(0x00280120, "US", b"\xfe\xff")["Value"], [65534])
        self.assertEqual(self.found(0x00280120, "UN", b"\xfe\xff")["Value"], [-2])  # as the pixels
        self.assertEqual(self.found(0x00280009, "AT", b"\x18\0\x63\x10")["Value"], ["00181063"])

    def test_tables(self) -> None:
        """Bytes of tables, the least significant of each word first."""
        data = b"\x01\x02\x03\x04"
        text = self.found(0x00281201, "OW", data)["InlineBinary"]
        self.assertEqual(base64.b64decode(text), data)
        dataset = parsed(dicom("ExplVR_BigEnd.dcm"))
        dataset.add_new(0x00281201, "OW", data)
        document = attributes(written(dataset, "1.2.840.10008.1.2.2"))
        self.assertEqual(base64.b64decode(document["00281201"]["InlineBinary"]), b"\2\1\4\3")

    def test_other_kinds(self) -> None:
        """What is not of the kind that the standard has is not told."""
        self.assertIsNone(self.found(0x00200052, "LO", b"1.2.3"))
        self.assertIsNone(self.found(0x00280120, "OB", b"12"))
        self.assertEqual(self.found(0x00409096, "SQ", b""), {"vr": "SQ"})
