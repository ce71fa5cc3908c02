"""The index of a collection's DICOM: made, kept, and made new."""

from __future__ import annotations

import os
import shutil
from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from imgd.dicom.indexes import RECENT, StillIndexing
from imgd.dicom.model import DicomIndex
from imgd.errors import ImgdError, Unavailable
from imgd.pictures.instances import Instance
from tests import dicom_files
from tests.dicom.site_case import DicomCase
from tests.dicom_files import write_series
from tests.fakes import log_lines, write

OTHER = f"{dicom_files.ROOT}.1.2"


def numbers(index: DicomIndex) -> list[int | None]:
    return [instance.number for instance in index.instances()]


def unindexed(index: DicomIndex) -> dict[str, str]:
    return {"/".join(file.names): file.why for file in index.unindexed}


class MadeTests(DicomCase):
    def test_series(self) -> None:
        """Studies, series and instances are there with what is known of them."""
        paths = write_series(self.folder, 3)
        index = self.index(self.load())
        self.assertEqual(list(index.studies), [dicom_files.STUDY])
        [series] = index.series()
        of_series = series.uid, series.modality, series.number
        self.assertEqual(of_series, (dicom_files.SERIES, "CT", 1))
        names = [(os.path.basename(path),) for path in paths]
        self.assertEqual([instance.names for instance in series.instances], names)
        first = series.instances[0]
        with open(paths[0], "rb") as file:
            data = file.read()
        self.assertEqual(data[first.offset : first.offset + first.length][:4], b"\x64\0\x65\0")
        self.assertEqual((first.rows, first.columns, first.frames), (8, 6, 1))
        self.assertEqual(unindexed(index), {})

    def test_nothing(self) -> None:
        """A folder without DICOM has an empty index."""
        write(os.path.join(self.folder, "a.png"))
        index = self.index(self.load())
        self.assertEqual((index.count, index.studies, index.unindexed), (0, {}, ()))
        self.assertEqual(self.pool.jobs, [])

    def test_broken(self) -> None:
        """A broken file is named with a sentence, and is no reason to leave out others."""
        write_series(self.folder, 3)
        write(os.path.join(self.folder, "broken"), bytes(128) + b"DICM" + b"\xff" * 500)
        write(os.path.join(self.folder, "empty.dcm"), b"")
        index = self.index(self.load())
        self.assertEqual(numbers(index), [1, 2, 3])
        self.assertEqual(sorted(unindexed(index)), ["broken", "empty.dcm"])
        for why in unindexed(index).values():
            self.assertRegex(why, r"^[A-Z].*\.$")

    def test_duplicates(self) -> None:
        """Of an instance that is there twice the first counts, and the other is named."""
        write_series(os.path.join(self.folder, "a2"), 2)
        write_series(os.path.join(self.folder, "a10"), 2)
        index = self.index(self.load())
        self.assertEqual([i.names[0] for i in index.instances()], ["a2", "a2"])
        whys = {f"a10/IM000{n}": f"The same instance as a2/IM000{n}." for n in (1, 2)}
        self.assertEqual(unindexed(index), whys)

    def test_order(self) -> None:
        """Studies come in natural order, series by their numbers, instances by theirs."""
        study = f"{dicom_files.ROOT}.10"
        write_series(os.path.join(self.folder, "x"), 12, name="{:x}")
        more: dict[str, Any] = {"SeriesNumber": None}
        write_series(os.path.join(self.folder, "a"), 1, series=OTHER, more=more)
        third = f"{dicom_files.ROOT}.1.3"
        more = {"SeriesNumber": 0}
        write_series(os.path.join(self.folder, "b"), 1, series=third, more=more)
        write_series(os.path.join(self.folder, "c"), 1, study=study)
        write_series(os.path.join(self.folder, "d"), 1, study=f"{dicom_files.ROOT}.9")
        index = self.index(self.load())
        self.assertEqual([uid.rpartition(".")[2] for uid in index.studies], ["1", "9", "10"])
        of_first = index.studies[dicom_files.STUDY]
        self.assertEqual(list(of_first), [third, dicom_files.SERIES, OTHER])
        self.assertEqual(
            [i.number for i in of_first[dicom_files.SERIES].instances], [*range(1, 13)]
        )
        # One UID of a series in two studies: two series.
        self.assertEqual(len(list(index.series(series=dicom_files.SERIES))), 3)

    def test_links(self) -> None:
        """A link to a DICOM file counts as one more of the same instance."""
        paths = write_series(self.folder, 1)
        os.symlink(paths[0], os.path.join(self.folder, "link"))
        index = self.index(self.load())
        self.assertEqual(unindexed(index), {"link": "The same instance as IM0001."})

    def test_log(self) -> None:
        """One line of the log says what was indexed, and how much was not; it names no file."""
        lines = log_lines(self, "imgd.dicom")
        write_series(self.folder, 1)
        write(os.path.join(self.folder, "empty.dcm"), b"")
        loaded = self.load()
        self.index(loaded)
        self.wait()
        self.index(loaded)
        counts = "1 study, 1 series, 1 instance (0.0 s); 1 file is not in it"
        self.assertEqual(lines, [f"Indexed the DICOM of scans: {counts}"])


class KeptTests(DicomCase):
    def test_restart(self) -> None:
        """After a restart nothing is asked of workers again, and the index is the same."""
        write_series(self.folder, 5)
        write(os.path.join(self.folder, "broken"), bytes(128) + b"DICM" + b"\xff" * 500)
        before = self.index(self.load())
        self.dicom.stop()
        self.restart()
        loaded = self.load()
        after = self.index(loaded)
        self.assertEqual(self.pool.jobs, [])
        self.assertEqual((after.studies, after.tag), (before.studies, before.tag))
        self.assertEqual(after.unindexed, before.unindexed)
        self.assertEqual(len(self.records(loaded, after)), 5)

    def test_second_load(self) -> None:
        """Nor is it by another collection of the same directory, or of one above it."""
        write_series(os.path.join(self.folder, "a"), 2)
        self.index(self.load())
        asked = len(self.pool.jobs)
        self.assertEqual(self.index(self.load("again")).count, 2)
        folder = os.path.join(self.folder, "a")
        self.assertEqual(self.index(self.memory_site.load(folder, name="below")).count, 2)
        self.assertEqual(len(self.pool.jobs), asked)

    def records(self, loaded: Any, index: DicomIndex) -> list[Instance]:
        work = Deferred.fromCoroutine(self.dicom.records(loaded, list(index.instances())))
        return self.successResultOf(work)

    def test_records(self) -> None:
        """Everything that is kept of instances is given in their order."""
        write_series(self.folder, 3)
        loaded = self.load()
        index = self.index(loaded)
        records = self.records(loaded, index)
        self.assertEqual([record.number for record in records], [1, 2, 3])
        self.assertEqual(records[1].planes[0].position, [-10.0, -20.0, 2.0])
        self.assertIn(b'"00080018"', bytes(records[0].metadata))

    def test_lost_records(self) -> None:
        """If the store lost an instance, its file is read again."""
        write_series(self.folder, 3)
        loaded = self.load()
        index = self.index(loaded)
        self.dicom.stop()
        os.remove(os.path.join(self.memory_site.state_dir, "dicom.sqlite3"))
        self.restart()
        loaded = self.load()
        work = Deferred.fromCoroutine(self.dicom.records(loaded, list(index.instances())))
        progress = self.failureResultOf(work, StillIndexing).value
        self.assertEqual((progress.done, progress.total), (0, 3))
        self.assertEqual(len(self.records(loaded, self.index(loaded))), 3)


class ChangeTests(DicomCase):
    def test_changed_files(self) -> None:
        """New, changed and deleted files show at the next question that asks for facts, and no
        other file is read again.
        """
        paths = write_series(self.folder, 4)
        loaded = self.load()
        before = self.index(loaded)
        self.pool.jobs.clear()
        os.remove(paths[0])
        dicom_files.save(dicom_files.ct_slice(number=7), paths[1])
        dicom_files.save(dicom_files.ct_slice(number=9), os.path.join(self.folder, "new"))
        self.wait()
        after = self.index(loaded)
        self.assertEqual(numbers(after), [3, 4, 7, 9])
        self.assertEqual([names for _, names in self.pool.jobs], [("IM0002", "new")])
        self.assertNotEqual(after.tag, before.tag)

    def test_new_file_at_once(self) -> None:
        """A file that is new is there at the next question, whenever facts were asked for."""
        write_series(self.folder, 1)
        loaded = self.load()
        self.index(loaded)
        write_series(self.folder, 2)
        self.assertEqual(numbers(self.index(loaded)), [1, 2])

    def test_facts_age(self) -> None:
        """Facts are asked for again after some seconds, or if somebody saw another file."""
        [path] = write_series(self.folder, 1)
        loaded = self.load()
        [instance] = self.index(loaded).instances()
        dicom_files.save(dicom_files.ct_slice(number=7), path)
        self.dicom.has_changed(loaded, instance)
        self.assertEqual(numbers(self.index(loaded)), [7])

    def test_one_survey(self) -> None:
        """A folder that changed a moment ago is listed each time, but the facts of its files are
        not asked for again each time.
        """
        write_series(self.folder, 2)
        loaded = self.load()
        before = self.index(loaded)
        asked = self.memory_site.blocking.calls
        self.assertIs(self.index(loaded), before)
        of_listing = self.memory_site.blocking.calls - asked
        Deferred.fromCoroutine(self.memory_site.manager.index(loaded))
        self.assertEqual(self.memory_site.blocking.calls - asked, 2 * of_listing)

    def test_same_index(self) -> None:
        """While nothing changes, the same index is given."""
        write_series(self.folder, 2)
        loaded = self.load()
        before = self.index(loaded)
        self.wait()
        self.assertIs(self.index(loaded), before)
        self.assertEqual(len(self.pool.jobs), 1)

    def test_directory_away(self) -> None:
        """While a directory is away, what was there is known; when it is back, what is there."""
        write_series(self.folder, 2)
        loaded = self.load()
        self.index(loaded)
        os.rename(self.folder, f"{self.folder} away")
        self.wait()
        self.assertEqual(numbers(self.index(loaded)), [1, 2])
        write_series(self.folder, 1)
        self.wait()
        self.assertEqual(numbers(self.index(loaded)), [1])

    def test_all_deleted(self) -> None:
        """An index can become empty."""
        write_series(os.path.join(self.folder, "a"), 2)
        loaded = self.load()
        self.index(loaded)
        shutil.rmtree(os.path.join(self.folder, "a"))
        self.wait()
        self.assertEqual(numbers(self.index(loaded)), [])


class FailureTests(DicomCase):
    def test_off(self) -> None:
        """Where nothing can be indexed, the answer is 501 and says what is missing."""
        self.restart(picture_pool=None)
        asking = Deferred.fromCoroutine(self.dicom.index(self.load()))
        error = self.failureResultOf(asking, ImgdError).value
        self.assertEqual(
            (error.status, 'pip install "imgd[pictures]"' in error.detail), (501, True)
        )
        self.assertRaises(ImgdError, self.dicom.prepare, self.load())

    def test_no_pool(self) -> None:
        """If that lasts, who asks gets 503, and the log says why; the next question tries again."""
        lines = log_lines(self, "imgd.dicom")
        write_series(self.folder, 2)
        self.pool.error = lambda files, view: Unavailable("Pictures cannot be made now.")
        loaded = self.load()
        first = self.begin(loaded)
        for _ in range(4):
            self.memory_site.clock.advance(1)
        [progress], [failure] = first, self.begin(loaded)
        assert isinstance(progress, Failure)
        assert isinstance(failure, Failure)
        self.assertIsInstance(progress.value, StillIndexing)
        self.assertIsInstance(failure.value, Unavailable)
        self.assertEqual(lines, ["The DICOM of scans is not indexed: Pictures cannot be made now."])
        self.pool.error = lambda files, view: None
        self.assertEqual(self.index(loaded).count, 2)


class RecentTests(DicomCase):
    def test_recent(self) -> None:
        """What was true within the last second is known without asking the disk, unless a file is
        known to be another, or the collection was loaded again.
        """
        write_series(self.folder, 1)
        loaded = self.load()
        self.assertIsNone(self.dicom.recent(loaded))
        index = self.index(loaded)
        self.memory_site.blocking.held = True
        self.assertIs(self.dicom.recent(loaded), index)
        self.memory_site.clock.advance(RECENT)
        self.assertIsNone(self.dicom.recent(loaded))
        self.memory_site.blocking.held = False
        index = self.index(loaded)
        self.assertIs(self.dicom.recent(loaded), index)
        self.dicom.has_changed(loaded, next(index.instances()))
        self.assertIsNone(self.dicom.recent(loaded))
        self.index(loaded)
        self.assertIsNone(self.dicom.recent(self.load()))

    def test_gone(self) -> None:
        """A file that is known to be another, and then gone, is in the index no more."""
        paths = write_series(self.folder, 2)
        loaded = self.load()
        first = next(self.index(loaded).instances())
        os.remove(paths[0])
        self.dicom.has_changed(loaded, first)
        self.assertEqual(numbers(self.index(loaded)), [2])
