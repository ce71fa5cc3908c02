"""What opens the files of instances tells the index of one that changed."""

from __future__ import annotations

import os
from typing import Any

from imgd.core.joined_file import Segment
from imgd.core.ranges import Slice
from imgd.web.dicom.addresses import Addresses
from imgd.web.dicom.parts import DicomParts
from imgd.web.signed_links import Links
from tests.dicom.site_case import DicomCase
from tests.dicom_files import write_series


class PartsTests(DicomCase):
    def test_opener(self) -> None:
        """A file that is not the one that was indexed is indexed again, and the others are not."""
        paths = write_series(self.folder, 3)
        loaded = self.load()
        instances = list(self.index(loaded).instances())
        site = self.memory_site
        changed: list[Any] = []
        self.patch(self.dicom, "has_changed", lambda _loaded, instance: changed.append(instance))
        parts = DicomParts(
            *(site.manager, self.dicom, site.pictures, Addresses(site.urls, Links())),
            *(site.blocking, site.blocking),
        )
        opener = parts.opener(loaded, instances)
        segments = [Segment(i.names, i.facts, (Slice(0, 1),)) for i in instances]
        for file in self.successResultOf(opener.opening(segments)):
            file.close()
        self.assertEqual(changed, [])
        os.utime(paths[1], ns=(1, 1))
        self.failureResultOf(opener.opening(segments))
        self.assertEqual(changed, [instances[1]])
