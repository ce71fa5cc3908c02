"""``/collections/NAME/dicom/`` as JSON: studies, series, and what is not in the index."""

from __future__ import annotations

import os

from pydicom.uid import DeflatedExplicitVRLittleEndian

from tests.dicom_files import SERIES, STUDY, write_series
from tests.fakes import write
from tests.web.dicom.test_overview import BROWSER, PATH, PLAIN, OverviewCase


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
