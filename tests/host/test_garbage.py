"""The search for garbage goes on when the last pause is over."""

from __future__ import annotations

import gc

from twisted.trial.unittest import SynchronousTestCase

from imgd.host.garbage import GarbagePause


class GarbagePauseTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.addCleanup(gc.enable)

    def test_nested(self) -> None:
        """Two at once end with the later one."""
        pause = GarbagePause()
        self.assertTrue(gc.isenabled())
        with pause:
            with pause:
                self.assertFalse(gc.isenabled())
            self.assertFalse(gc.isenabled())
        self.assertTrue(gc.isenabled())

    def test_failure(self) -> None:
        """What fails ends its pause."""

        def fail() -> None:
            with GarbagePause():
                raise ValueError

        self.assertRaises(ValueError, fail)
        self.assertTrue(gc.isenabled())
