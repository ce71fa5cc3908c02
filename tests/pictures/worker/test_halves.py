from __future__ import annotations

import gzip
import json
import tempfile
from pathlib import Path

import nibabel
import numpy as np
import SimpleITK
from twisted.trial.unittest import SynchronousTestCase

from tests.pictures.worker.asking import COMPANION, made, one, shown

ARRAY = np.arange(3 * 4 * 5, dtype="<i2").reshape(3, 4, 5)


class HalvesCase(SynchronousTestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def pair(self, name: str = "a.hdr") -> tuple[Path, Path]:
        """Header and data of NIfTI-1, as nibabel writes them."""
        header = self.folder / name
        nibabel.save(nibabel.Nifti1Pair(ARRAY, np.eye(4)), header)
        return header, header.with_name(name.replace("hdr", "img").replace("HDR", "IMG"))

    def names(self, path: Path, are_headers: bool = False) -> list[str]:
        """Of the file that it needs, or of the headers that it may have."""
        [answer] = made(path, COMPANION)
        self.assertEqual(answer.answer.status, 200)
        said = json.loads(answer.body)
        self.assertEqual(said.get("are_headers", False), are_headers)
        return list(said["names"])

    def check(self, header: Path, data: Path) -> None:
        """Each names the other, and either shows the volume."""
        self.assertEqual(self.names(header), [data.name])
        self.assertIn(header.name, self.names(data, are_headers=True))
        self.show(header, data)
        self.show(data, header)

    def show(self, asked: Path, other: Path) -> None:
        reply = one(asked, "slice=axial:1&depth=16", beside=(other,))
        self.assertEqual(reply.status, 200, reply.detail)
        np.testing.assert_array_equal(reply.values(), shown(ARRAY, "axial", 1))


class NameTests(HalvesCase):
    def test_nifti(self) -> None:
        """A header names its data, data its header; either shows the volume."""
        header, data = self.pair()
        self.check(header, data)

    def test_gzip(self) -> None:
        """Both may be gzip."""
        header, data = self.pair("a.b.hdr")
        packed = [path.with_name(path.name + ".gz") for path in (header, data)]
        for path, to in zip((header, data), packed, strict=True):
            to.write_bytes(gzip.compress(path.read_bytes()))
        self.check(packed[0], packed[1])

    def test_data_like_gzip(self) -> None:
        """Voxels that begin as gzip does are voxels, if the file is as long as they are."""
        header, data = self.pair()
        data.write_bytes(b"\x1f\x8b\x08\0" + data.read_bytes()[4:])
        values = one(header, "slice=axial:1&depth=16", beside=(data,)).values()
        np.testing.assert_array_equal(values, shown(ARRAY, "axial", 1))

    def test_upper_case(self) -> None:
        """Names in capitals belong together."""
        header, data = self.pair()
        header, data = header.rename(self.folder / "A.HDR"), data.rename(self.folder / "A.IMG")
        self.check(header, data)

    def test_metaimage(self) -> None:
        """A MetaImage header names its data; .raw and .zraw have a header."""
        header = self.folder / "a.mhd"
        image = SimpleITK.GetImageFromArray(ARRAY[::-1, ::-1].transpose())
        for packed, suffix in ((False, ".raw"), (True, ".zraw")):
            SimpleITK.WriteImage(image, header, useCompression=packed)
            self.check(header, header.with_suffix(suffix))

    def test_nrrd(self) -> None:
        """A NRRD header names its data; .raw.gz has a header."""
        header = self.folder / "a.nhdr"
        SimpleITK.WriteImage(
            SimpleITK.GetImageFromArray(ARRAY[::-1, ::-1].transpose()), header, useCompression=True
        )
        self.check(header, self.folder / "a.raw.gz")

    def test_alone(self) -> None:
        """Volumes in one file, and what is none, need no other."""
        path = self.folder / "a.hdr"
        nibabel.save(nibabel.Nifti1Image(ARRAY, np.eye(4)), self.folder / "a.nii")
        (self.folder / "a.nii").rename(path)
        self.assertEqual(self.names(path), [])
        for content in (b"", b"text", bytes(500)):
            path.write_bytes(content)
            self.assertEqual(self.names(path, are_headers=True), [])
        image = SimpleITK.GetImageFromArray(ARRAY)
        for name in ("a.mha", "a.nrrd"):
            SimpleITK.WriteImage(image, self.folder / name)
            self.assertEqual(self.names(self.folder / name), [])


class OddNameTests(HalvesCase):
    def test_odd_names(self) -> None:
        """Names of other scripts, with spaces and signs, belong together."""
        header = self.folder / "größe 体积 100%.mhd"
        SimpleITK.WriteImage(
            SimpleITK.GetImageFromArray(ARRAY[::-1, ::-1].transpose()), self.folder / "a.mhd"
        )
        text = (self.folder / "a.mhd").read_text("utf-8")
        header.write_text(text.replace("a.raw", "größe 体积 100%.raw"), "utf-8")
        data = (self.folder / "a.raw").rename(header.with_suffix(".raw"))
        self.check(header, data)


class RefusalTests(HalvesCase):
    def test_elsewhere(self) -> None:
        """A header that names a file elsewhere is refused, without its name."""
        header = self.folder / "a.mhd"
        SimpleITK.WriteImage(SimpleITK.GetImageFromArray(ARRAY), header)
        text = header.read_text()
        for name in ("../a.raw", "/etc/passwd", "b/a.raw", "..", ".", "b\\a.raw", "x" * 256):
            header.write_text(text.replace("a.raw", name))
            [answer] = made(header, COMPANION)
            self.assertEqual(answer.answer.status, 415)
            why = "Not a picture that can be shown: its voxels are in a file in another folder."
            self.assertEqual(answer.answer.detail, why)

    def test_strangers(self) -> None:
        """Data beside the header of another file is refused."""
        header, data = self.pair()
        other = self.folder / "b.img"
        other.write_bytes(data.read_bytes())
        self.assertEqual(one(other, "thumb", beside=(header,)).status, 415)
        header.write_bytes(b"nothing")
        self.assertEqual(one(data, "thumb", beside=(header,)).status, 415)
        self.assertEqual(one(data, "thumb", beside=(other,)).status, 415)
        self.assertEqual(one(data, "thumb", beside=(header, other)).status, 415)

    def test_missing(self) -> None:
        """A header without its data, and data without its header, are refused."""
        header, data = self.pair()
        self.assertIn("file of its voxels", one(header, "thumb").detail)
        self.assertIn("no decoder", one(data, "thumb").detail)

    def test_cut_off(self) -> None:
        """Data shorter than its header claims is refused."""
        header, data = self.pair()
        data.write_bytes(data.read_bytes()[:-1])
        detail = one(header, "thumb", beside=(data,)).detail
        self.assertIn("claims 120 bytes of voxels, and the file can hold 119", detail)
