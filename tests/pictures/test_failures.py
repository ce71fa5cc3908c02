"""What is remembered of pictures that could not be made, and for how long."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from imgd.errors import ImgdError
from imgd.pictures.failures import LIFE, MAX_ENTRIES, Failures

BROKEN = ImgdError.of(415, "Not a picture that can be shown: it is cut off.")


class FailuresTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.failures = Failures(self.clock.seconds)

    def test_remembered(self) -> None:
        """An error is raised again, with its status and sentence, until its time is over."""
        self.failures.add("a", BROKEN)
        self.clock.advance(LIFE - 1)
        error = self.assertRaises(ImgdError, self.failures.check, "a")
        self.assertEqual((error.status, error.detail), (415, BROKEN.detail))
        self.failures.check("b")
        self.clock.advance(1)
        self.failures.check("a")

    def test_passing(self) -> None:
        """What may go better the next time is not remembered."""
        for status in (500, 501, 503):
            self.failures.add("a", ImgdError.of(status, "Not now."))
            self.failures.check("a")

    def test_bounded(self) -> None:
        """Of many failures the oldest are forgotten."""
        for number in range(MAX_ENTRIES + 1):
            self.failures.add(str(number), BROKEN)
        self.failures.check("0")
        self.assertRaises(ImgdError, self.failures.check, "1")
