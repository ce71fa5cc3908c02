"""SERIES.nii beside what others make of the same files: SimpleITK (GDCM) and dcm2niix."""

from __future__ import annotations

import json
import math
import os
import shutil
import subprocess
from collections.abc import Sequence
from http.client import HTTPConnection, HTTPResponse, IncompleteRead
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pydicom
import pydicom.data
import SimpleITK
from nibabel.nifti1 import Nifti1Image
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items
from pydicom.uid import (
    UID,
    EnhancedCTImageStorage,
    EnhancedMRImageStorage,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)
from twisted.trial.unittest import SkipTest

from tests.daemons import PATIENCE, Daemon, DaemonCase, curl, port_of
from tests.dicom.site_case import DicomCase
from tests.dicom_files import AXIAL, SERIES, ct_slice, save

TURN, TILT = math.radians(20), math.radians(12)
CORONAL = (1.0, 0.0, 0.0, 0.0, 0.0, -1.0)
SAGITTAL = (0.0, 1.0, 0.0, 0.0, 0.0, -1.0)
OBLIQUE = (
    *(math.cos(TURN), math.sin(TURN), 0.0),
    *(-math.sin(TURN) * math.cos(TILT), math.cos(TURN) * math.cos(TILT), math.sin(TILT)),
)
DIRECTIONS = {
    "axial": AXIAL,
    "coronal": CORONAL,
    "sagittal": SAGITTAL,
    "oblique": OBLIQUE,
    "head down": (-1.0, 0.0, 0.0, 0.0, -1.0, 0.0),
    "mirrored": (1.0, 0.0, 0.0, 0.0, -1.0, 0.0),
}


def normal(directions: Sequence[float]) -> np.ndarray:
    return np.cross(directions[:3], directions[3:])


def unscaled(image: Nifti1Image) -> np.ndarray:
    return np.asarray(image.dataobj.get_unscaled())  # type: ignore[attr-defined]


def canonical(image: Nifti1Image) -> tuple[np.ndarray, np.ndarray]:
    """The stored values and the affine, with the axes in the order and direction nearest RAS."""
    turned = nibabel.as_closest_canonical(Nifti1Image(unscaled(image), image.affine))
    return np.asarray(turned.dataobj), turned.affine


def of_type(values: np.ndarray, bits: int, is_signed: bool, slope: str = "1") -> dict[str, Any]:
    """Elements of pixels of a type."""
    return {
        **{"BitsAllocated": bits, "BitsStored": bits, "HighBit": bits - 1},
        **{"PixelRepresentation": int(is_signed), "RescaleSlope": slope, "RescaleIntercept": "0"},
        "PixelData": values.tobytes(),
    }


def items(**values: Any) -> Items:
    """A sequence of one item."""
    item = Dataset()
    for keyword, value in values.items():
        setattr(item, keyword, value)
    return Items([item])


def enhanced(
    storage: UID, directions: Sequence[float], frames: Sequence[tuple[float, dict[str, Any]]]
) -> Dataset:
    """A file of many frames, each at so many mm along the normal, with more of its own groups; the
    value of each voxel is another.
    """
    values = np.arange(len(frames) * 16 * 12, dtype="<i2").reshape(len(frames), 16, 12)
    groups = []
    for number, (depth, more) in enumerate(frames, 1):
        position = np.array((-31.5, 12.25, 40.0)) + normal(directions) * depth
        group = Dataset()
        group.FrameContentSequence = items(
            **{"StackID": "1", "InStackPositionNumber": number, "DimensionIndexValues": [number]},
            **more.get("FrameContentSequence", {}),
        )
        group.PlanePositionSequence = items(ImagePositionPatient=[f"{p:.10g}" for p in position])
        for keyword, content in more.items():
            if keyword != "FrameContentSequence":
                setattr(group, keyword, items(**content))
        groups.append(group)
    shared = Dataset()
    shared.PixelMeasuresSequence = items(
        PixelSpacing=["0.5", "0.75"], SliceThickness="2.5", SpacingBetweenSlices="2.5"
    )
    shared.PlaneOrientationSequence = items(
        ImageOrientationPatient=[f"{number:.12g}" for number in directions]
    )
    shared.PixelValueTransformationSequence = items(
        RescaleIntercept="-5", RescaleSlope="2", RescaleType="US"
    )
    made = ct_slice(
        rows=16,
        columns=12,
        modality="MR" if storage == EnhancedMRImageStorage else "CT",
        more={
            **dict.fromkeys(("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing")),
            **dict.fromkeys(("RescaleSlope", "RescaleIntercept", "SliceThickness")),
            **{"SOPClassUID": storage, "NumberOfFrames": len(frames)},
            **{"PixelData": values.tobytes(), "SharedFunctionalGroupsSequence": Items([shared])},
            "PerFrameFunctionalGroupsSequence": Items(groups),
        },
    )
    made.file_meta.MediaStorageSOPClassUID = storage
    return made


def frames_of(made: Dataset) -> np.ndarray:
    """Its stored values: columns, rows, frames."""
    return np.moveaxis(made.pixel_array, (0, 1, 2), (2, 1, 0))


class StrangerCase(DicomCase):
    def write(
        self,
        directions: Sequence[float] = AXIAL,
        count: int = 6,
        *,
        start: Sequence[float] = (-31.5, 12.25, 40.0),
        step: Sequence[float] | None = None,
        syntax: str = ExplicitVRLittleEndian,
        **options: Any,
    ) -> None:
        """Write a series whose slices are ``step`` apart, by default 2.5 mm along the normal, and
        load it.
        """
        move = normal(directions) * 2.5 if step is None else np.array(step)
        for number in range(1, count + 1):
            position = np.array(start) + move * (number - 1)
            made = ct_slice(
                number=number,
                position=[f"{value:.10g}" for value in position],  # type: ignore[misc]
                orientation=[f"{value:.12g}" for value in directions],  # type: ignore[misc]
                rows=16,
                columns=12,
                **options,
            )
            save(made, os.path.join(self.folder, f"IM{(number * 5) % 7}{number}"), syntax)
        self.load()

    def fetch(self, series: str = SERIES) -> Nifti1Image:
        """SERIES.nii, as nibabel opens its bytes."""
        answer = self.memory_site.ask(f"/collections/scans/dicom/{series}.nii")
        self.assertEqual(answer.status, 200, answer.body[:300])
        image = Nifti1Image.from_bytes(answer.body)
        assert isinstance(image, Nifti1Image)
        return image

    def message(self, series: str = SERIES) -> Any:
        """SERIES.json."""
        return self.memory_site.ask(f"/collections/scans/dicom/{series}.json").json


class ItkTests(StrangerCase):
    def compare(self, series: str = SERIES) -> None:
        """Voxels and geometry are those of SimpleITK's reader of series."""
        names = SimpleITK.ImageSeriesReader.GetGDCMSeriesFileNames(self.folder, series)
        expected = SimpleITK.ReadImage(names)
        image = self.fetch(series)
        np.testing.assert_array_equal(image.get_fdata().T, SimpleITK.GetArrayFromImage(expected))
        matrix = np.eye(4)
        directions = np.reshape(expected.GetDirection(), (3, 3))
        matrix[:3, :3] = directions * expected.GetSpacing()
        matrix[:3, 3] = expected.GetOrigin()
        np.testing.assert_allclose(image.affine, np.diag((-1, -1, 1, 1)) @ matrix, atol=1e-4)
        message = self.message(series)
        np.testing.assert_allclose(message["spacing"], expected.GetSpacing(), atol=1e-4)
        np.testing.assert_allclose(message["origin"], expected.GetOrigin(), atol=1e-4)
        np.testing.assert_allclose(message["direction"], expected.GetDirection(), atol=1e-4)

    def test_directions(self) -> None:
        """Axial, coronal, sagittal, oblique and turned series."""
        for name, directions in DIRECTIONS.items():
            self.folder = os.path.join(self.base, name)
            os.makedirs(self.folder)
            self.write(directions)
            self.compare()

    def test_reversed(self) -> None:
        """Slices that are numbered against the normal."""
        self.write(step=(0.0, 0.0, -2.5))
        self.compare()

    def test_types(self) -> None:
        """Each type of stored values, with and without a rescale."""
        for name, bits, is_signed, slope in (
            *(("uint8", 8, False, "1"), ("uint16", 16, False, "2.5"), ("int16", 16, True, "1")),
            *(("int8", 8, True, "1"), ("uint32", 32, False, "1"), ("int32", 32, True, "0.5")),
        ):
            self.folder = os.path.join(self.base, name)
            os.makedirs(self.folder)
            values = np.arange(192).reshape(16, 12) * (2 ** (bits - 8)) + (-128 if is_signed else 0)
            self.write(more=of_type(values.astype(name), bits, is_signed, slope))
            self.assertEqual(self.fetch().get_data_dtype(), np.dtype(name))
            self.compare()

    def test_tilted(self) -> None:
        """A tilted gantry moves each slice sideways: only the sform can say so, and the voxels are
        as they are, which ITK lays on a straight grid.
        """
        step = np.array((0.0, 2.5 * math.sin(TILT), 2.5 * math.cos(TILT)))
        self.write(step=step.tolist())
        image = self.fetch()
        codes = image.header["qform_code"], image.header["sform_code"]
        self.assertEqual(codes, (0, 1))
        last = image.affine @ (0, 0, 5, 1)
        np.testing.assert_allclose(
            last[:3], (31.5, -12.25 - 5 * step[1], 40 + 5 * step[2]), atol=1e-4
        )
        names = SimpleITK.ImageSeriesReader.GetGDCMSeriesFileNames(self.folder, SERIES)
        values = [SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(name))[0] for name in names]
        values.sort(key=lambda value: float(value[0, 0]))
        np.testing.assert_array_equal(image.get_fdata().T, values)

    def test_syntaxes(self) -> None:
        """Implicit VR has its pixels elsewhere."""
        self.write(syntax=ImplicitVRLittleEndian)
        self.compare()

    def test_frames(self) -> None:
        """Enhanced CT and MR: the frames of one file, in whatever order they are there."""
        for storage, order in (
            (EnhancedMRImageStorage, (0, 1, 2, 3, 4)),
            (EnhancedCTImageStorage, (4, 3, 2, 1, 0)),
        ):
            self.folder = os.path.join(self.base, storage.name)
            os.makedirs(self.folder)
            made = enhanced(storage, OBLIQUE, [(2.5 * z, {}) for z in order])
            save(made, os.path.join(self.folder, "enhanced"))
            self.load()
            image = self.fetch()
            np.testing.assert_array_equal(unscaled(image), frames_of(made)[..., np.argsort(order)])
            expected = SimpleITK.ReadImage(os.path.join(self.folder, "enhanced"))
            if order[0] == 0:  # GDCM leaves the frames in the order of the file
                values = SimpleITK.GetArrayFromImage(expected)
                np.testing.assert_array_equal(image.get_fdata().T, values)
                matrix = np.reshape(expected.GetDirection(), (3, 3)) * expected.GetSpacing()
                np.testing.assert_allclose(image.affine[2, :3], matrix[2], atol=1e-4)
                np.testing.assert_allclose(image.affine[:2, :3], -matrix[:2], atol=1e-4)


class Dcm2niixTests(StrangerCase):
    def convert(self, count: int = 1, facts: str = "n") -> list[Nifti1Image]:
        """What dcm2niix makes of the folder: so many files."""
        program = shutil.which("dcm2niix")
        if program is None:
            raise SkipTest("no dcm2niix here")
        folder = os.path.join(self.base, "converted", os.path.basename(self.folder))
        os.makedirs(folder)
        command = [program, "-z", "n", "-b", facts, "-f", "volume", "-o", folder, self.folder]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        made = [nibabel.load(path) for path in sorted(Path(folder).glob("*.nii"))]
        self.assertEqual(len(made), count, (made, done.stdout, done.stderr))
        return [image for image in made if isinstance(image, Nifti1Image)]

    def compare(self, series: str = SERIES) -> None:
        """Voxels are equal after the flips that dcm2niix makes, and so is the affine."""
        (values, affine), (expected, other) = map(canonical, (self.fetch(series), *self.convert()))
        np.testing.assert_array_equal(values, expected)
        np.testing.assert_allclose(affine, other, atol=1e-4)

    def test_directions(self) -> None:
        """Axial, coronal, sagittal, oblique and turned series."""
        for name, directions in DIRECTIONS.items():
            self.folder = os.path.join(self.base, name)
            os.makedirs(self.folder)
            self.write(directions, modality="MR")
            self.compare()

    def test_frames(self) -> None:
        """Enhanced MR and CT."""
        for storage in (EnhancedMRImageStorage, EnhancedCTImageStorage):
            self.folder = os.path.join(self.base, storage.name)
            os.makedirs(self.folder)
            made = enhanced(storage, OBLIQUE, [(2.5 * z, {}) for z in range(5)])
            save(made, os.path.join(self.folder, "enhanced"))
            self.load()
            self.compare()

    def test_times(self) -> None:
        """Enhanced MR in time, whose frames are first in place and then in time."""
        frames = [
            (2.5 * z, {"FrameContentSequence": {"TemporalPositionIndex": t}})
            for z in range(4)
            for t in (1, 2, 3)
        ]
        made = enhanced(EnhancedMRImageStorage, CORONAL, frames)
        save(made, os.path.join(self.folder, "enhanced"))
        self.load()
        image = self.fetch()
        expected = frames_of(made).reshape(12, 16, 4, 3)
        np.testing.assert_array_equal(unscaled(image), expected)

    def test_echoes(self) -> None:
        """Echoes are volumes; dcm2niix writes a file for each."""
        for echo in (1, 2):
            for number in range(1, 5):
                made = ct_slice(
                    number=number + 10 * echo,
                    position=(0.0, 0.0, 2.5 * number),
                    modality="MR",
                    rows=16,
                    columns=12,
                    more={"EchoTime": f"{4.6 * echo:g}", "EchoNumbers": echo},
                )
                save(made, os.path.join(self.folder, f"IM{number}-{echo}"))
        self.load()
        (values, affine), message = canonical(self.fetch()), self.message()
        self.assertEqual(values.shape[3], 2)
        self.assertEqual(message["volumes"], [{"echo": 4.6}, {"echo": 9.2}])
        self.assertNotIn("EchoTime", message)
        converted = sorted(self.convert(2), key=lambda image: int(image.dataobj[0, 0, 0]))
        for number, image in enumerate(converted):
            expected, other = canonical(image)
            np.testing.assert_array_equal(values[..., number], expected)
            np.testing.assert_allclose(affine, other, atol=1e-4)

    def test_facts(self) -> None:
        """The facts of the acquisition are those that dcm2niix writes for BIDS."""
        facts = {
            **{"RepetitionTime": "2200", "EchoTime": "4.6", "InversionTime": "900"},
            **{"FlipAngle": "8", "MagneticFieldStrength": "3", "EchoTrainLength": "2"},
            **{"ScanningSequence": "GR", "SequenceVariant": "SP", "MRAcquisitionType": "3D"},
            **{"ImagingFrequency": "123.25", "PixelBandwidth": "190", "PatientPosition": "HFS"},
        }
        self.write(modality="MR", more=facts)
        message = self.message()
        self.convert(1, "y")
        [sidecar] = Path(self.base, "converted").rglob("*.json")
        theirs = json.loads(sidecar.read_bytes())
        shared = theirs.keys() & message.keys()
        for keyword in (*facts, "Modality"):
            self.assertIn(keyword, message)
        self.assertGreaterEqual(len(shared), 10, shared)
        for keyword in shared - {"ImageType"}:
            self.assertEqual(message[keyword], theirs[keyword], keyword)


class PydicomTests(StrangerCase):
    def test_dose(self) -> None:
        """A dose is scaled as it says."""
        source = os.path.join(os.path.dirname(pydicom.data.__file__), "test_files", "rtdose.dcm")
        dose = pydicom.dcmread(source)
        save(dose, os.path.join(self.folder, "dose"), dose.file_meta.TransferSyntaxUID)
        self.load()
        image = self.fetch(dose.SeriesInstanceUID)
        values = frames_of(dose) * float(dose.DoseGridScaling)
        np.testing.assert_allclose(image.get_fdata(), values, rtol=1e-6)
        z = dose.ImagePositionPatient[2] + dose.GridFrameOffsetVector[-1]
        self.assertAlmostEqual((image.affine @ (0, 0, len(values[0, 0]) - 1, 1))[2], z, 3)

    def test_files(self) -> None:
        """Of pydicom's own files, each series is a volume as SimpleITK reads it, or a sentence."""
        self.folder = os.path.join(os.path.dirname(pydicom.data.__file__), "test_files")
        index = self.index(self.load())
        volumes = set()
        for series in index.series():
            path = f"/collections/scans/dicom/{series.uid}"
            answer = self.memory_site.ask(f"{path}.nii")
            self.assertIn(answer.status, (200, 409), (series.uid, answer.body))
            if answer.status == 409:
                self.assertTrue(answer.json["detail"].endswith("."))
            else:
                volumes.add(series.instances[0].names[-1])
                self.compare_voxels(answer.body, self.message(series.uid)["files"])
        self.assertLessEqual({"CT_small.dcm", "MR_small.dcm", "examples_overlay.dcm"}, volumes)

    def compare_voxels(self, body: bytes, files: list[dict[str, str]]) -> None:
        names = [os.path.join(self.folder, file["name"]) for file in files]
        values = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(names))
        # ITK leaves doses as they are stored.
        values = values * float(pydicom.dcmread(names[0]).get("DoseGridScaling", 1))
        image = Nifti1Image.from_bytes(body)
        np.testing.assert_allclose(image.get_fdata().T.squeeze(), values.squeeze(), rtol=1e-6)


class TransferTests(DaemonCase):
    """A real daemon, whose answers are larger than its sockets hold."""

    def start(self) -> Daemon:
        self.scans = self.folder / "scans"
        values = np.zeros((1024, 1024), dtype="<i2")
        for number in range(1, 33):
            values += 1
            pixels = {"PixelData": values.tobytes()}
            position = (0.0, 0.0, 2.0 * number)
            made = ct_slice(number=number, position=position, rows=1024, columns=1024, more=pixels)
            save(made, str(self.scans / f"IM{number:02}"))
        daemon = self.daemon("--http-port", "0")
        load = json.dumps({"directory": str(self.scans), "name": "scans"})
        curl(daemon.http_url + "load-directory", "--json", load)
        return daemon

    def open(self, daemon: Daemon, **headers: str) -> HTTPResponse:
        """The answer to a request for the volume, when the index is complete."""
        connection = HTTPConnection("127.0.0.1", port_of(daemon.http_url), timeout=PATIENCE)
        self.addCleanup(connection.close)
        for _ in range(20):  # each waits for three seconds
            connection.request("GET", f"/collections/scans/dicom/{SERIES}.nii", headers=headers)
            answer = connection.getresponse()
            if answer.status != 202:
                break
            answer.read()
        return answer

    def test_same(self) -> None:
        """HTTP, HTTPS and ranges give the same bytes, which nibabel opens."""
        daemon = self.start()
        body = self.open(daemon).read()
        image = Nifti1Image.from_bytes(body)
        np.testing.assert_array_equal(np.unique(unscaled(image)), np.arange(1, 33))
        path = f"collections/scans/dicom/{SERIES}.nii"
        self.assertEqual(self.get(daemon, path), body)
        middle = self.open(daemon, Range="bytes=1000000-40000000")
        self.assertEqual((middle.status, middle.read()), (206, body[1_000_000:40_000_001]))

    def test_changed(self) -> None:
        """If a file changes after the answer began, the connection ends before the last byte."""
        daemon = self.start()
        answer = self.open(daemon)
        self.assertEqual(answer.status, 200)
        answer.read(100_000)
        with open(self.scans / "IM32", "r+b") as last:
            last.seek(5000)
            last.write(b"changed")
        with self.assertRaises((IncompleteRead, ConnectionResetError)):
            answer.read()
        again = self.open(daemon)
        if again.status == 503:  # it was known at once that the file is another
            again.read()
            again = self.open(daemon)
        self.assertEqual(again.status, 200)
        self.assertNotEqual(again.headers["ETag"], answer.headers["ETag"])
