"""The table of attributes, held against DICOM's dictionary and against what workers tell."""

from __future__ import annotations

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from imgd.dicom.attributes import ALL, Level, find, of_results, of_tag

try:
    from pydicom import datadict
    from pydicom.tag import Tag
except ImportError as error:
    raise SkipTest("pydicom is not installed") from error

WITHOUT_SEARCH = {"RetrieveURL"}  # DICOM calls it a text; imgd makes it


class TableTests(SynchronousTestCase):
    def test_dictionary(self) -> None:
        """Tags, keywords and VRs are DICOM's, and none is there twice."""
        for attribute in ALL:
            with self.subTest(keyword=attribute.keyword):
                tag = Tag(int(attribute.tag, 16))
                self.assertEqual(datadict.keyword_for_tag(tag), attribute.keyword)
                self.assertEqual(datadict.dictionary_VR(tag), attribute.vr)
        for names in ({a.tag for a in ALL}, {a.keyword for a in ALL}):
            self.assertEqual(len(names), len(ALL))

    def test_withheld(self) -> None:
        """What is told without the patients' data is what the workers' allow list has."""
        from imgd.dicom.results import KNOWN
        from imgd.pictures.worker import dicom_allowed

        allowed = dicom_allowed.ALLOWED
        for attribute in ALL:
            with self.subTest(keyword=attribute.keyword):
                known = attribute.tag in KNOWN or attribute.keyword in WITHOUT_SEARCH
                is_told = known or int(attribute.tag, 16) in allowed
                self.assertIs(is_told, not attribute.is_withheld)

    def test_names(self) -> None:
        """An attribute is found by its keyword, and by its tag in either case."""
        for name in ("SeriesDescription", "0008103E", "0008103e"):
            found = find(name)
            self.assertEqual(found and found.tag, "0008103E")
        self.assertIsNone(find("seriesdescription"))
        self.assertEqual(of_tag("00101020"), ("00101020", "", "", Level.STUDY, False))
        self.assertEqual((of_tag("00181000").level, of_tag("00181000").name), (2, "00181000"))

    def test_results(self) -> None:
        """Results about a level have no attribute of another."""
        of_series = of_results({Level.SERIES})
        self.assertEqual({of_tag(tag).level for tag in of_series}, {Level.SERIES})
        self.assertIn("00201209", of_series)
