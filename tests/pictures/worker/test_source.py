"""Files that were handed open."""

from __future__ import annotations

import os
import tempfile

from twisted.trial.unittest import SynchronousTestCase

from imgd.pictures.worker.source import SourceFile

DATA = bytes(range(256)) * 10_000


class SourceFileTests(SynchronousTestCase):
    def setUp(self) -> None:
        file = self.enterContext(tempfile.TemporaryFile())
        file.write(DATA)
        file.flush()
        self.source = SourceFile(file.fileno(), "x", len(DATA))

    def test_read(self) -> None:
        """What is there is read, across pieces; behind the end, nothing."""
        for offset, length in ((0, 10), (5, 1 << 21), (len(DATA) - 3, 100), (len(DATA), 1), (9, 0)):
            self.assertEqual(self.source.read(offset, length), DATA[offset : offset + length])

    def test_open(self) -> None:
        """Each file object begins at the start, and closes nothing of the source."""
        for _ in range(2):
            with self.source.open() as file:
                self.assertEqual(file.read(3), DATA[:3])
        self.assertEqual(os.fstat(self.source.fd).st_size, len(DATA))
