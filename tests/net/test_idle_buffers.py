"""Idle connections give their buffers back; active ones keep them."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from imgd.net.idle_buffers import CHECK_EVERY, IdleBufferReclaimer


class Connection:
    resets = 0

    def reset_bios(self) -> None:
        self.resets += 1


class ReclaimerTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.reclaimer = IdleBufferReclaimer(self.clock)
        self.connection = Connection()

    def test_idle(self) -> None:
        """A connection that was not active for a whole interval is reset once, and the timer ends
        with the last of them.
        """
        self.reclaimer.mark_active(self.connection)
        self.clock.advance(CHECK_EVERY)
        self.assertEqual(self.connection.resets, 0)
        self.clock.pump([CHECK_EVERY] * 3)
        self.assertEqual(self.connection.resets, 1)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_active(self) -> None:
        """A connection that writes in every interval is not reset."""
        for _ in range(5):
            self.reclaimer.mark_active(self.connection)
            self.clock.advance(CHECK_EVERY)
        self.assertEqual(self.connection.resets, 0)

    def test_first_after_a_rest(self) -> None:
        """Only the first write after a rest is told that it is the first."""
        mark = self.reclaimer.mark_active
        self.assertEqual([mark(self.connection), mark(self.connection)], [True, False])
        self.clock.advance(CHECK_EVERY)
        self.assertFalse(mark(self.connection))
        self.clock.pump([CHECK_EVERY] * 3)
        self.assertTrue(mark(self.connection))

    def test_closed(self) -> None:
        """A closed connection is not reset, and no timer waits for it."""
        self.reclaimer.mark_active(self.connection)
        self.reclaimer.remove(self.connection)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.clock.pump([CHECK_EVERY] * 3)
        self.assertEqual(self.connection.resets, 0)
