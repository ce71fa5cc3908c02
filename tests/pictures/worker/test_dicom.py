"""DICOM files as pictures: what pydicom's own files show, against GDCM, DCMTK and pydicom."""

from __future__ import annotations

import base64
import io
import json
import os
import shutil
import subprocess
import tempfile
import warnings
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import SkipTest

import numpy as np
import pydicom
import pydicom.data
import SimpleITK
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate_extended
from pydicom.uid import (
    HTJ2K,
    MPEG2MPML,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    ImplicitVRLittleEndian,
    JPEGLosslessSV1,
    RLELossless,
)
from twisted.trial.unittest import SynchronousTestCase

from imgd.pictures.messages import Job
from imgd.pictures.worker import dicom_header
from imgd.pictures.worker.decoding import decode
from imgd.pictures.worker.source import Made, SourceFile, Sources
from tests.pictures.worker.decoded import body, failure, image, made, pixels, values, view
from tests.samples import dicom

SORRY = "Not a picture that can be shown: "
FILES = Path(pydicom.data.__file__).parent / "test_files"
# Every other file of pydicom shows a picture.
REFUSED = {
    **dict.fromkeys(("JPEG-lossy.dcm", "JPGExtended.dcm"), "JPEG Extended with 12 bits"),
    "SC_rgb_jpeg_gdcm.dcm": "JPEG Lossless, Non-Hierarchical, First-Order Prediction",
    "JPEG2000-embedded-sequence-delimiter.dcm": "its frame has another size than",
    "MR_truncated.dcm": "its DICOM data is cut short.",
}
NO_PIXELS = (
    *(
        "DICOMDIR",
        "rtplan",
        "rtstruct",
        "reportsi",
        "test-SR",
        "waveform",
        "UN_sequence",
        "no_meta",
    ),
    *("ExplVR_BigEndNoMeta", "ExplVR_LitEndNoMeta", "priv_SQ", "nested_priv_SQ", "IM0000"),
    *("empty_charset_LEI", "meta_missing_tsyntax", "no_meta"),
)
OTHERS = (".txt", ".json", ".dump", ".icc", ".gz", "README")
# SimpleITK gives these otherwise: colours of 16 and 32 bits unreduced, doses without their scale,
# MONOCHROME1 turned round, masks as 255; and it does not read them all.
NOT_BY_ITK = ("rtdose", "liver", "bit", "badVR", "77654033/CR")


# 32 x 24 pixels of 16 bits, 50 * (row + column), as OpenJPH writes them without loss.
RAMP_AS_HTJ2K = (
    "/0//UQApQAAAAAAgAAAAGAAAAAAAAAAAAAAAIAAAABgAAAAAAAAAAAABDwEB/1AACAACAAAACv9SAAwAAgABAAUEBEAB"
    "/1wAEyCIkJCQkJCQkJCQkJCQiIiI/2QAFwABT3BlbkpQSCBWZXIgMC4yNi4zLv+QAAoAAAAAALUAAf+TwAAmL/kFB3QA"
    "wAASwAATACICh3QAsP4Ch3QAwAATQAATAJAhAgJ0APf9AAI0AMAAFTAABVjGxsagYjGCdgDGjRs3/sAxgb62AMAAFZAA"
    "BaJgMBgMBueKenECdwDgYDAYDAaD+ghAe/YhAey6AMAALUgABb6iKIqiKIqiKIr5/gp6enp6cIJ7AGJRFEVRFEVRFEVR"
    "FP9xgEIHv2EIHv2EIHv2EIHsswH/2Q=="
)


def all_files() -> Iterator[Path]:
    for path in sorted(FILES.rglob("*")):
        if path.is_file() and not path.name.endswith(OTHERS):
            yield path


def written(dataset: Dataset, syntax: Any = ExplicitVRLittleEndian) -> bytes:
    """A dataset as a file; it is changed."""
    dataset.file_meta.TransferSyntaxUID = syntax
    out = io.BytesIO()
    is_little = syntax != ExplicitVRBigEndian
    implicit = syntax == ImplicitVRLittleEndian
    dataset.save_as(out, implicit_vr=implicit, little_endian=is_little)
    return out.getvalue()


def ct() -> pydicom.FileDataset:
    """128 by 128 pixels of 16 bits, native."""
    return pydicom.dcmread(dicom("CT_small.dcm"))


def several(count: int, rows: int = 32, columns: int = 24, kind: str = "i2") -> pydicom.FileDataset:
    """A native file of frames that are noise."""
    dataset = ct()
    frames = np.random.default_rng(3).integers(-900, 900, (count, rows, columns)).astype(kind)
    dataset.Rows, dataset.Columns, dataset.NumberOfFrames = rows, columns, count
    dataset.PixelData = frames.tobytes()
    return dataset


class CountedFile(SourceFile):
    """A file that counts the bytes that are read of it."""

    total = 0

    def open(self) -> io.BufferedReader:
        source = self

        class Counted(io.FileIO):
            def readinto(self, buffer: Any) -> int:
                count = super().readinto(buffer) or 0
                source.total += count
                return count

        os.lseek(self.fd, 0, os.SEEK_SET)
        return io.BufferedReader(Counted(self.fd, closefd=False))


class OracleTests(SynchronousTestCase):
    def test_every_file(self) -> None:
        """Each of pydicom's files is shown, or refused for a reason that is named."""
        shown = 0
        for path in all_files():
            reason = REFUSED.get(path.name)
            answers = made(path.read_bytes(), "thumb", "slice=axial:0&depth=16", "slice=axial:0")
            for answer in (item.answer for item in answers):
                if reason is not None:
                    self.assertEqual(answer.status, 415, path)
                    self.assertTrue(answer.detail.startswith(SORRY + reason), answer.detail)
                elif path.name.startswith(NO_PIXELS):
                    self.assertRegex(answer.detail, "without pixels|no decoder knows it")
                else:
                    self.assertEqual(answer.status, 200, (path, answer))
            shown += answers[0].answer.status == 200
        self.assertGreater(shown, 80)

    def test_values_of_gdcm(self) -> None:
        """Values, to the last, and colours are those of SimpleITK, which reads by GDCM."""
        SimpleITK.ProcessObject.SetGlobalWarningDisplay(False)
        compared = 0
        for path in all_files():
            data = path.read_bytes()
            (item,) = made(data, "slice=axial:0&depth=16")
            if item.answer.status != 200 or any(part in str(path) for part in NOT_BY_ITK):
                continue
            expected = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(path)))[0]
            is_grey = "imgd:scale" in Image.open(io.BytesIO(item.body)).info
            ours = values(data, "slice=axial:0") if is_grey else pixels(data, "slice=axial:0")
            self.assertEqual(np.abs(ours - expected.astype(float)).max(), 0, path)
            compared += 1
        self.assertGreater(compared, 60)

    def test_windows_of_dcmtk(self) -> None:
        """The file's own window gives DCMTK's grey levels, but for the rounding of one."""
        if shutil.which("dcmj2pnm") is None:
            raise SkipTest("no dcmj2pnm here")
        out = Path(self.mktemp())
        compared = 0
        for path in all_files():
            command = ["dcmj2pnm", "+Wi", "1", "--no-overlays", str(path), str(out)]
            if subprocess.run(command, capture_output=True, timeout=60).returncode:
                continue  # no window, or not for DCMTK
            (item,) = made(path.read_bytes(), "slice=axial:0")
            expected = np.asarray(Image.open(out)).astype(int)
            ours = np.asarray(Image.open(io.BytesIO(item.body))).astype(int)
            if ours.shape != expected.shape:
                continue  # the pixels are no squares: DCMTK shows them as such
            self.assertLess(np.abs(ours - expected).max(), 2, path)
            compared += 1
        self.assertGreater(compared, 30)

    def test_windows_of_the_url(self) -> None:
        """A window of the URL counts for more than that of the file, and is DCMTK's as well."""
        data = dicom("MR_small.dcm").read_bytes()
        grey = pixels(data, "slice=axial&window=600,1600").astype(int)
        expected = (values(data, "slice=axial") + 200) * 255 / 1600
        self.assertLess(np.abs(grey - expected.clip(0, 255)).max(), 1)
        full = pixels(data, "slice=axial&window=min-max")
        self.assertEqual((full.min(), full.max()), (0, 255))


class FrameTests(SynchronousTestCase):
    def test_frames(self) -> None:
        """Slice N is frame N, in native files of every byte order, and in encapsulated ones."""
        dataset = several(5)
        expected = np.frombuffer(dataset.PixelData, "<i2").reshape(5, 32, 24) - 1024.0
        files = [written(several(5)), written(several(5), ImplicitVRLittleEndian)]
        compressed = several(5)
        compressed.compress(RLELossless)
        files.append(written(compressed, RLELossless))
        compressed.PixelData, offsets, lengths = encapsulate_extended(
            list(pydicom.encaps.generate_frames(compressed.PixelData, number_of_frames=5))
        )
        compressed.ExtendedOffsetTable, compressed.ExtendedOffsetTableLengths = offsets, lengths
        files.append(written(compressed, RLELossless))
        for data in files:
            for number, frame in enumerate(expected):
                self.assertTrue((values(data, f"slice=axial:{number}") == frame).all())
            self.assertTrue((values(data, "slice=axial") == expected[2]).all())

    def test_without_preamble(self) -> None:
        """Files of old programs, without a preamble or without the group behind it, are shown."""
        for syntax in (ExplicitVRLittleEndian, ImplicitVRLittleEndian):
            whole = written(ct(), syntax)
            expected = values(whole, "slice=axial")
            meta = 144 + int.from_bytes(whole[140:144], "little")
            for data in (whole[132:], whole[meta:]):
                self.assertTrue((values(data, "slice=axial") == expected).all(), syntax)

    def test_outside(self) -> None:
        """What is not there is refused with the range."""
        data = written(several(5))
        self.assertEqual(failure(data, "slice=axial:5"), (400, "It has frames 0 to 4."))
        self.assertEqual(failure(data, "slice=coronal:1")[0], 400)
        self.assertEqual(failure(data, "slice=axial:1&t=1")[0], 400)
        self.assertEqual(failure(written(ct()), "mosaic")[0], 400)

    def test_mosaic(self) -> None:
        """A mosaic shows frames evenly apart in one JPEG that fits its size."""
        whole = image(written(several(30)), "mosaic=5x5&size=256")
        self.assertEqual((whole.format, whole.size), ("JPEG", (5 * 24, 5 * 32)))

    def test_only_what_is_needed_is_read(self) -> None:
        """Of a file of a gigabyte, one frame is read."""
        dataset = several(1)
        dataset.NumberOfFrames = 600_000
        start = written(dataset)
        with tempfile.TemporaryFile() as file:
            file.write(start)
            file.truncate(len(start) + 600_000 * 32 * 24 * 2)  # a hole
            source = CountedFile(file.fileno(), "x", file.seek(0, os.SEEK_END))
            views = [view("slice=axial:500000"), view("thumb")]
            answers = list(decode(Sources(source, {}, Job(views, ["x"], 10**6))))
        statuses = [item.answer.status for item in answers if isinstance(item, Made)]
        self.assertEqual(statuses, [200, 200])
        self.assertLess(source.total, 100_000)
        self.assertGreater(source.total, len(start))

    def test_many_bits(self) -> None:
        """Pixels of 1, 8, 16 and 32 bits, signed or not, and of floats."""
        for kind in ("u1", "i1", "u2", "i2", "u4", "i4"):
            dataset = several(2, kind=kind)
            bits = 8 * np.dtype(kind).itemsize
            dataset.BitsAllocated = dataset.BitsStored = bits
            dataset.HighBit, dataset.PixelRepresentation = bits - 1, int(kind[0] == "i")
            dataset["PixelData"].VR = "OW"
            expected = np.frombuffer(dataset.PixelData, kind)[: 32 * 24].reshape(32, 24) - 1024.0
            error = np.abs(values(written(dataset), "slice=axial:0") - expected).max()
            exact = np.ptp(expected) < 65536
            self.assertLessEqual(error, 0 if exact else np.ptp(expected) / 65535, kind)

    def test_high_throughput(self) -> None:
        """High-throughput JPEG 2000 gives its values."""
        for syntax in (HTJ2KLossless, HTJ2KLosslessRPCL, HTJ2K):
            dataset = several(1, 24, 32)
            dataset.PixelData = pydicom.encaps.encapsulate([base64.b64decode(RAMP_AS_HTJ2K)])
            dataset["PixelData"].is_undefined_length = True
            dataset.PixelRepresentation = 0
            expected = np.add.outer(np.arange(24), np.arange(32)) * 50 - 1024.0
            self.assertTrue((values(written(dataset, syntax), "slice=axial") == expected).all())

    def test_masks(self) -> None:
        """A segmentation of one bit a pixel is a mask: PNG, and no grey between."""
        mask = pixels(dicom("liver_1frame.dcm").read_bytes(), "thumb")
        self.assertEqual(np.unique(mask).tolist(), [0, 255])

    def test_bits_beside(self) -> None:
        """Bits of an overlay beside the stored ones do not count."""
        dataset = several(1, kind="u2")
        stored = np.frombuffer(dataset.PixelData, "u2") & 0x0FFF
        dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 12, 11, 0
        dataset.PixelData = (stored | 0xA000).astype("u2").tobytes()
        self.assertTrue((values(written(dataset), "slice=axial").ravel() == stored - 1024.0).all())


class ShownTests(SynchronousTestCase):
    def test_proportions(self) -> None:
        """Pixels that are no squares are shown in their proportions, values never mixed."""
        dataset = several(1)
        dataset.PixelSpacing = [3, 1.5]  # rows are twice as far apart
        data = written(dataset)
        self.assertEqual(image(data, "slice=axial").size, (24, 64))
        self.assertEqual(image(data, "thumb").size, (24, 64))
        self.assertEqual(image(data, "slice=axial&depth=16").size, (24, 32))
        del dataset.PixelSpacing
        dataset.PixelAspectRatio = [1, 2]
        self.assertEqual(image(written(dataset), "slice=axial").size, (48, 32))
        dataset.PixelAspectRatio = [1, 10**9]
        self.assertEqual(image(written(dataset), "slice=axial").size, (24, 32))

    def test_inverted(self) -> None:
        """MONOCHROME1 is shown with the least value white; its values stay."""
        dataset = several(1)
        plain = pixels(written(dataset), "slice=axial")
        before = values(written(dataset), "slice=axial")
        dataset.PhotometricInterpretation = "MONOCHROME1"
        self.assertTrue((pixels(written(dataset), "slice=axial") == 255 - plain).all())
        self.assertTrue((values(written(dataset), "slice=axial") == before).all())

    def test_sides(self) -> None:
        """``convention=neuro`` mirrors what tells its sides, and only that."""
        dataset = several(1)
        plain = pixels(written(dataset), "slice=axial")
        turned = pixels(written(dataset), "slice=axial&convention=neuro")
        self.assertTrue((turned == plain[:, ::-1]).all())
        del dataset.ImageOrientationPatient
        same = pixels(written(dataset), "slice=axial&convention=neuro")
        self.assertTrue((same == plain).all())

    def test_thumbnail(self) -> None:
        """A thumbnail is a small JPEG of the middle frame."""
        dataset = several(3, 600, 400)
        small = image(written(dataset), "thumb")
        self.assertEqual((small.format, small.mode, small.size), ("JPEG", "L", (171, 256)))


class HostileTests(SynchronousTestCase):
    def test_lying_lengths(self) -> None:
        """Lengths that go beyond the file, or claim gigabytes, take no memory and no time."""
        data = bytearray(written(ct()))
        pixel_data = data.index(b"\xe0\x7f\x10\0OW\0\0")
        for length in (0xFFFFFFFE, 0x7FFFFFFF, 0):
            data[pixel_data + 8 : pixel_data + 12] = length.to_bytes(4, "little")
            self.assertIn(made(bytes(data), "thumb")[0].answer.status, (200, 415))
        for count in (0, 2, 10**9):
            dataset = ct()
            dataset.NumberOfFrames = count
            self.assertIn(made(written(dataset), "thumb")[0].answer.status, (200, 415))
        position = bytearray(written(ct()))
        at = position.index(b"\x28\0\x30\0DS")
        position[at + 4 : at + 8] = b"OB\0\0"
        position[at + 8 : at + 12] = b"\xff\xff\xff\x7f"
        self.assertEqual(failure(bytes(position), "thumb")[0], 415)

    def test_sizes(self) -> None:
        """Sizes that are too large, or none, are refused by the header."""
        dataset = ct()
        dataset.Rows, dataset.Columns = 65535, 65535
        self.assertEqual(failure(written(dataset), "thumb")[0], 413)
        dataset.Rows = 0
        self.assertEqual(failure(written(dataset), "thumb")[0], 415)
        del dataset.Rows
        self.assertEqual(failure(written(dataset), "info")[0], 415)

    def test_bits(self) -> None:
        """Numbers of bits that nothing has are refused."""
        for bits in (0, 7, 12, 24, 65528):
            dataset = ct()
            dataset.BitsAllocated = bits
            self.assertEqual(failure(written(dataset), "thumb")[0], 415, bits)

    def test_deflated(self) -> None:
        """A deflated file that inflates to gigabytes is stopped."""
        whole = (FILES / "image_dfl.dcm").read_bytes()
        start = 144 + int.from_bytes(whole[140:144], "little")  # behind the group of length
        inflated = zlib.decompress(whole[start:], -zlib.MAX_WBITS)
        deflater = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
        bomb = [whole[:start], deflater.compress(inflated)]
        megabyte = bytes(1 << 20)
        bomb += [deflater.compress(megabyte) for _ in range(dicom_header.MAX_INFLATED >> 20)]
        self.assertEqual(failure(b"".join((*bomb, deflater.flush())), "thumb")[0], 422)
        self.assertEqual(failure(whole[:start] + b"\xff" * 99, "thumb")[0], 415)

    def test_syntaxes(self) -> None:
        """A transfer syntax that is not decoded is named; its facts are told."""
        for syntax, name in ((JPEGLosslessSV1, "JPEG Lossless, Non-"), (MPEG2MPML, "MPEG2 Main")):
            dataset = ct()
            dataset.PixelData = pydicom.encaps.encapsulate([b"\xff\xd8\xff\xd9"])
            dataset["PixelData"].is_undefined_length = True
            data = written(dataset, syntax)
            status, detail = failure(data, "thumb")
            self.assertEqual(status, 415)
            self.assertTrue(detail.startswith(SORRY + name), detail)
            self.assertTrue(detail.endswith(" is not decoded here."))
            facts = json.loads(body(data, "info"))
            self.assertEqual((facts["shape"], facts["problem"]), ([128, 128, 1], detail))

    def test_patient(self) -> None:
        """No value of the patient is in any answer, whatever breaks."""
        dataset = ct()
        dataset.PatientName, dataset.PatientID = "Roe^Jane", "Roe-4711"
        dataset.PatientBirthDate, dataset.StudyDescription = "19520229", "Roe knee"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # these are no codes
            dataset.PatientPosition, dataset.BodyPartExamined = "Roe", "Roe knee"
        dataset.WindowCenter = None
        data = written(dataset)
        queries = ("thumb", "slice=axial", "info", "mosaic")
        cuts = [data, *(data[: len(data) * part // 20] for part in range(20))]
        for cut in cuts:
            for item in made(cut, *queries):
                said = item.body + item.answer.detail.encode()
                self.assertNotIn(b"Roe", said)
                self.assertNotIn(b"1952", said)
