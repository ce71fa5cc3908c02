"""How the daemon is told to end, without signals."""

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


class StoppingTests(SynchronousTestCase):
    def test_asked_twice(self) -> None:
        """Asked once it stops the reactor, once; asked again it hurries, every time."""
        reactor, hurried = Reactor(), []
        stopping = Shutdown(reactor, lambda: hurried.append(1))
        stopping.ask("SIGTERM")
        self.assertEqual((reactor.stopped, hurried), (1, []))
        stopping.ask("SIGINT")
        stopping.ask("SIGINT")
        self.assertEqual((reactor.stopped, hurried), (1, [1, 1]))


class WithinTests(SynchronousTestCase):
    def test_in_time(self) -> None:
        """Work that is done in time is waited for; work that is not is left behind."""
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
        """What went wrong with the work is told."""
        os_errors: Deferred[None] = Deferred()
        done = Deferred.fromCoroutine(within(5, os_errors, Clock()))
        os_errors.errback(ZeroDivisionError())
        self.failureResultOf(done, ZeroDivisionError)
