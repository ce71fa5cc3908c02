"""``/collections/NAME/dicom/`` as JSON: studies, series, and what is not in the index."""

from __future__ import annotations

import os
from typing import Any

from pydicom.uid import DeflatedExplicitVRLittleEndian

from imgd.dicom.indexes import WAIT
from tests.dicom.site_case import DicomCase
from tests.dicom_files import SERIES, STUDY, write_series
from tests.fakes import Answer, write

PATH = "/collections/scans/dicom/"
BROWSER: dict[str, Any] = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
PLAIN: dict[str, Any] = {}
PAGE = "https://viewer.example"  # of another origin
# What OHIF sends for an image, whose quotes make a browser ask first.
OHIF_PREFLIGHT = {
    "Origin": PAGE,
    "Access-Control-Request-Method": "GET",
    "Access-Control-Request-Headers": "accept",
}


class OverviewCase(DicomCase):
    def ask(self, status: int = 200, path: str = PATH, **headers: Any) -> Answer:
        answer = self.memory_site.ask(path, headers=headers)
        self.assertEqual(answer.status, status, answer.body)
        return answer

    def overview(self) -> Any:
        answer = self.ask()
        self.assertEqual(answer.headers["content-type"], "application/json")
        return answer.json


class ContentTests(OverviewCase):
    def test_studies(self) -> None:
        """Studies, series, instances and frames are counted, and the geometry is told."""
        write_series(self.folder, 4, name="a/{}")
        write_series(self.folder, 2, series=f"{STUDY}.2", modality="MR", more={"SeriesNumber": 2})
        write_series(self.folder, 1, name="c{}", study="1.2.3", series="1.2.3.4")
        self.load()
        overview = self.overview()
        counts = ("study_count", "series_count", "instance_count", "unindexed_count")
        self.assertEqual([overview[key] for key in counts], [2, 3, 7, 0])
        by_uid = {study["uid"]: study for study in overview["studies"]}
        study = by_uid[STUDY]
        self.assertEqual((study["modalities"], study["instances"]), (["CT", "MR"], 6))
        first, second = study["series"]
        self.assertEqual((first["uid"], first["modality"], first["number"]), (SERIES, "CT", 1))
        self.assertEqual((first["instances"], first["frames"]), (4, 4))
        self.assertEqual(first["shape"], [6, 8, 4])
        self.assertEqual(first["voxel_size"], [0.75, 0.5, 2.0])
        self.assertEqual((second["modality"], second["number"]), ("MR", 2))
        self.assertTrue(first["nii"].endswith(f"{PATH}{SERIES}.nii"))
        self.assertNotIn("why", first)

    def test_no_volume(self) -> None:
        """A series that certainly is no volume has no .nii, and says why; one without pixels has
        no thumbnail.
        """
        write_series(self.folder, 2, syntax=DeflatedExplicitVRLittleEndian)
        more = {"PixelData": None, "Rows": None}
        write_series(self.folder, 1, name="s{}", series="1.2.9", more=more)
        self.load()
        by_uid = {s["uid"]: s for s in self.overview()["studies"][0]["series"]}
        self.assertIsNone(by_uid[SERIES]["nii"])
        self.assertIn("compressed", by_uid[SERIES]["why"])
        self.assertIsNone(by_uid["1.2.9"]["nii"])
        self.assertIsNone(by_uid["1.2.9"]["thumbnail"])
        self.assertIn("no pixels", by_uid["1.2.9"]["why"])

    def test_unindexed(self) -> None:
        """What is not in the index is named with a sentence: 1,000 files, and how many in all."""
        write_series(self.folder, 1)
        for number in range(1003):
            write(os.path.join(self.folder, f"x{number}.dcm"), b"no DICOM")
        self.load()
        overview = self.overview()
        self.assertEqual(overview["unindexed_count"], 1003)
        self.assertEqual(len(overview["unindexed"]), 1000)
        self.assertEqual(overview["instance_count"], 1)
        for file in overview["unindexed"]:
            self.assertTrue(file["name"].startswith("x"))
            self.assertTrue(file["why"].endswith("."), file)

    def test_none(self) -> None:
        """A collection without DICOM has an overview without studies."""
        write(os.path.join(self.folder, "a.png"))
        self.load()
        self.assertEqual(self.overview()["studies"], [])

    def test_new_files(self) -> None:
        """What is new in the directory is in the next answer."""
        write_series(self.folder, 2)
        self.load()
        self.assertEqual(self.overview()["studies"][0]["series"][0]["shape"], [6, 8, 2])
        write_series(self.folder, 5)
        self.wait()
        self.assertEqual(self.overview()["studies"][0]["series"][0]["shape"], [6, 8, 5])

    def test_paths(self) -> None:
        """Without its last slash the path leads to the one with it; others are not there."""
        self.load()
        answer = self.ask(301, f"{PATH[:-1]}?format=json")
        self.assertEqual(answer.headers["location"], "dicom/?format=json")
        self.ask(404, f"{PATH}/")
        self.ask(404, "/collections/other/dicom/")
        head = self.memory_site.ask(PATH, "HEAD")
        self.assertEqual(head.headers["content-length"], str(len(self.ask().body)))

    def test_off(self) -> None:
        """Where nothing can be indexed, both forms say so."""
        self.restart(picture_pool=None)
        self.load()
        for headers in (PLAIN, BROWSER):
            self.ask(501, **headers)


class PatientTests(OverviewCase):
    WORDS = (b"Doe", b"Jane", b"P-1", b"20260102", b"Head of Jane", b"Neck")

    def setUp(self) -> None:
        super().setUp()
        more = {"StudyDescription": "Head of Jane", "SeriesDescription": "Neck"}
        write_series(self.folder, 2, more=more)

    def test_withheld(self) -> None:
        """Nobody's name, date or description is in the answers."""
        self.load()
        for headers in (PLAIN, BROWSER):
            for path in (PATH, "/collections/scans/dicom.json"):
                body = self.ask(path=path, **headers).body
                for word in self.WORDS:
                    self.assertNotIn(word, body)

    def test_patient_data(self) -> None:
        """With --patient-data they are told in each of them."""
        self.restart(patient_data=True)
        self.load()
        [study] = self.overview()["studies"]
        self.assertEqual((study["patient_name"], study["patient_id"]), ("Doe^Jane", "P-1"))
        self.assertEqual((study["date"], study["description"]), ("20260102", "Head of Jane"))
        self.assertEqual(study["series"][0]["description"], "Neck")
        page = self.ask(**BROWSER).body.decode()
        for word in ("Doe^Jane", "2026-01-02", "Head of Jane", "Neck"):
            self.assertIn(word, page)


class ProgressTests(OverviewCase):
    def setUp(self) -> None:
        super().setUp()
        write_series(self.folder, 3)
        self.load()

    def wait_in_vain(self, path: str, accept: str = "*/*") -> bytes:
        """What is answered to who asks, and waits as long as the server does."""
        transport = self.memory_site.connect()
        head = f"GET {path} HTTP/1.1\r\nHost: localhost:8888\r\nAccept: {accept}\r\n\r\n"
        self.pool.held = True
        transport.protocol.dataReceived(head.encode("ascii"))
        self.memory_site.clock.advance(WAIT)
        return bytes(transport.value())

    def test_json(self) -> None:
        """While the index is made, programs get 202 with how far it is, and when to ask again;
        those of DICOMweb, volumes and OHIF too, and also if they name HTML.
        """
        for path, accept in (
            *((PATH, "*/*"), (f"{PATH}{SERIES}.nii", "*/*"), (f"{PATH}{SERIES}.nii", "text/html")),
            *(("/collections/scans/dicom.json", "*/*"), (f"{PATH}?format=json", "text/html")),
            *(("/collections/scans/dicomweb/studies", "application/dicom+json"),),
        ):
            answer = self.wait_in_vain(path, accept)
            self.assertTrue(answer.startswith(b"HTTP/1.1 202 "), (path, answer))
            for part in (b"Retry-After: 1\r\n", b'"total":3', b'"indexed":0', b"Ask again."):
                self.assertIn(part, answer, path)
        self.pool.release()
        self.assertEqual(self.overview()["instance_count"], 3)

    def test_page(self) -> None:
        """People get a page that asks again by itself, and says how far it is, with a bar."""
        answer = self.wait_in_vain(PATH, "text/html")
        self.assertTrue(answer.startswith(b"HTTP/1.1 202 "), answer)
        for part in (
            *(b"Retry-After: 1\r\n", b"Content-Type: text/html", b"no-store"),
            *(b'<meta http-equiv="refresh" content="1">', b'<progress max="3" value="0"'),
        ):
            self.assertIn(part, answer)
        self.pool.release()
        self.assertNotIn(b"http-equiv", self.ask(**BROWSER).body)


class OriginTests(OverviewCase):
    """A page of the internet must not learn what a machine has, nor take it."""

    LISTS = (
        *(PATH, "/collections/scans/dicom.json", "/collections/scans/dicomweb/studies"),
        *("/collections/scans/dicomweb/series", "/collections/scans/dicomweb/instances"),
        f"/collections/scans/dicomweb/studies/{STUDY}/series",
        f"/collections/scans/dicomweb/studies/{STUDY}/series/{SERIES}/instances",
    )
    BY_UID = (
        *(f"{PATH}{SERIES}.nii", f"{PATH}{SERIES}.json"),
        f"/collections/scans/dicomweb/studies/{STUDY}/metadata",
        f"/collections/scans/dicomweb/studies/{STUDY}/series/{SERIES}/metadata",
        f"/collections/scans/dicomweb/studies/{STUDY}/series/{SERIES}/instances/{SERIES}.1/frames/1",
        f"/collections/scans/dicomweb/studies/{STUDY}/series/{SERIES}/thumbnail",
        "/collections/scans/files/IM0001",
    )

    def readers(self, path: str) -> str | None:
        """Which origins may read the answer to a page of another origin."""
        answer = self.memory_site.ask(path, headers={"Origin": PAGE})
        self.assertLess(answer.status, 500, (path, answer.body))
        return answer.headers.get("access-control-allow-origin")

    def test_any_origin(self) -> None:
        """Pages of every origin read what needs a UID to be known, and no list of UIDs."""
        write_series(self.folder, 1)
        self.load()
        for path in self.LISTS:
            self.assertIsNone(self.readers(path), path)
        for path in self.BY_UID:
            self.assertEqual(self.readers(path), "*", path)

    def test_named_origin(self) -> None:
        """Pages of an origin that --cors-origin names read both, and of others neither."""
        for origins, expected in (((PAGE,), PAGE), (("https://other.example",), None)):
            self.restart(cors_origins=origins)
            write_series(self.folder, 1)
            self.load()
            for path in self.LISTS + self.BY_UID:
                self.assertEqual(self.readers(path), expected, path)

    def test_preflight(self) -> None:
        """A browser that asks whether OHIF may send its Accept is told as for the answer itself."""
        self.load()
        for origins, is_told in (((), False), ((PAGE,), True)):
            self.restart(cors_origins=origins)
            self.load()
            for path in self.LISTS + self.BY_UID:
                answer = self.memory_site.ask(path, "OPTIONS", OHIF_PREFLIGHT)
                self.assertEqual(answer.status, 204)
                allowed = answer.headers.get("access-control-allow-origin")
                self.assertEqual(allowed is not None, is_told or path in self.BY_UID, path)
                self.assertIn("Accept", answer.headers["access-control-allow-headers"])
                self.assertIn("GET", answer.headers["access-control-allow-methods"])
