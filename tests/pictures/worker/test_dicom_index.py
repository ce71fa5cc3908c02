"""What the index is told of DICOM files, against pydicom's own reader."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pydicom
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    RLELossless,
)
from twisted.trial.unittest import SynchronousTestCase

from imgd.pictures.instances import MAX_ANSWER, MAX_METADATA, Broken, Ignored, Instance, parse
from imgd.pictures.views import ViewKind
from tests.pictures.worker.indexed import body, instance, told
from tests.pictures.worker.test_dicom import FILES, all_files, ct, several, written
from tests.samples import dicom

CT = dicom("CT_small.dcm").read_bytes()


def parsed(path: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset = pydicom.dcmread(path, force=True)
        dataset.get("NumberOfFrames")  # which one file has as "1A"
        return dataset


class BatchTests(SynchronousTestCase):
    def test_batch(self) -> None:
        """Files of one job are answered in order, each for itself, of one name or not."""
        broken = bytes(128) + b"DICM" + b"\2\0\1\0OB" + bytes(20)
        first, second, third, fourth = told(CT, broken, dicom("DICOMDIR").read_bytes(), CT)
        assert isinstance(first, Instance)
        self.assertEqual((first.modality, first.rows, first), ("CT", 128, fourth))
        self.assertEqual(second, Broken("It has no Study Instance UID."))
        self.assertEqual(third, Ignored())

    def test_too_long(self) -> None:
        """An answer that would be too long is about the first files alone."""
        dataset = ct()
        dataset.TextValue = "x" * 6_000_000
        data = written(dataset)
        self.assertEqual(len(told(*[data] * 4, kind=ViewKind.PATIENT_INDEX)), 2)
        self.assertLess(len(body([data] * 4, ViewKind.PATIENT_INDEX)), MAX_ANSWER)
        self.assertEqual(len(told(*[data] * 4)), 4)

    def test_large_header(self) -> None:
        """A file whose metadata would be too large is broken, and the next one is not."""
        dataset = ct()
        dataset.TextValue = "x" * (MAX_METADATA + 1)
        data = written(dataset)
        first, second = told(data, CT, kind=ViewKind.PATIENT_INDEX)
        self.assertEqual(first, Broken("Its metadata has more than 8 MB."))
        self.assertIsInstance(second, Instance)
        self.assertIsInstance(told(data)[0], Instance)

    def test_endless_header(self) -> None:
        """A header of more elements than any is not read to its end."""
        data = bytearray(CT[:-40_000])
        data += b"\x11\x00\x00\x00UT\0\0" + (1 << 20).to_bytes(4, "little") + bytes(1 << 20)
        element = b"\x10\x00\x00\x40LT\xf0\xff" + bytes(0xFFF0)
        [found] = told(bytes(data) + element * 700, kind=ViewKind.PATIENT_INDEX)
        self.assertIsInstance(found, Broken)


class FileTests(SynchronousTestCase):
    def test_all(self) -> None:
        """Of every file of pydicom, the facts are those that pydicom reads."""
        compared = 0
        for path in all_files():
            [found] = told(path.read_bytes())
            dataset = parsed(path)
            if isinstance(found, Instance):
                self.compare(found, dataset)
                compared += 1
            elif isinstance(found, Broken):
                missing = [
                    k for k in ("Study", "Series", "SOP") if not dataset.get(f"{k}InstanceUID")
                ]
                self.assertTrue(missing, f"{path}: {found}")
                why = f"It has no {missing[0]} Instance UID."
                if path.read_bytes()[128:132] != b"DICM":
                    why = "It is not DICOM."
                self.assertEqual(found.why, why)
            else:
                self.assertIn("DICOMDIR", path.name)
        self.assertGreater(compared, 140)

    def compare(self, found: Instance, dataset: Any) -> None:
        self.assertEqual(found.study, dataset.StudyInstanceUID)
        self.assertEqual(found.series, dataset.SeriesInstanceUID)
        self.assertEqual(found.uid, dataset.SOPInstanceUID)
        self.assertEqual(found.sop_class, dataset.SOPClassUID)
        self.assertEqual(found.modality, dataset.get("Modality") or "")
        self.assertEqual(found.number, dataset.get("InstanceNumber"))
        self.assertEqual(found.series_number, dataset.get("SeriesNumber"))
        self.assertEqual(found.acquisition, dataset.get("AcquisitionNumber"))
        self.assertEqual(
            (found.rows, found.columns), (dataset.get("Rows", 0), dataset.get("Columns", 0))
        )
        frames = int(raw) if (raw := str(dataset.get("NumberOfFrames"))).isdigit() else 1
        self.assertEqual(found.frames, frames * ("PixelData" in dataset))
        self.assertEqual(found.bits_stored, dataset.get("BitsStored", 0))
        self.assertEqual(found.high_bit, dataset.get("HighBit", 0))
        self.assertEqual(found.is_signed, dataset.get("PixelRepresentation") == 1)
        self.assertEqual(found.photometric, dataset.get("PhotometricInterpretation", ""))

    def test_pixels(self) -> None:
        """The bytes that are told of are the pixels that pydicom reads, without what fills up."""
        native = 0
        for path in all_files():
            data = path.read_bytes()
            [found] = told(data)
            if isinstance(found, Instance) and found.pixels and not found.pixels.fragments:
                offset, length = found.pixels.offset, found.pixels.length
                expected = parsed(path).PixelData
                self.assertEqual(data[offset : offset + length], expected[:length], path)
                if len(expected) > length + 1:
                    self.assertIn(path.name, ("MR_small_padded.dcm", "badVR.dcm"))
                native += 1
        self.assertGreater(native, 50)

    def test_cut_short(self) -> None:
        """A file without the end of its pixels is an instance, and says why they are nowhere."""
        found = instance((FILES / "MR_truncated.dcm").read_bytes())
        self.assertEqual((found.frames, found.pixels), (1, None))
        self.assertEqual(found.note, "Its pixels are cut short.")

    def test_claims(self) -> None:
        """Frames without a size, and more of them than there can be."""
        dataset = ct()
        dataset.Rows = None
        self.assertEqual(instance(written(dataset)).note, "The size of its pixels is not given.")
        dataset.NumberOfFrames = 2**31 - 1
        broken = Broken("It does not have the frames that its header claims.")
        self.assertEqual(told(written(dataset)), [broken])
        dataset = ct()
        dataset.NumberOfFrames = 100_000
        found = instance(written(dataset))
        self.assertEqual((found.frames, found.pixels), (100_000, None))
        dataset.NumberOfFrames = 100_001
        self.assertEqual(told(written(dataset)), [broken])

    def test_no_uid(self) -> None:
        """A file without one of its UIDs, or with text in its place, is broken."""
        for keyword, name in (
            ("StudyInstanceUID", "Study Instance UID"),
            ("SeriesInstanceUID", "Series Instance UID"),
            ("SOPInstanceUID", "SOP Instance UID"),
        ):
            for value in (None, "", "1.2.x", "../1.2"):
                dataset = ct()
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    setattr(dataset, keyword, value)
                    data = written(dataset)
                self.assertEqual(told(data), [Broken(f"It has no {name}.")])

    def test_no_dicom(self) -> None:
        """Files that are none are broken, whatever they hold."""
        for data in (b"", b"\0", bytes(200), b"\xff" * 70_000, b"A note, and no scan.\n" * 9):
            [found] = told(data)
            assert isinstance(found, Broken)
            self.assertIn(found.why, ("It is not DICOM.", "Its DICOM data is broken or cut short."))
        self.assertEqual(told(bytes(128) + b"DICM"), [Broken("It has no Study Instance UID.")])

    def test_syntaxes(self) -> None:
        """The same facts, however the file is written."""
        facts = instance(dicom("MR_small.dcm").read_bytes())
        for name, syntax in (
            ("MR_small_implicit.dcm", ImplicitVRLittleEndian),
            ("MR_small_bigendian.dcm", ExplicitVRBigEndian),
            ("MR_small_RLE.dcm", RLELossless),
            ("MR_small_jp2klossless.dcm", JPEG2000Lossless),
        ):
            found = instance((FILES / name).read_bytes())
            self.assertEqual(found.syntax, syntax)
            self.assertEqual(found.planes, facts.planes)
            self.assertEqual((found.window, found.thickness), (facts.window, facts.thickness))

    def test_unknown_syntax(self) -> None:
        """What is in a syntax that nobody knows is an instance without a place for its pixels."""
        for syntax in ("1.2.3.4", "1.2.840.10008.1.2.4.9999", "1.2.840.10008.5.1.4.1.1.2"):
            found = instance(
                CT.replace(b"1.2.840.10008.1.2.1\0", syntax.ljust(20, "\0").encode()[:20])
            )
            self.assertEqual((found.modality, found.pixels), ("CT", None))
            self.assertEqual(found.note, "Its transfer syntax is not known.")

    def test_deflated(self) -> None:
        """The pixels of a deflated file have no place in it."""
        found = instance((FILES / "image_dfl.dcm").read_bytes())
        self.assertEqual(found.syntax, DeflatedExplicitVRLittleEndian)
        self.assertEqual((found.rows, found.frames, found.pixels), (512, 1, None))
        self.assertEqual(found.note, "Its pixels are deflated together with its header.")

    def test_broken_deflated(self) -> None:
        data = (FILES / "image_dfl.dcm").read_bytes()
        broken = data[:400] + bytes(range(256)) + data[656:]
        self.assertEqual(told(broken), [Broken("Its DICOM data is broken or cut short.")])

    def test_header_over_the_head(self) -> None:
        """A header that does not end in the bytes that are read first is read whole."""
        dataset = ct()
        dataset.TextValue = "x" * 100_000
        dataset.add_new(0x00091001, "OB", bytes(200_000))
        found = instance(written(dataset))
        assert found.pixels
        self.assertEqual(found.pixels.length, 32768)
        self.assertEqual(found.uid, dataset.SOPInstanceUID)

    def test_window(self) -> None:
        dataset = ct()
        dataset.WindowCenter, dataset.WindowWidth = [40, 300], [400, 1500]
        self.assertEqual(instance(written(dataset)).window, [40.0, 400.0])
        dataset.WindowWidth = None
        self.assertIsNone(instance(written(dataset)).window)

    def test_answer(self) -> None:
        """What is sent is read as what was meant."""
        [found] = parse(body([CT]))
        assert isinstance(found, Instance)
        self.assertEqual(found.planes[0].spacing, [0.661468, 0.661468])


class OtherBitsTests(SynchronousTestCase):
    def found(self, values: Any, kind: str, *, stored: int = 12, high: int = 11) -> bool:
        dataset = several(1, kind=kind)
        dataset.BitsStored, dataset.HighBit = stored, high
        dataset.PixelRepresentation = int(kind.startswith("i"))
        pixels = np.full((32, 24), values, kind)
        dataset.PixelData = pixels.tobytes()
        return instance(written(dataset)).has_other_bits

    def test_unsigned(self) -> None:
        """Bits above those that are stored are zero, or something else."""
        self.assertFalse(self.found(0x0FFF, "u2"))
        self.assertTrue(self.found(0x1FFF, "u2"))

    def test_signed(self) -> None:
        """They are the sign, or something else: an overlay, or nothing at all."""
        self.assertFalse(self.found(-5, "i2"))
        self.assertFalse(self.found(5, "i2"))
        self.assertTrue(self.found(0x0800, "i2"))  # the sign is set, the bits above it are not
        self.assertTrue(self.found(0x1001, "i2"))

    def test_below(self) -> None:
        """Bits below those that are stored count too."""
        self.assertFalse(self.found(0x7FF0, "u2", high=15))
        self.assertTrue(self.found(0x7FF1, "u2", high=15))

    def test_all_stored(self) -> None:
        self.assertFalse(self.found(-5, "i2", stored=16, high=15))
