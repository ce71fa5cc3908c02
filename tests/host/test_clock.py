"""The monotonic clock: calls on the reactor's thread, and never after a cancel."""

import queue
import threading

from twisted.internet.defer import Deferred
from twisted.internet.error import AlreadyCalled, AlreadyCancelled
from twisted.internet.interfaces import IDelayedCall, IReactorFromThreads, IReactorTime
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase, TestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from imgd.host.clock import MonotonicClock

FOREVER = 3600.0
BOUND = 30.0  # seconds until a test that hangs gives up


@implementer(IReactorFromThreads)
class HeldReactor:
    """A reactor that keeps what threads post until the test lets it run."""

    def __init__(self) -> None:
        self.posted = queue.Queue()

    def callFromThread(self, callable, *args, **kwargs) -> None:
        self.posted.put((callable, args, kwargs, threading.current_thread()))

    def wait(self):
        """Wait for a thread to post, and give what runs it."""
        f, args, kwargs, thread = self.posted.get(timeout=BOUND)
        assert thread is not threading.main_thread()
        return lambda: f(*args, **kwargs)


class HeldTests(SynchronousTestCase):
    """With a reactor that runs when it is told to."""

    def setUp(self) -> None:
        self.reactor = HeldReactor()
        self.clock = MonotonicClock(self.reactor)
        self.calls = []
        self.addCleanup(self.cancel_all)

    def cancel_all(self) -> None:
        for call in self.clock.getDelayedCalls():
            call.cancel()

    def later(self, delay):
        return self.clock.callLater(delay, self.calls.append, "called")

    def test_interfaces(self) -> None:
        """The clock and its calls are what Twisted's own are."""
        verifyObject(IReactorFromThreads, self.reactor)
        verifyObject(IReactorTime, self.clock)
        verifyObject(IDelayedCall, self.later(FOREVER))
        verifyObject(IReactorTime, Clock())

    def test_runs_on_the_reactor(self) -> None:
        """A call runs when the reactor gets to it, once, with its arguments."""
        call = self.clock.callLater(0, lambda *a, **kw: self.calls.append((a, kw)), 1, b=2)
        run = self.reactor.wait()
        self.assertEqual(self.calls, [])
        self.assertTrue(call.active())
        run()
        run()
        self.assertEqual(self.calls, [((1,), {"b": 2})])
        self.assertFalse(call.active())
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_cancelled_after_the_wait(self) -> None:
        """A call that was cancelled when its wait was over already does not run."""
        call = self.later(0)
        run = self.reactor.wait()
        call.cancel()
        run()
        self.assertEqual(self.calls, [])
        self.assertFalse(call.active())

    def test_cancelled_before(self) -> None:
        """Cancelling ends the wait: no thread stays behind."""
        call = self.later(FOREVER)
        waiting = [t for t in threading.enumerate() if isinstance(t, threading.Timer)]
        self.assertTrue(all(thread.daemon for thread in waiting))
        call.cancel()
        for thread in waiting:
            thread.join(BOUND)
        self.assertFalse(any(thread.is_alive() for thread in waiting))
        self.assertTrue(waiting)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_twice(self) -> None:
        """A second cancel, and one after the call, say so as Twisted's do."""
        call = self.later(FOREVER)
        call.cancel()
        self.assertRaises(AlreadyCancelled, call.cancel)
        call = self.later(0)
        self.reactor.wait()()
        self.assertRaises(AlreadyCalled, call.cancel)

    def test_reset(self) -> None:
        """A call that is reset to now runs now; one that is put off does not run before."""
        call = self.later(FOREVER)
        call.reset(0)
        self.reactor.wait()()
        self.assertEqual(self.calls, ["called"])
        call = self.later(0)
        run = self.reactor.wait()
        call.reset(FOREVER)
        run()
        self.assertEqual(self.calls, ["called"])
        self.assertTrue(call.active())
        call.reset(0)  # earlier than what is now waited for
        self.reactor.wait()()
        self.assertEqual(self.calls, ["called", "called"])

    def test_negative(self) -> None:
        """A delay that has passed already is none."""
        self.later(-5)
        self.reactor.wait()()
        self.assertEqual(self.calls, ["called"])

    def test_raising(self) -> None:
        """A call that raises counts as called, and the reactor gets the exception."""
        call = self.clock.callLater(0, lambda: 1 / 0)
        self.assertRaises(ZeroDivisionError, self.reactor.wait())
        self.assertFalse(call.active())

    def test_never_backwards(self) -> None:
        """Its seconds never go back."""
        seen = [self.clock.seconds() for _ in range(1000)]
        self.assertEqual(seen, sorted(seen))


class RealReactorTests(TestCase):
    """With the real reactor."""

    timeout = BOUND

    def test_thread(self):
        """The call runs on the reactor's thread, not before its time."""
        from twisted.internet import reactor

        clock = MonotonicClock(reactor)
        done = Deferred()
        due = clock.seconds() + 0.01
        clock.callLater(0.01, lambda: done.callback((clock.seconds(), threading.current_thread())))

        def check(result) -> None:
            when, thread = result
            self.assertGreaterEqual(when, due)
            self.assertIs(thread, threading.main_thread())

        return done.addCallback(check)
