"""Which attributes results have: DICOM PS3.18 tables 10.6.3-3 to 10.6.3-5."""

from __future__ import annotations

import json
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from imgd.dicom import query
from imgd.dicom.model import IndexedSeries
from imgd.dicom.results import Found, FoundStudy, Results
from tests.dicom.instances import element, indexed, record, series_of
from tests.dicom.test_search import target_of

SERVICES = "https://imgd.example/collections/a/dicomweb"
FIRST = indexed("1", "1.1", "1.1.1")
STUDY: dict[str, IndexedSeries] = {
    "1.1": series_of(FIRST, indexed("1", "1.1", "1.1.2")),
    "1.2": series_of(indexed("1", "1.2", "1.2.1", modality="MR", sop_class="1.2"), number=None),
}
METADATA = {
    "_00080005": element("CS", "ISO_IR 192"),
    "_00080020": element("DA"),
    "_00081030": element("LO", "Head"),
    "_00180015": element("CS", "HEAD"),
    "_00280010": element("US", 8),
    "_00280100": element("US", 16),
    "_00280103": element("US", 1),
}


class ResultTests(SynchronousTestCase):
    def result(self, url: str, **metadata: Any) -> dict[str, Any]:
        path, _, text = url.partition("?")
        asked = query.parse(text.encode(), has_patient_data=False)
        results = Results(target_of(path), asked, SERVICES)
        found = Found(FoundStudy(STUDY), STUDY["1.1"], FIRST)
        encoded = results.encode(found, record(FIRST, **(metadata or METADATA)))
        result: dict[str, Any] = json.loads(encoded)
        self.assertEqual(list(result), sorted(result))
        return result

    def test_study(self) -> None:
        """A study has what viewers list, some of it empty, and what is counted."""
        result = self.result("studies")
        for tag, expected in (
            ("00080005", element("CS", "ISO_IR 192")),
            ("00080020", element("DA")),
            ("00080030", element("TM")),
            ("00080050", element("SH")),
            ("00080056", element("CS", "ONLINE")),
            ("00080061", element("CS", "CT", "MR")),
            ("00080090", element("PN")),
            ("00081030", element("LO", "Head")),
            ("00081190", element("UR", f"{SERVICES}/studies/1")),
            ("00100010", element("PN")),
            ("00100020", element("LO")),
            ("00100030", element("DA")),
            ("00100040", element("CS")),
            ("0020000D", element("UI", "1")),
            ("00200010", element("SH")),
            ("00201206", element("IS", 2)),
            ("00201208", element("IS", 3)),
        ):
            self.assertEqual(result.pop(tag), expected, tag)
        self.assertEqual(result, {})

    def test_series(self) -> None:
        """A series below a study tells of the study no more than its UID."""
        result = self.result("studies/1/series")
        self.assertEqual(
            result,
            {
                "00080005": element("CS", "ISO_IR 192"),
                "00080056": element("CS", "ONLINE"),
                "00080060": element("CS", "CT"),
                "0008103E": element("LO"),
                "00081190": element("UR", f"{SERVICES}/studies/1/series/1.1"),
                "0020000D": element("UI", "1"),
                "0020000E": element("UI", "1.1"),
                "00200011": element("IS", 1),
                "00201209": element("IS", 2),
            },
        )

    def test_instance(self) -> None:
        """An instance has its size; frames, if its file tells of them."""
        result = self.result("studies/1/series/1.1/instances", **METADATA)
        url = f"{SERVICES}/studies/1/series/1.1/instances/1.1.1"
        self.assertEqual(
            result,
            {
                "00080005": element("CS", "ISO_IR 192"),
                "00080016": element("UI", "1.2.840.10008.5.1.4.1.1.2"),
                "00080018": element("UI", "1.1.1"),
                "00080056": element("CS", "ONLINE"),
                "00081190": element("UR", url),
                "0020000D": element("UI", "1"),
                "0020000E": element("UI", "1.1"),
                "00200013": element("IS", 1),
                "00280010": element("US", 8),
                "00280100": element("US", 16),
            },
        )

    def test_of_all(self) -> None:
        """Who searches everywhere is told of the study and the series as well."""
        everywhere = self.result("instances")
        self.assertLessEqual(set(self.result("studies")), set(everywhere))
        self.assertLessEqual(set(self.result("studies/1/series")), set(everywhere))
        below = self.result("studies/1/instances")
        self.assertIn("00080060", below)
        self.assertNotIn("00201206", below)

    def test_include(self) -> None:
        """Fields that are asked for are there if they are known, and so is what was searched by."""
        result = self.result("studies?includefield=BodyPartExamined,00280103,00189999")
        self.assertEqual(result["00180015"], element("CS", "HEAD"))
        self.assertEqual(result["00280103"], element("US", 1))
        self.assertNotIn("00189999", result)
        self.assertIn("00080062", self.result("studies?SOPClassesInStudy=1.2"))
        self.assertNotIn("00080062", self.result("studies"))

    def test_all(self) -> None:
        """With all, there is everything of that level, and of those above."""
        study, series = (
            self.result("studies?includefield=all"),
            self.result("studies/1/series?includefield=all"),
        )
        self.assertEqual(study["00080062"]["Value"], ["1.2", "1.2.840.10008.5.1.4.1.1.2"])
        self.assertNotIn("00180015", study)
        self.assertEqual(series["00180015"], element("CS", "HEAD"))
        self.assertNotIn("00280103", series)
        instance = self.result("studies/1/series/1.1/instances?includefield=all")
        self.assertLessEqual({tag[1:] for tag in METADATA}, set(instance))
        self.assertIn("00201208", instance)

    def test_unknown_values(self) -> None:
        """What the file does not tell has no value."""
        results = Results(target_of("series"), query.parse(b"", has_patient_data=False), SERVICES)
        first = indexed("1", "1.2", "1.2.1", modality="")
        series = series_of(first, number=None)
        encoded = results.encode(Found(FoundStudy({"1.2": series}), series, first), record(first))
        result = json.loads(encoded)
        for tag, vr in (("00080060", "CS"), ("00080061", "CS"), ("00200011", "IS")):
            self.assertEqual(result[tag], {"vr": vr})
