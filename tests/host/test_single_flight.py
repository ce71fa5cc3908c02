"""One piece of work for all who wait."""

from __future__ import annotations

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from imgd.host.single_flight import SOON, SingleFlight, StillRunning


class SingleFlightTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.work: list[Deferred[str]] = []
        self.flight: SingleFlight[str] = SingleFlight()
        self.clock = Clock()

    def begin(self) -> Deferred[str]:
        self.work.append(Deferred())
        return self.work[-1]

    def wait(self) -> Deferred[str]:
        return self.flight.wait(self.begin)

    def in_time(self) -> Deferred[str]:
        return self.flight.wait(self.begin, self.clock)

    def test_once_for_all(self) -> None:
        """Who asks while it is under way gets what begins after it, all of them the same."""
        first, *later = (self.wait() for _ in range(4))
        self.assertEqual(len(self.work), 1)
        self.work[0].callback("old")
        self.assertEqual(self.successResultOf(first), "old")
        self.assertEqual(len(self.work), 2)
        self.work[1].callback("new")
        self.assertEqual([self.successResultOf(one) for one in later], ["new"] * 3)

    def test_error(self) -> None:
        """Each gets an error, and the next work begins."""
        first, second = self.wait(), self.wait()
        self.work[0].errback(ZeroDivisionError())
        self.failureResultOf(first, ZeroDivisionError)
        self.work[1].callback("new")
        self.assertEqual(self.successResultOf(second), "new")

    def test_gone(self) -> None:
        """The last one to go ends the work; who waits for the next does not go with them."""
        gone = self.wait()
        stays = self.wait()
        gone.cancel()
        self.failureResultOf(gone, CancelledError)
        self.assertEqual((self.work[0].called, len(self.work)), (True, 2))
        self.work[1].callback("new")
        self.assertEqual(self.successResultOf(stays), "new")

    def test_late(self) -> None:
        """Who does not wait for long gets StillRunning; the work goes on, and until it is done
        nobody waits in vain again.
        """
        first = self.in_time()
        patient = self.wait()
        self.clock.advance(SOON)
        self.failureResultOf(first, StillRunning)
        self.failureResultOf(self.in_time(), StillRunning)
        self.work[0].callback("old")
        again = self.in_time()
        self.work[1].callback("new")
        self.assertEqual(self.successResultOf(patient), "new")
        self.work[2].callback("newer")
        self.assertEqual(self.successResultOf(again), "newer")
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_gone_in_time(self) -> None:
        """Who goes before that takes the work along, and the clock forgets them."""
        gone = self.in_time()
        gone.cancel()
        self.failureResultOf(gone, CancelledError)
        self.assertTrue(self.work[0].called)
        self.assertEqual(self.clock.getDelayedCalls(), [])
