"""What ``?info`` tells of DICOM files, against SimpleITK; and what it does not tell."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pydicom
import SimpleITK
from twisted.trial.unittest import SynchronousTestCase

from tests.pictures.worker.decoded import body, made
from tests.pictures.worker.test_dicom import FILES, all_files, ct, several, written
from tests.samples import dicom

# Without pixels, or not read by SimpleITK.
UNREAD = ("IM", "rtdose", "MR_truncated", "DICOMDIR")


def facts(data: bytes) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(body(data, "info"))
    return found


class FactTests(SynchronousTestCase):
    def test_scan(self) -> None:
        """The facts of a slice of a computed tomography."""
        found = facts(dicom("CT_small.dcm").read_bytes())
        self.assertEqual((found["kind"], found["format"]), ("dicom", "DICOM"))
        self.assertEqual((found["shape"], found["frames"]), ([128, 128, 1], 1))
        self.assertEqual((found["type"], found["planes"]), ("int16", ["axial"]))
        self.assertEqual(found["voxel_size"], [0.661468, 0.661468, 5.0])
        self.assertEqual((found["units"]["space"], found["is_colour"]), ("mm", False))
        self.assertEqual((found["range"]["min"], found["range"]["max"]), (-896, 1167))
        self.assertEqual(found["transfer_syntax"], "Explicit VR Little Endian")
        self.assertEqual((found["tags"]["KVP"], found["tags"]["Modality"]), (120.0, "CT"))

    def test_space(self) -> None:
        """Positions are SimpleITK's, from LPS to RAS; the codes are nibabel's."""
        compared = 0
        for path in all_files():
            dataset = parsed(path)
            if "ImageOrientationPatient" not in dataset or path.name.startswith(UNREAD):
                continue
            affine = np.array(facts(path.read_bytes())["affine"])
            image = SimpleITK.ReadImage(str(path))
            for index in ((0, 0, 0), (10, 0, 0), (0, 7, 0)):
                x, y, z = image.TransformIndexToPhysicalPoint(index)
                ours = affine @ (*index, 1)
                self.assertLess(np.abs(ours[:3] - (-x, -y, z)).max(), 1e-3, path)
            codes = "".join(nibabel.aff2axcodes(affine))
            self.assertEqual(facts(path.read_bytes())["orientation"], codes)
            compared += 1
        self.assertGreater(compared, 20)

    def test_oblique(self) -> None:
        """A plane between the axes is said to be one."""
        dataset = ct()
        self.assertFalse(facts(written(dataset))["is_oblique"])
        dataset.ImageOrientationPatient = [0.8, 0.6, 0, -0.6, 0.8, 0]
        self.assertTrue(facts(written(dataset))["is_oblique"])

    def test_no_space(self) -> None:
        """A file that does not say where it lies has no affine; nor one that says nonsense."""
        for value in (None, [1, 0, 0], [1e300, 0, 0, 0, 1, 0]):
            dataset = several(1)
            dataset.ImageOrientationPatient = value
            found = facts(written(dataset))
            self.assertIsNone(found["affine"])
            self.assertIsNone(found["orientation"])

    def test_frames(self) -> None:
        """The facts of a file of many frames are those of its middle."""
        found = facts(written(several(7)))
        self.assertEqual(found["shape"], [24, 32, 7])
        self.assertEqual(found["range"]["of"], "axial 3")

    def test_colour(self) -> None:
        """A colour picture has no window."""
        found = facts((FILES / "examples_ybr_color.dcm").read_bytes())
        self.assertEqual((found["type"], found["is_colour"]), ("rgb24", True))
        self.assertNotIn("window", found)

    def test_every_file(self) -> None:
        """No file of pydicom's tells a name, a date, a number of a person, or a UID of its own."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for path in all_files():
                self.told(path)

    def told(self, path: Path) -> None:
        dataset = parsed(path)
        if "Rows" not in dataset:
            return
        tags = facts_or_none(path.read_bytes()).get("tags", {})
        for element in dataset.iterall():
            if element.VR in ("PN", "DA", "TM", "DT", "LO", "SH", "ST", "LT", "UI", "AE"):
                self.assertNotIn(element.keyword, tags, path)
            if element.VR == "PN" or (element.tag.group == 0x0010 and len(str(element.value)) > 4):
                self.assertNotIn(str(element.value) or "?", json.dumps(tags), path)


def parsed(path: Path) -> pydicom.FileDataset:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some of these files break a rule
        return pydicom.dcmread(path, stop_before_pixels=True, force=True)


def facts_or_none(data: bytes) -> dict[str, Any]:
    (item,) = made(data, "info")
    found: dict[str, Any] = json.loads(item.body) if item.answer.status == 200 else {}
    return found
