"""The keywords of attributes are those of the standard."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from imgd.dicom.keywords import KEYWORDS


class KeywordTests(SynchronousTestCase):
    def test_standard(self) -> None:
        """pydicom's dictionary has each by this tag."""
        from pydicom.datadict import keyword_for_tag

        self.assertGreater(len(KEYWORDS), 150)
        for tag, keyword in KEYWORDS.items():
            self.assertEqual(keyword_for_tag(int(tag, 16)), keyword)
            self.assertEqual(tag, tag.upper())
