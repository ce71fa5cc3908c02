"""Passes over a collection: who waits for them, and how they end."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from imgd.dicom.indexes import StillIndexing
from imgd.errors import NotFound, Unavailable
from imgd.pictures.instances import MAX_BATCH
from tests import dicom_files
from tests.dicom.site_case import DicomCase
from tests.dicom_files import write_series


class WaitTests(DicomCase):
    def setUp(self) -> None:
        super().setUp()
        write_series(self.folder, 2 * MAX_BATCH + 3)
        self.pool.held = True
        self.loaded = self.load()

    def progress(self, answers: list[Any]) -> tuple[int, int]:
        [failure] = answers
        assert isinstance(failure, Failure)
        failure.trap(StillIndexing)
        error: Any = failure.value
        return error.done, error.total

    def test_progress(self) -> None:
        """Who asks first waits three seconds for an index, and is told then how far it is; who asks
        later is told at once, until it is there.
        """
        first = self.begin(self.loaded)
        self.memory_site.clock.advance(2.9)
        self.assertEqual(first, [])
        self.memory_site.clock.advance(0.2)
        self.assertEqual(self.progress(first), (0, 35))
        self.pool.step()
        self.assertEqual(self.progress(self.begin(self.loaded)), (MAX_BATCH, 35))
        self.pool.release()
        self.assertEqual(self.index(self.loaded).count, 35)
        self.assertEqual(len(self.pool.jobs), 3)

    def test_prepare(self) -> None:
        """What was begun for nobody goes on."""
        self.dicom.prepare(self.loaded)
        self.assertEqual(len(self.pool.waiting), 2)
        self.memory_site.clock.advance(100)
        self.pool.release()
        self.assertEqual(self.index(self.loaded).count, 35)
        self.assertEqual(len(self.pool.jobs), 3)

    def test_client_gone(self) -> None:
        """Who does not wait any more stops nothing."""
        asking = Deferred.fromCoroutine(self.dicom.index(self.loaded))
        asking.addErrback(lambda _: None)
        asking.cancel()
        self.pool.release()
        self.assertEqual(self.index(self.loaded).count, 35)
        self.assertEqual(len(self.pool.jobs), 3)

    def test_unloaded(self) -> None:
        """An unloaded collection ends its pass and its memory; who waits gets 404."""
        answers = self.begin(self.loaded)
        Deferred.fromCoroutine(self.memory_site.manager.unload("scans"))
        self.dicom.drop_unloaded()
        [failure] = answers
        assert isinstance(failure, Failure)
        self.assertIsInstance(failure.value, NotFound)
        self.assertEqual(self.pool.waiting, [])
        self.assertEqual(self.dicom.known_collections, [])

    def test_replaced(self) -> None:
        """A collection that was loaded again has an index of its own."""
        answers = self.begin(self.loaded)
        again = self.load()
        self.pool.held = False
        self.assertEqual(self.index(again).count, 35)
        [failure] = answers
        assert isinstance(failure, Failure)
        self.assertIsInstance(failure.value, NotFound)
        late = Deferred.fromCoroutine(self.dicom.index(self.loaded))
        self.failureResultOf(late, NotFound)

    def test_kept_so_far(self) -> None:
        """What was told until the daemon ended is not asked for again."""
        self.begin(self.loaded)
        self.pool.step()
        self.dicom.stop()
        self.restart()
        self.assertEqual(self.index(self.load()).count, 35)
        self.assertEqual([len(names) for _, names in self.pool.jobs], [MAX_BATCH, 3])


class FailedTests(DicomCase):
    def test_change_before_failure(self) -> None:
        """What was known to have changed before a pass that failed is not forgotten."""
        [path] = write_series(self.folder, 1)
        loaded = self.load()
        [instance] = self.index(loaded).instances()
        dicom_files.save(dicom_files.ct_slice(number=7), path)
        self.dicom.has_changed(loaded, instance)
        self.pool.error = lambda files, view: Unavailable("Pictures cannot be made now.")
        answers = self.begin(loaded)
        for _ in range(4):
            self.memory_site.clock.advance(1)
        [failure] = answers
        assert isinstance(failure, Failure)
        self.pool.error = lambda files, view: None
        [failure] = self.begin(loaded)
        assert isinstance(failure, Failure)
        self.assertIsInstance(failure.value, Unavailable)
        self.assertEqual([i.number for i in self.index(loaded).instances()], [7])

    def test_many_lost(self) -> None:
        """Thousands of instances that the store lost are marked in little time."""
        write_series(self.folder, 1)
        loaded = self.load()
        [instance] = self.index(loaded).instances()
        for _ in range(100_000):
            self.dicom.has_changed(loaded, instance)
        self.assertEqual(self.index(loaded).count, 1)
        self.assertEqual(len(self.pool.jobs), 1)
