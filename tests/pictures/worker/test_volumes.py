from __future__ import annotations

import gzip
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import SimpleITK
from pydicom.data import get_testdata_file
from twisted.trial.unittest import SkipTest, SynchronousTestCase

from imgd.pictures.messages import Job, Progress
from imgd.pictures.worker import decoding, volumes
from imgd.pictures.worker.source import Sources
from tests import samples
from tests.pictures.worker.asking import ask, one, shown, source, view
from tests.pictures.worker.test_nifti import PLANES, canonical

ARRAY = np.arange(3 * 4 * 5, dtype="<i2").reshape(3, 4, 5)


class VolumeCase(SynchronousTestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)


class DetectionTests(VolumeCase):
    def test_formats(self) -> None:
        """Each format is known by its content, whatever the name, in gzip too."""
        image = SimpleITK.GetImageFromArray(ARRAY)
        for name in ("a.mha", "a.nrrd"):
            SimpleITK.WriteImage(image, self.folder / name)
        nibabel.save(nibabel.Nifti1Image(ARRAY, np.eye(4)), self.folder / "a.nii")
        nibabel.save(nibabel.Nifti2Image(ARRAY, np.eye(4)), self.folder / "b.nii")
        nibabel.save(nibabel.MGHImage(ARRAY, np.eye(4)), self.folder / "a.mgh")
        for name, format_name in (
            ("a.mha", "MetaImage"), ("a.nrrd", "NRRD"), ("a.nii", "NIfTI-1"),
            ("b.nii", "NIfTI-2"), ("a.mgh", "MGH"),
        ):  # fmt: skip
            path = self.folder / name
            content = path.read_bytes()
            for other in (content, gzip.compress(content)):
                path = self.folder / "a picture.png"
                path.write_bytes(other)
                self.assertEqual(one(path, "info").json()["format"], format_name)

    def test_long_comment(self) -> None:
        """A MetaImage is known by a header longer than what is looked at of other files."""
        path = self.folder / "a.mha"
        SimpleITK.WriteImage(SimpleITK.GetImageFromArray(ARRAY), path)
        content = path.read_bytes()
        path.write_bytes(content.replace(b"NDims", b"Comment = " + b"x" * 20000 + b"\nNDims", 1))
        self.assertEqual(one(path, "info").status, 200)

    def test_others(self) -> None:
        """Nothing else is taken for a volume, nor any beginning of one."""
        contents = [
            b"",
            b"\0" * 2000,
            b"\x5c\x01\0\0" * 200,
            b"Comment = x\n" * 99,
            b"NRRD",
            b"\0\0\0\2" * 99,
        ]
        contents += [gzip.compress(content) for content in contents]
        whole = samples.volume("example4d.nii.gz").read_bytes()
        contents += [whole[:length] for length in (1, 10, 18, 40, 100)]
        contents += [gzip.decompress(whole)[:length] for length in (4, 100, 340, 347)]
        path = self.folder / "a.nii.gz"
        for content in contents:
            path.write_bytes(content)
            for reply in ask(path, "thumb", "slice=axial", "info", "mosaic=2x2"):
                self.assertEqual(reply.status, 415, content[:20])
                self.assertTrue(reply.detail.startswith("Not a picture that can be shown: "))

    def test_cut_off(self) -> None:
        """A volume cut off anywhere is shown or refused with a sentence."""
        for name in ("anatomical.nii", "standard.nii.gz", "test.mgz"):
            whole = samples.volume(name).read_bytes()
            path = self.folder / name
            for length in range(0, len(whole), max(1, len(whole) // 60)):
                path.write_bytes(whole[:length])
                for reply in ask(path, "slice=coronal", "info"):
                    self.assertIn(reply.status, (200, 415))
                    self.assertNotIn(str(self.folder), reply.detail)

    def test_progress(self) -> None:
        """A job says first that it is about a volume, which may take longer."""
        file = source(samples.volume("anatomical.nii"))
        sources = Sources(file, {}, Job([view("thumb")], [file.name], 10**6))
        self.assertEqual(next(decoding.decode(sources)), Progress(is_volume=True))

    def test_detect(self) -> None:
        """The reader is found by the content's first bytes."""
        file = source(samples.volume("anatomical.nii"))
        self.assertIsNotNone(volumes.detect(file.read(0, 1024), file))
        self.assertIsNone(volumes.detect(b"nothing", file))


class ConvertedTests(VolumeCase):
    """What dcm2niix makes of series of DICOM."""

    def convert(self, export: str) -> Path:
        """A folder of volumes: NIfTI (n) or NRRD (y)."""
        program = shutil.which("dcm2niix")
        if program is None:
            raise SkipTest("no dcm2niix here")
        folder = self.folder / export
        folder.mkdir()
        series = Path(str(get_testdata_file("DICOMDIR", download=False))).parent
        options = ["-e", export, "-z", "i", "-f", "%s_%u", "-o", str(folder), str(series)]
        subprocess.run([program, *options], check=True, capture_output=True, timeout=60)
        return folder

    def test_nifti(self) -> None:
        """Its NIfTI shows nibabel's values."""
        volumes_seen = sorted(self.convert("n").glob("*.nii.gz"))
        self.assertGreater(len(volumes_seen), 10)
        for path in volumes_seen:
            data = canonical(path)
            for axis, plane in enumerate(PLANES):
                index = data.shape[axis] // 2
                values = one(path, f"slice={plane}:{index}&depth=16").values()
                np.testing.assert_allclose(values, shown(data, plane, index), atol=0.01)

    def test_nrrd(self) -> None:
        """Its NRRD is shown as its NIfTI of the same series is, if that has no slope, for which
        NRRD has no field.
        """
        nifti_folder, nrrd_folder = map(self.convert, ("n", "y"))
        for path in sorted(nifti_folder.glob("*.nii.gz")):
            image: Any = nibabel.load(path)
            if (image.dataobj.slope, image.dataobj.inter) != (1, 0):
                continue
            header = nrrd_folder / path.name.replace(".nii.gz", ".nhdr")
            queries = [f"slice={plane}&depth=16" for plane in PLANES]
            replies = ask(header, *queries, beside=(header.with_suffix(".raw.gz"),))
            for reply, expected in zip(replies, ask(path, *queries), strict=True):
                self.assertEqual(reply.status, 200, reply.detail)
                np.testing.assert_allclose(reply.values(), expected.values(), atol=0.01)
