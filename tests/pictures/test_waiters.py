"""Waiting for a picture that may be made for another's sake."""

from __future__ import annotations

from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase

from imgd.errors import Unavailable
from imgd.pictures.views import View, ViewKind
from imgd.pictures.waiters import Waiters
from imgd.pictures.waiting import Picture

PICTURE = Picture(View(ViewKind.SLICE), "image/png", b"picture")


class WaitersTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.waiters = Waiters()
        self.cancelled = 0
        self.making: Deferred[Picture] = Deferred(self._cancel)

    def _cancel(self, _: object) -> None:
        self.cancelled += 1

    def test_made(self) -> None:
        """The pool's picture, or its error, comes if no other does."""
        for result in (PICTURE, Unavailable("Too many pictures are waiting.")):
            making: Deferred[Picture] = Deferred()
            waiter = self.waiters.wait("a", making)
            if isinstance(result, Picture):
                making.callback(result)
                self.assertIs(self.successResultOf(waiter), result)
            else:
                making.errback(result)
                self.failureResultOf(waiter, Unavailable)
        self.waiters.answer("a", PICTURE)  # for whom nobody waits any more

    def test_met(self) -> None:
        """A picture that was made unasked is for all who wait for it, and the pool is told."""
        other: Deferred[Picture] = Deferred(self._cancel)
        waiters = [self.waiters.wait("a", self.making), self.waiters.wait("a", other)]
        elsewhere = self.waiters.wait("b", Deferred(self._cancel))
        self.waiters.answer("a", PICTURE)
        for waiter in waiters:
            self.assertIs(self.successResultOf(waiter), PICTURE)
        self.assertEqual(self.cancelled, 2)
        self.assertNoResult(elsewhere)

    def test_cancelled(self) -> None:
        """Who goes leaves the pool."""
        waiter = self.waiters.wait("a", self.making)
        waiter.cancel()
        self.failureResultOf(waiter, CancelledError)
        self.assertEqual(self.cancelled, 1)
        self.waiters.answer("a", PICTURE)
