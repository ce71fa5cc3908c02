"""Whether a folder can be written to."""

from __future__ import annotations

import os

from twisted.trial.unittest import SynchronousTestCase

from imgd.host import write_check


class WriteCheckTests(SynchronousTestCase):
    def test_leaves_nothing(self) -> None:
        """A folder that can be written to is left as it was; one that cannot raises."""
        folder = self.mktemp()
        with self.assertRaises(OSError):
            write_check.check_writable(folder)
        os.makedirs(folder)
        write_check.check_writable(folder)
        self.assertEqual(os.listdir(folder), [])
