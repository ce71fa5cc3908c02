"""A collection of two studies behind a site, and what is asked of its DICOMweb services."""

from __future__ import annotations

from typing import Any

from tests.dicom.site_case import DicomCase
from tests.dicom_files import ROOT, write_series
from tests.fakes import Answer

STUDY, OTHER = f"{ROOT}.1", f"{ROOT}.2"
SERIES, SECOND, THIRD = f"{STUDY}.1", f"{STUDY}.2", f"{OTHER}.1"
BASE = "/collections/scans/dicomweb"


class DicomwebCase(DicomCase):
    """``STUDY`` has a CT ``SERIES`` of three slices and an MR of two, ``OTHER`` a CT of one."""

    def setUp(self) -> None:
        super().setUp()
        write_series(self.folder, 3, name="a/IM{}")
        write_series(
            self.folder,
            2,
            name="b/IM{}",
            series=SECOND,
            modality="MR",
            more={"SeriesNumber": 2, "BodyPartExamined": "HEAD"},
        )
        write_series(
            self.folder,
            1,
            name="c/IM{}",
            study=OTHER,
            series=THIRD,
            more={"PatientName": "Roe^Richard", "PatientID": "P-2", "StudyDate": "20251231"},
        )
        self.load()

    def get(self, path: str, method: str = "GET", **headers: str) -> Answer:
        """What is below the services, with headers whose hyphens are written as underscores."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.memory_site.ask(f"{BASE}/{path}", method, named)

    def found(self, path: str, tag: str) -> list[Any]:
        """The first value of an attribute in each result."""
        answer = self.get(path)
        self.assertEqual(answer.status, 200, answer.body)
        return [result[tag]["Value"][0] for result in answer.json]

    def assertProblem(self, answer: Answer, status: int, sentence: str) -> None:  # as unittest's
        self.assertEqual((answer.status, answer.json["detail"]), (status, sentence))
