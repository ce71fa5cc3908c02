"""What queries find in an index."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from imgd.core.dicomweb_paths import DicomwebTarget, parse
from imgd.dicom import query
from imgd.dicom.model import DicomIndex
from imgd.dicom.search import Search
from imgd.errors import BadRequest
from tests.dicom.instances import element, index_of, indexed, record, series_of

HEAD = [indexed("1", "1.1", f"1.1.{n}", number=n) for n in (1, 2, 3)]
NECK = [indexed("1", "1.2", f"1.2.{n}", number=n, modality="MR") for n in (1, 2)]
CHEST = [indexed("2", "2.1", "2.1.1", sop_class="1.2.840.10008.5.1.4.1.1.4", rows=16)]
INDEX = index_of(series_of(*HEAD), series_of(*NECK, number=2), series_of(*CHEST, number=None))
BODY_PARTS = {"1.1": "HEAD", "1.2": "NECK", "2.1": "CHEST"}


def target_of(path: str) -> DicomwebTarget:
    target = parse(path.encode())
    assert target is not None
    return target


class SearchTests(SynchronousTestCase):
    def search(
        self, url: str, index: DicomIndex = INDEX, *, has_patient_data: bool = False
    ) -> list[str]:
        """The last UIDs of what a URL finds."""
        path, _, text = url.partition("?")
        asked = query.parse(text.encode(), has_patient_data=has_patient_data)
        search = Search(target_of(path), asked)
        found = search.candidates(index)
        if search.needs_records:
            kept = [
                record(
                    f.instance,
                    _00180015=element("CS", BODY_PARTS[f.instance.series]),
                    _00100010=element("PN", {"Alphabetic": f"Doe^{f.instance.study}"}),
                    _00100020=element("LO"),
                    _00400275=element("SQ", {}),
                )
                for f in found
            ]
            found = search.distinct(search.matching(found, kept))
        level = ("studies", "series", "instances").index(target_of(path).level)
        return [(f.instance.study, f.instance.series, f.instance.uid)[level] for f in found]

    def test_levels(self) -> None:
        """Every level can be searched, as a whole and below a study or a series."""
        for url, uids in (
            ("studies", ["1", "2"]),
            ("series", ["1.1", "1.2", "2.1"]),
            ("instances", ["1.1.1", "1.1.2", "1.1.3", "1.2.1", "1.2.2", "2.1.1"]),
            ("studies/1/series", ["1.1", "1.2"]),
            ("studies/1/instances", ["1.1.1", "1.1.2", "1.1.3", "1.2.1", "1.2.2"]),
            ("studies/1/series/1.2/instances", ["1.2.1", "1.2.2"]),
            ("studies/3/series", []),
            ("studies/1/series/2.1/instances", []),
        ):
            with self.subTest(url=url):
                self.assertEqual(self.search(url), uids)

    def test_keys(self) -> None:
        """Every key must match; a study and a series match by what is below them, too."""
        for url, uids in (
            ("studies?StudyInstanceUID=2", ["2"]),
            ("studies?StudyInstanceUID=1,2", ["1", "2"]),
            ("studies?StudyInstanceUID=3", []),
            ("studies/1/series?StudyInstanceUID=2", []),
            ("studies?SeriesInstanceUID=1.2", ["1"]),
            ("studies?SOPInstanceUID=2.1.1", ["2"]),
            ("studies?ModalitiesInStudy=MR", ["1"]),
            ("studies?Modality=MR", ["1"]),
            ("studies?Modality=CT", ["1", "2"]),
            ("studies?ModalitiesInStudy=US", []),
            ("series?Modality=CT&SeriesNumber=1", ["1.1"]),
            ("series?SeriesNumber=1,2", ["1.1", "1.2"]),
            ("instances?InstanceNumber=2", ["1.1.2", "1.2.2"]),
            ("instances?Rows=16", ["2.1.1"]),
            ("series?SOPClassUID=1.2.840.10008.5.1.4.1.1.4", ["2.1"]),
            ("studies?NumberOfStudyRelatedSeries=2", ["1"]),
            ("studies/1/series?SOPInstanceUID=1.2.1", ["1.2"]),
        ):
            with self.subTest(url=url):
                self.assertEqual(self.search(url), uids)

    def test_limit(self) -> None:
        """No more is looked for than is asked for, but one that tells of more."""
        self.assertEqual(
            self.search("instances?limit=2&offset=1"), [f"1.1.{n}" for n in (1, 2, 3)] + ["1.2.1"]
        )
        self.assertEqual(self.search("studies?limit=0"), ["1"])
        self.assertEqual(self.search("studies?Modality=CT&limit=5"), ["1", "2"])

    def test_records(self) -> None:
        """What memory does not have is looked for in the store."""
        for url, uids in (
            ("series?BodyPartExamined=NECK", ["1.2"]),
            ("studies?BodyPartExamined=N*", ["1"]),
            ("instances?BodyPartExamined=NECK&InstanceNumber=2", ["1.2.2"]),
            ("studies?00180015=HEAD,CHEST", ["1", "2"]),
            ("studies?Laterality=L", []),
        ):
            with self.subTest(url=url):
                self.assertEqual(self.search(url), uids)

    def test_patients(self) -> None:
        """With the patients' data, patients can be searched for."""
        for url, uids in (
            ("studies?PatientName=doe^1", ["1"]),
            ("studies?PatientName=*doe*", ["1", "2"]),
            ("series?00100010=Doe^2", ["2.1"]),
            ("studies?PatientID=*", ["1", "2"]),
            ("studies?PatientID=x*", []),
        ):
            with self.subTest(url=url):
                self.assertEqual(self.search(url, has_patient_data=True), uids)
        self.assertRaises(BadRequest, self.search, "studies?00400275=x", has_patient_data=True)
