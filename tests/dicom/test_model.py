"""Series and instances out of an index, by their UIDs."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from imgd.core.conditional import FileFacts
from imgd.dicom.grouping import group
from imgd.dicom.model import IndexedInstance
from imgd.host.workers import JobProgress

FACTS = FileFacts(1, 2, 3, 4)


def instance(study: str, series: str, uid: str) -> IndexedInstance:
    return IndexedInstance((uid,), FACTS, 1, study, series, uid, "", "", "CT", 1, 1, 8, 8)


class FindTests(SynchronousTestCase):
    def test_by_uid(self) -> None:
        """Every UID that is given must be that; one that is not given may be any."""
        known = [("1", "1.1", "a"), ("1", "1.1", "b"), ("1", "1.2", "c"), ("2", "1.1", "d")]
        entries = [(uid, instance(study, series, uid)) for study, series, uid in known]
        index = group(entries, b"", JobProgress())
        self.assertEqual(index.count, 4)
        for asked, found in (
            ((), "abcd"),
            (("1",), "abc"),
            (("1", "1.1"), "ab"),
            (("", "1.1"), "abd"),
            (("1", "1.1", "b"), "b"),
            (("", "", "d"), "d"),
            (("2", "1.2"), ""),
            (("3",), ""),
        ):
            self.assertEqual("".join(i.uid for i in index.instances(*asked)), found)
