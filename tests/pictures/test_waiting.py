"""Jobs that wait: merged, in turn, bounded, and dropped."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase

from imgd.dicom.indexer import CLIENT as INDEX
from imgd.errors import ImgdError, Unavailable
from imgd.pictures.views import View, ViewKind
from imgd.pictures.waiting import BUSY, MAX_VIEWS, JobQueue, Picture, ViewJob

THUMB, LARGE = View(ViewKind.THUMB, size=256), View(ViewKind.THUMB, size=512)
ANN, BOB = "192.0.2.1", "192.0.2.2"


class QueueCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.queue = JobQueue(4)

    def ask(self, key: str, client: str = ANN, view: View = THUMB) -> Deferred[Picture]:
        file: Any = f"file of {client}"
        return self.queue.wait(key.encode(), [file], view, client, 0.0)

    def taken(self) -> list[str]:
        """What is done next, and then, until nothing waits."""
        keys = []
        while (job := self.queue.take(lambda job: True)) is not None:
            keys.append(job.source_key.decode())
        return keys


class TurnTests(QueueCase):
    def test_turns(self) -> None:
        """Clients take turns; of one client, who came first."""
        for key, client in (("a1", ANN), ("a2", ANN), ("b1", BOB), ("a3", ANN)):
            self.ask(key, client)
        self.assertEqual(self.taken(), ["a1", "b1", "a2", "a3"])

    def test_networks(self) -> None:
        """An IPv6 network of 64 bits is one client."""
        for key, client in (("a", "2001:db8::1"), ("b", "2001:db8::2"), ("c", "2001:db9::1")):
            self.ask(key, client)
        self.assertEqual(self.taken(), ["a", "c", "b"])

    def test_index(self) -> None:
        """The index of DICOM leaves every second turn to people, those of this machine too."""
        for key, client in (("i1", INDEX), ("i2", INDEX), ("a", "127.0.0.1"), ("i3", INDEX)):
            self.ask(key, client)
        self.assertEqual(self.taken(), ["i1", "a", "i2", "i3"])

    def test_not_now(self) -> None:
        """What may not begin keeps its place, and lets others go ahead."""
        self.ask("a")
        self.ask("b")
        job = self.queue.take(lambda job: job.source_key != b"a")
        assert job is not None
        self.assertEqual(job.source_key, b"b")
        self.assertIsNone(self.queue.take(lambda job: False))
        self.assertEqual(self.taken(), ["a"])

    def test_put_back(self) -> None:
        """A job that could not be begun is the next of its client, once."""
        waiting = [self.ask(key) for key in "abc"]
        for left in (3, 2):
            job = self.queue.take(lambda job: True)
            assert job is not None
            self.assertEqual(job.source_key, b"a")
            self.queue.put_back(job)
            self.assertEqual(len(self.queue), left)
        self.failureResultOf(waiting[0], Unavailable)
        self.assertEqual(self.taken(), ["b", "c"])

    def test_put_back_and_left(self) -> None:
        """It can be left as before."""
        waiter = self.ask("a")
        job = self.queue.take(lambda job: True)
        assert job is not None
        self.queue.put_back(job)
        waiter.cancel()
        self.failureResultOf(waiter, CancelledError)
        self.assertEqual((len(self.queue), self.taken()), (0, []))

    def test_merged(self) -> None:
        """Views of one file are one job, whoever asks; the same view is one view."""
        waiting = [self.ask("a", ANN), self.ask("a", BOB), self.ask("a", BOB, LARGE)]
        self.assertEqual(len(self.queue), 2)
        job = self.queue.take(lambda job: True)
        assert job is not None
        self.assertEqual(list(job.views), [THUMB, LARGE])
        picture = Picture(THUMB, "image/png", b"1")
        self.assertTrue(job.answer(THUMB, picture))
        self.assertEqual([w.called for w in waiting], [True, True, False])
        self.assertEqual([self.successResultOf(w) for w in waiting[:2]], [picture, picture])
        job.fail(ImgdError.of(422, "no"))
        self.assertEqual(self.failureResultOf(waiting[2], ImgdError).value.status, 422)
        self.assertFalse(job.answer(THUMB, picture))


class LeaveTests(QueueCase):
    def leave(self, waiter: Deferred[Picture]) -> None:
        waiter.cancel()
        self.failureResultOf(waiter, CancelledError)

    def test_dropped(self) -> None:
        """What nobody waits for is not done."""
        left, kept = self.ask("a"), self.ask("b")
        self.leave(left)
        self.assertEqual(len(self.queue), 1)
        self.assertEqual(self.taken(), ["b"])
        self.assertFalse(kept.called)

    def test_one_of_two(self) -> None:
        """A view is wanted while one waits for it, whose files are read."""
        left, _kept = self.ask("a", ANN), self.ask("a", BOB)
        self.leave(left)
        job = self.queue.take(lambda job: True)
        assert job is not None
        self.assertEqual((list(job.views), job.files), ([THUMB], [f"file of {BOB}"]))

    def test_asked_again(self) -> None:
        """Who comes after all have left has a job of their own, at the end."""
        left = self.ask("a")
        self.ask("b")
        self.leave(left)
        self.ask("a", BOB)
        self.assertEqual(self.taken(), ["b", "a"])

    def test_after_the_answer(self) -> None:
        """One who leaves while others are told is no error."""
        job = ViewJob(b"a", "", 0.0)
        second: Deferred[Picture]
        first = job.wait(THUMB, [])
        first.addCallback(lambda _: second.cancel())
        second = job.wait(THUMB, [])
        job.answer(THUMB, Picture(THUMB, "image/png", b""))
        self.failureResultOf(second, CancelledError)


class RoomTests(QueueCase):
    def test_full(self) -> None:
        """One more than may wait is refused, but not who waits for the same as another."""
        for key in "abcd":
            self.ask(key)
        with self.assertRaisesRegex(Unavailable, BUSY):
            self.ask("e")
        self.ask("d")
        self.assertEqual(self.taken(), ["a", "b", "c", "d"])

    def test_one_job(self) -> None:
        """Only so many views of one file wait, however many may wait in all."""
        self.queue = JobQueue(1000)
        for index in range(MAX_VIEWS):
            self.ask("a", view=View(ViewKind.SLICE, index=index))
        with self.assertRaisesRegex(Unavailable, BUSY):
            self.ask("a")
        self.ask("b")
        self.assertEqual(self.taken(), ["a", "b"])

    def test_room_for_others(self) -> None:
        """A client that fills the queue makes room for another: its newest gives way."""
        waiting = [self.ask(key) for key in "abcd"]
        self.ask("e", BOB)
        self.assertEqual(self.failureResultOf(waiting[3], Unavailable).value.detail, BUSY)
        self.ask("f", BOB)
        self.failureResultOf(waiting[2], Unavailable)
        for client in (ANN, BOB):
            with self.assertRaises(Unavailable):
                self.ask("g", client)
        self.assertEqual(self.taken(), ["a", "e", "b", "f"])

    def test_left_behind(self) -> None:
        """Those who left make room."""
        for key in "abcd":
            waiter = self.ask(key)
        waiter.cancel()
        self.failureResultOf(waiter, CancelledError)
        self.ask("e")
        self.assertEqual(self.taken(), ["a", "b", "c", "e"])

    def test_fail_together(self) -> None:
        """Who is told that all fail may leave another job at once."""
        first, second = self.ask("a"), self.ask("b")
        first.addErrback(lambda _: second.cancel())
        self.queue.fail(Unavailable("no"))
        self.failureResultOf(second, CancelledError)
        self.assertEqual(len(self.queue), 0)

    def test_all_fail(self) -> None:
        """All who wait are told if nothing is made any more; later ones may wait."""
        waiting = [self.ask("a"), self.ask("b", BOB)]
        self.queue.fail(Unavailable("no"))
        for waiter in waiting:
            self.failureResultOf(waiter, Unavailable)
        self.assertEqual(len(self.queue), 0)
        self.ask("c")
        self.assertEqual(self.taken(), ["c"])
