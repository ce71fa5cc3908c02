"""``imgd load --dicom``: waits for the index, and says what is in it."""

from __future__ import annotations

from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import inlineCallbacks
from twisted.internet.task import deferLater
from twisted.trial.unittest import SynchronousTestCase

from imgd.client.dicom_report import lines
from imgd.client.options import CliOptions, parse
from imgd.core.messages import DicomReport, LeftOutFile
from tests.client.load_case import LoadCase

COUNTS = {"study_count": 2, "series_count": 1, "instance_count": 3}
WHOLE = {**COUNTS, "unindexed_count": 0, "unindexed": []}
BROKEN = {"name": "a/b\nc", "why": "Its header is broken."}
PARTIAL = {**COUNTS, "unindexed_count": 1, "unindexed": [BROKEN]}
INDEXING = {"detail": "imgd is reading: 1 of 3 so far.", "indexed": 1, "total": 3}


class LinesTests(SynchronousTestCase):
    def test_lines(self) -> None:
        """What was found, and of the files that are not in it the first, with the reason."""
        files = [LeftOutFile(name=f"f{n}", why=f"Reason {n}.") for n in range(3)]
        report = DicomReport(
            study_count=1,
            series_count=2,
            instance_count=1234,
            unindexed_count=1500,
            unindexed=files,
        )
        self.assertEqual(
            list(lines(report, 2)),
            [
                "DICOM: 1 study, 2 series, 1,234 files; 1,500 files are not indexed",
                "  f0: Reason 0.",
                "  f1: Reason 1.",
                "  and 1,498 more",
            ],
        )


class ReportTests(LoadCase):
    def setUp(self) -> None:
        super().setUp()
        self.imgd.images("/data/ct", 2)
        self.options = CliOptions(dicom=True)

    def test_option(self) -> None:
        """The option is one of ``load``."""
        self.assertTrue(parse(["load", "ct", "--dicom"]).dicom)

    async def test_whole(self) -> None:
        """The load asks for the index, waits for it as the server says, and tells what is in it."""
        self.imgd.dicom = [(202, INDEXING), (200, WHOLE)]
        await self.loaded("/data/ct")
        self.assertIs(self.imgd.posts[0][1]["dicom"], True)
        self.assertIn("current: imgd is reading: 1 of 3 so far.\n", self.context.remarked)
        self.assertIn("current: DICOM: 2 studies, 1 series, 3 files\n", self.context.remarked)
        self.assertEqual(self.imgd.log.count("GET /collections/current/dicom/"), 2)

    async def test_not_asked_for(self) -> None:
        """Without the option nothing is said of DICOM to the server."""
        self.options = CliOptions()
        await self.loaded("/data/ct")
        self.assertNotIn("dicom", self.imgd.posts[0][1])
        self.assertNotIn("GET /collections/current/dicom/", self.imgd.log)

    async def test_partial(self) -> None:
        """A file that is not indexed is named, even with ``--quiet``, and the exit status is 1."""
        self.imgd.dicom = [(200, PARTIAL)]
        self.options = CliOptions(dicom=True, quiet=True)
        self.assertEqual(await self.load("/data/ct"), 1)
        self.assertIn("3 files; 1 file is not indexed\n", self.context.remarked)
        self.assertIn("  a/b\\nc: Its header is broken.\n", self.context.remarked)
        [manifest] = self.manifests()
        self.assertTrue(manifest["success"])

    async def test_off(self) -> None:
        """What the server says if it cannot index is told."""
        self.imgd.dicom = [(501, {"detail": "DICOM is not indexed here."})]
        self.assertEqual(await self.load("/data/ct"), 1)
        self.assertIn("imgd: /data/ct: DICOM is not indexed here.\n", self.context.remarked)

    @inlineCallbacks
    def test_stopped(self) -> Any:
        """A command that is stopped while it waits says so, and fails; the manifest is written."""
        self.imgd.dicom = [(202, INDEXING)]
        working = self.load("/data/ct")
        while not self.context.printed:
            yield deferLater(reactor, 0, lambda: None)
        self.context.stop(working, "interrupted")
        self.assertEqual((yield working), 1)
        said = "imgd: /data/ct: its DICOM is still indexed: interrupted\n"
        self.assertIn(said, self.context.remarked)
