"""Signals that end the daemon: the first in good order, the second at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from imgd.host.shutdown import Shutdown, within


class Reactor:
    """Notes that it was stopped."""

    def __init__(self) -> None:
        self.stopped = 0

    def stop(self) -> None:
        self.stopped += 1

    def callFromThread(self, f: Callable[..., object], *args: Any) -> None:
        f(*args)


class ShutdownTests(SynchronousTestCase):
    def test_twice(self) -> None:
        """The first signal stops the reactor, once; each further one aborts every connection."""
        reactor = Reactor()
        aborts: list[int] = []
        shutdown = Shutdown(reactor, lambda: aborts.append(1))
        shutdown.stop("SIGTERM")
        self.assertEqual((reactor.stopped, aborts), (1, []))
        shutdown.stop("SIGINT")
        shutdown.stop("SIGINT")
        self.assertEqual((reactor.stopped, aborts), (1, [1, 1]))


class WithinTests(SynchronousTestCase):
    def test_in_time(self) -> None:
        """Work that is done in time is waited for; work that is not is cancelled."""
        clock = Clock()
        done = Deferred.fromCoroutine(within(5, succeed(None), clock))
        self.assertTrue(self.successResultOf(done))
        slow = Deferred.fromCoroutine(within(5, Deferred(), clock))
        clock.advance(4)
        self.assertNoResult(slow)
        clock.advance(1)
        self.assertFalse(self.successResultOf(slow))
        self.assertEqual(clock.getDelayedCalls(), [])

    def test_failure(self) -> None:
        """An error of the work is raised."""
        failing: Deferred[None] = Deferred()
        done = Deferred.fromCoroutine(within(5, failing, Clock()))
        failing.errback(ZeroDivisionError())
        self.failureResultOf(done, ZeroDivisionError)
