"""How much memory a process holds."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from imgd.pictures.worker.memory import MemoryGauge

SIZE = 100_000_000


class GaugeTests(SynchronousTestCase):
    def test_used(self) -> None:
        """It grows by what is allocated and written."""
        gauge = MemoryGauge()
        before = gauge.used()
        held = b"x" * SIZE
        self.assertGreater(gauge.used() - before, SIZE * 0.9)
        del held
