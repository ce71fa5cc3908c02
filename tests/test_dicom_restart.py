"""The index of DICOM of a real daemon: kept through restarts, and killed while it is made."""

from __future__ import annotations

import json
import os
import time
from typing import Any

from imgd.pictures.instances import MAX_BATCH
from tests import dicom_case, dicom_files
from tests.daemons import PATIENCE, Daemon

FILES = 60 * MAX_BATCH
KILLED_AFTER = 10  # batches


class RestartTests(dicom_case.DicomCase):
    def setUp(self) -> None:
        super().setUp()
        self.export = self.folder / "export"
        dicom_files.write_many(str(self.export), FILES)

    def jobs(self, daemon: Daemon) -> int:
        """How many jobs workers did so far."""
        pictures: dict[str, Any] = json.loads(self.get(daemon, "/health"))["pictures"]
        self.assertEqual(pictures["failed"], 0)
        return int(pictures["made"])

    def count(self, daemon: Daemon) -> int:
        [*_, last] = dicom_case.wait_for_index(daemon, "export")
        self.assertEqual((last.status, last.json["unindexed_count"]), (200, 0))
        return int(last.json["instance_count"])

    def test_restart(self) -> None:
        """After a restart no file is read again, nor by a second load."""
        first = self.daemon()
        dicom_case.load(first, self.export, "export")
        self.assertEqual(self.count(first), FILES)
        self.assertEqual(self.jobs(first), FILES // MAX_BATCH)
        first.stop()
        second = self.daemon()
        self.assertEqual(self.count(second), FILES)
        dicom_case.load(second, self.export, "export")
        self.assertEqual(self.jobs(second), 0)
        os.remove(next(iter(self.export.iterdir())))
        self.assertEqual(self.count(second), FILES - 1)
        self.assertEqual(self.jobs(second), 0)

    def test_kill(self) -> None:
        """A daemon that is killed while it indexes goes on with what it had."""
        first = self.daemon()
        order = {"directory": str(self.export), "name": "export", "dicom": True}
        dicom_case.post(first, "load-directory", order)
        end = time.monotonic() + PATIENCE
        while (done := self.jobs(first)) < KILLED_AFTER:
            self.assertLess(time.monotonic(), end)
        first.kill()
        second = self.daemon()
        self.assertEqual(self.count(second), FILES)
        under_way = 3  # by two workers, and one that waits for them
        self.assertLessEqual(self.jobs(second), FILES // MAX_BATCH - done + under_way)
