"""Phases of connections."""

from __future__ import annotations

from math import inf

from twisted.trial.unittest import SynchronousTestCase

from imgd.core.connections import Deadlines, Phase


class DeadlineTests(SynchronousTestCase):
    def test_by_phase(self) -> None:
        """Each phase of a progress has its own deadline; imgd's own turn has none."""
        limits = Deadlines(handshake=1, header=2, body=3, stalled=4, idle=5, closing=6).by_phase()
        self.assertEqual(
            {phase: limits[phase] for phase in Phase if phase is not Phase.SLOW},
            {
                Phase.HANDSHAKE: 1,
                Phase.HEAD: 2,
                Phase.BODY: 3,
                Phase.ANSWER: inf,
                Phase.STALLED: 4,
                Phase.IDLE: 5,
                Phase.CLOSING: 6,
            },
        )
