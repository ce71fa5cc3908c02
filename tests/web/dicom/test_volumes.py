"""Series as NIfTI-1 files and as JSON, asked for as a client asks."""

from __future__ import annotations

import os
import shutil
from email import message_from_bytes
from email.policy import HTTP
from typing import Any

import numpy as np
import pydicom
from nibabel.nifti1 import Nifti1Image

from tests.dicom.site_case import DicomCase
from tests.dicom_files import SERIES, STUDY, ct_slice, save, write_series
from tests.fakes import Answer

BASE = "/collections/scans/dicom"
NII, JSON = f"{BASE}/{SERIES}.nii", f"{BASE}/{SERIES}.json"
ORIGIN = {"Origin": "https://viewer.example"}


def read(answer: Answer) -> Nifti1Image:
    image = Nifti1Image.from_bytes(answer.body)
    assert isinstance(image, Nifti1Image)
    return image


def stored(paths: list[str]) -> np.ndarray:
    """The values of files as they are stored: columns, rows, slices."""
    frames = [pydicom.dcmread(path).pixel_array for path in paths]
    return np.stack(frames, axis=-1).swapaxes(0, 1)


class VolumeCase(DicomCase):
    def write(self, count: int = 5, **options: Any) -> list[str]:
        """Write a series and load it; returns its paths from the lowest slice to the highest."""
        paths = write_series(self.folder, count, **options)
        self.load()
        return paths

    def ask(self, path: str = NII, method: str = "GET", **headers: str) -> Answer:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.memory_site.ask(path, method, sent)

    def problem(self, status: int, path: str = NII) -> str:
        """The sentence of an error."""
        answer = self.ask(path)
        self.assertEqual(answer.status, status, answer.body)
        detail: str = answer.json["detail"]
        return detail


class NiftiTests(VolumeCase):
    def test_whole(self) -> None:
        """The voxels are those of the files, the geometry, rescale and window theirs."""
        paths = self.write(name="CT/IM{:04}")
        answer = self.ask()
        self.assertEqual((answer.status, answer.aborted), (200, False))
        self.assertEqual(answer.headers["content-type"], "application/x-nifti")
        self.assertEqual(answer.headers["content-length"], str(len(answer.body)))
        name = f'inline; filename="{SERIES}.nii"'
        self.assertEqual(answer.headers["content-disposition"], name)
        image = read(answer)
        np.testing.assert_array_equal(np.asarray(image.get_fdata()), stored(paths) - 1024.0)
        self.assertEqual(image.get_data_dtype(), np.int16)
        affine = np.diag((-0.75, -0.5, 2.0, 1.0))
        affine[:2, 3] = 10, 20
        np.testing.assert_allclose(image.affine, affine)
        header = image.header
        self.assertEqual((header["cal_min"], header["cal_max"]), (-160, 240))
        self.assertNotIn(b"Doe", answer.body)

    def test_large(self) -> None:
        """A series of more files than are read at once is a volume like others."""
        paths = [os.path.join(self.folder, f"IM{z}") for z in range(520)]
        for z, path in enumerate(paths):
            position, uid = (0.0, 0.0, float(z)), f"{SERIES}.{z}"
            made = ct_slice(number=z % 300, uid=uid, position=position, rows=1, columns=1)
            save(made, path)
        self.load()
        image = read(self.ask())
        self.assertEqual(image.shape, (1, 1, 520))
        np.testing.assert_array_equal(image.get_fdata(), stored(paths) - 1024.0)
        self.assertEqual(len(self.ask(JSON).json["files"]), 520)

    def test_download(self) -> None:
        """A browser saves it under its name if it is asked to."""
        self.write(2)
        answer = self.ask(f"{NII}?download")
        disposition = f'attachment; filename="{SERIES}.nii"'
        self.assertEqual(answer.headers["content-disposition"], disposition)

    def test_head(self) -> None:
        """HEAD has the headers of GET."""
        self.write()
        head, got = self.ask(method="HEAD"), self.ask()
        self.assertEqual((head.status, head.body), (200, b""))
        self.assertEqual(head.headers, got.headers)

    def test_ranges(self) -> None:
        """Any range is that of the whole: in the header, in a slice, over several; several at once
        are multipart/byteranges.
        """
        self.write()
        whole = self.ask().body
        for first, last in ((0, 0), (0, 351), (340, 360), (352, 352), (400, 640), (830, 831)):
            answer = self.ask(Range=f"bytes={first}-{last}")
            self.assertEqual(answer.status, 206)
            self.assertEqual(answer.body, whole[first : last + 1])
            content_range = f"bytes {first}-{last}/{len(whole)}"
            self.assertEqual(answer.headers["content-range"], content_range)
        self.assertEqual(self.ask(Range="bytes=-5").body, whole[-5:])
        self.assertEqual(self.ask(Range="bytes=99999-").status, 416)
        answer = self.ask(Range="bytes=0-3,350-460,-1")
        kind = answer.headers["content-type"].encode("ascii")
        message = message_from_bytes(
            b"Content-Type: %b\r\n\r\n%b" % (kind, answer.body), policy=HTTP
        )
        parts = [
            part.get_payload(decode=True) for part in message.walk() if not part.is_multipart()
        ]
        self.assertEqual(parts, [whole[:4], whole[350:461], whole[-1:]])

    def test_conditions(self) -> None:
        """The ETag is as good as that of a file; of dates, which say little of many files, none
        makes a 304 or a 412.
        """
        self.write()
        answer = self.ask()
        tag, date = answer.headers["etag"], answer.headers["last-modified"]
        unchanged = self.ask(If_None_Match=tag)
        self.assertEqual((unchanged.status, unchanged.body), (304, b""))
        self.assertNotIn("content-disposition", unchanged.headers)
        self.assertEqual(self.ask(If_Match='"other"').status, 412)
        self.assertEqual(self.ask(If_Modified_Since=date).status, 200)
        self.assertEqual(self.ask(Range="bytes=0-9", If_Range=tag).status, 206)
        self.assertEqual(self.ask(Range="bytes=0-9", If_Range='"other"').status, 200)
        self.assertEqual(self.ask(Range="bytes=0-9", If_Range=date).status, 200)

    def test_changed(self) -> None:
        """A file that changed since it was indexed makes a 503; soon it is indexed again, and
        another ETag tells of it.
        """
        paths = write_series(self.folder, 5)
        os.utime(self.folder, (1e9, 1e9))  # so that it is not read again at once
        self.load()
        before = self.ask()
        save(ct_slice(number=9, position=(-10.0, -20.0, 2.0), uid=f"{SERIES}.2"), paths[1])
        os.utime(paths[1], (1e9, 1e9))
        busy = self.ask()
        self.assertEqual((busy.status, busy.headers["retry-after"]), (503, "5"))
        self.assertIn("changed just now", busy.json["detail"])
        after = self.ask()
        self.assertEqual(after.status, 200)
        self.assertNotEqual(after.headers["etag"], before.headers["etag"])
        np.testing.assert_array_equal(read(after).dataobj.get_unscaled(), stored(paths))  # type: ignore[attr-defined]

    def test_deleted(self) -> None:
        """A volume that a slice was taken from is another."""
        paths = self.write()
        before = self.ask()
        os.unlink(paths[0])
        after = self.ask()
        self.assertEqual(read(after).shape, (6, 8, 4))
        self.assertNotEqual(after.headers["etag"], before.headers["etag"])

    def test_permutations(self) -> None:
        """The same bytes come whatever the files are called and in which order they are."""
        paths = self.write(7)
        first, url = self.ask().body, NII
        numbers = np.random.default_rng(5)
        for turn in range(8):
            folder = os.path.join(self.base, f"turn {turn}")
            os.makedirs(folder)
            for path, name in zip(paths, numbers.permutation(len(paths)), strict=True):
                shutil.copyfile(path, os.path.join(folder, f"IM{name}"))
            self.memory_site.load(folder, name=f"turn{turn}")
            body = self.ask(url.replace("scans", f"turn{turn}")).body
            self.assertEqual(body, first)

    def test_cross_origin(self) -> None:
        """A page of any origin may read a volume, whose UID it must know."""
        self.write()
        for path in (NII, JSON):
            answer = self.ask(path, **ORIGIN)
            self.assertEqual(answer.headers["access-control-allow-origin"], "*")

    def test_not_there(self) -> None:
        """What is no series is a 404."""
        self.write()
        for name in (
            "1.2.3.nii",
            f"{SERIES}.nii.gz",
            f"{SERIES}",
            "x.nii",
            f"{SERIES}.nii/x",
            "%00.nii",
        ):
            self.problem(404, f"{BASE}/{name}")
        self.assertIn("no series", self.problem(404, f"{BASE}/1.2.3.nii"))

    def test_not_a_volume(self) -> None:
        """A series that is none is a 409 that names the rule and the file, by HEAD as well."""
        write_series(self.folder, 3)
        odd = ct_slice(number=9, orientation=(0, 1, 0, 0, 0, -1))
        save(odd, os.path.join(self.folder, "sub", "odd <one>"))
        self.load()
        detail = self.problem(409)
        self.assertEqual(
            detail, "'sub/odd <one>' lies in another direction than other slices of the series."
        )
        self.assertEqual(self.ask(method="HEAD").status, 409)

    def test_two_studies(self) -> None:
        """A series that two studies have is a 409."""
        write_series(self.folder, 2)
        write_series(os.path.join(self.folder, "b"), 2, study=f"{STUDY}.2")
        self.load()
        self.assertIn(f"2 studies have a series {SERIES}", self.problem(409))
        self.problem(409, JSON)

    def test_no_index(self) -> None:
        """Where nothing is indexed, the answer says what to install."""
        self.restart(picture_pool=None)
        self.write()
        self.assertIn("pip install", self.problem(501))


class JsonTests(VolumeCase):
    def test_geometry(self) -> None:
        """Geometry as ITK and as NIfTI have it, the window, and how it was acquired."""
        self.write(more={"KVP": "120", "RepetitionTime": "2000", "ProtocolName": "Doe"})
        message = self.ask(JSON).json
        self.assertEqual((message["study"], message["series"]), (STUDY, SERIES))
        self.assertEqual(message["nii"], f"https://localhost:8888{NII}")
        self.assertIsNone(message["why"])
        self.assertEqual(message["shape"], [6, 8, 5])
        self.assertEqual(message["spacing"], [0.75, 0.5, 2])
        self.assertEqual(message["origin"], [-10, -20, 0])
        self.assertEqual(message["direction"], [1, 0, 0, 0, 1, 0, 0, 0, 1])
        np.testing.assert_allclose(message["affine"], read(self.ask()).affine)
        self.assertEqual(message["window"], {"center": 40, "width": 400})
        facts = {key: message.get(key) for key in ("KVP", "RepetitionTime", "Modality")}
        self.assertEqual(facts, {"KVP": 120, "RepetitionTime": 2, "Modality": "CT"})
        self.assertNotIn("Doe", self.ask(JSON).body.decode("ascii"))
        self.assertEqual(self.ask(JSON).headers["cache-control"], "no-store")
        head = self.ask(JSON, "HEAD")
        self.assertEqual((head.status, head.body), (200, b""))

    def test_files(self) -> None:
        """The files are in the order of the slices, whatever they are called, with their URLs."""
        names = ["z \u00e4", "b/%41", "a", "c?"]
        for number, name in enumerate(names, 1):
            position = (0.0, 0.0, 2.0 * number)
            save(ct_slice(number=9 - number, position=position), os.path.join(self.folder, name))
        self.load()
        files = self.ask(JSON).json["files"]
        self.assertEqual([file["name"] for file in files], names)
        self.assertNotIn("frames", files[0])
        for file in files:
            path = file["url"].removeprefix("https://localhost:8888")
            body = self.ask(path).body
            with open(os.path.join(self.folder, file["name"]), "rb") as of_disk:
                self.assertEqual(body, of_disk.read())

    def test_not_a_volume(self) -> None:
        """The reason is told, and the order of what can be ordered."""
        for number, z in ((1, 6.0), (2, 0.0), (3, 1.0)):
            save(ct_slice(number=number, position=(0, 0, z)), os.path.join(self.folder, f"z{z:g}"))
        self.load()
        message = self.ask(JSON).json
        self.assertIsNone(message["nii"])
        self.assertEqual(message["why"], self.problem(409))
        self.assertEqual([file["name"] for file in message["files"]], ["z0", "z1", "z6"])
        self.assertIsNone(message["shape"])

    def test_no_geometry(self) -> None:
        """Without places, files are in the order of the series."""
        for number in (2, 1):
            path = os.path.join(self.folder, f"n{number}")
            save(ct_slice(number=number, more={"ImagePositionPatient": None}), path)
        self.load()
        message = self.ask(JSON).json
        self.assertIn("does not say where", message["why"])
        self.assertEqual([file["name"] for file in message["files"]], ["n1", "n2"])

    def test_deflated(self) -> None:
        """Geometry and order are known of what cannot be sent as it is, too."""
        self.write(3, syntax="1.2.840.10008.1.2.1.99")
        message = self.ask(JSON).json
        self.assertEqual(message["shape"], [6, 8, 3])
        self.assertIn("deflated", message["why"])

    def test_signed(self) -> None:
        """Where reading is private, URLs are signed."""
        self.restart(private=True)
        self.write(2)
        token = {"Authorization": "Bearer a-token-for-the-tests"}
        self.assertEqual(self.ask(NII).status, 401)
        link = self.memory_site.post("/links", {"path": NII}, headers=token).json["url"]
        path = link.removeprefix("https://localhost:8888")
        self.assertEqual(self.ask(path).status, 200)
        self.assertEqual(self.ask(path, Range="bytes=0-3").headers["cache-control"][:7], "private")
        message = self.ask(JSON, **token).json
        for url in (message["nii"], message["files"][0]["url"]):
            path = url.removeprefix("https://localhost:8888")
            self.assertTrue(path.startswith("/-/s/"), path)
            self.assertEqual(self.ask(path).status, 200)
