"""A site with folders of DICOM, indexed in this process."""

from __future__ import annotations

import os
from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from imgd.collections.manager import LoadedCollection
from imgd.dicom.model import DicomIndex
from tests.fakes import MemorySite
from tests.pictures.inline_pool import InlinePool

LATER = 10.0  # seconds, after which the facts of files are asked for again


class DicomCase(SynchronousTestCase):
    """``folder`` is loaded as ``scans`` by ``load``; its files are written by
    ``tests.dicom_files``.
    """

    options: dict[str, Any] = {}

    def setUp(self) -> None:
        self.base = os.path.realpath(self.mktemp())
        self.folder = os.path.join(self.base, "export")
        os.makedirs(self.folder)
        self.restart()

    def restart(self, **options: Any) -> None:
        """Another site over the same state folder, which has nothing loaded."""
        self.pool = InlinePool()
        options = {"picture_pool": self.pool, **self.options, **options}
        self.memory_site = MemorySite(self.base, **options)
        self.dicom = self.memory_site.dicom
        self.addCleanup(self.dicom.stop)

    def load(self, name: str = "scans", **order: Any) -> LoadedCollection:
        return self.memory_site.load(self.folder, **{"name": name, "recursive": True, **order})

    def begin(self, loaded: LoadedCollection) -> list[DicomIndex | Failure]:
        """Ask for an index; the list has its answer once there is one."""
        answers: list[DicomIndex | Failure] = []
        Deferred.fromCoroutine(self.dicom.index(loaded)).addBoth(answers.append)
        return answers

    def index(self, loaded: LoadedCollection) -> DicomIndex:
        """The index, which must be there at once."""
        return self.successResultOf(Deferred.fromCoroutine(self.dicom.index(loaded)))

    def wait(self) -> None:
        """Let the facts of files become old."""
        self.memory_site.clock.advance(LATER)
