"""One pass over a collection's DICOM: what goes to workers, and what of it fails."""

from __future__ import annotations

import os
from collections.abc import Sequence

from twisted.internet.defer import Deferred, succeed

from imgd.dicom.indexer import MAX_RECORD
from imgd.dicom.model import DicomIndex
from imgd.errors import ImgdError, Unavailable
from imgd.files.disk import OpenFile
from imgd.pictures.instances import MAX_BATCH
from imgd.pictures.views import View, ViewKind
from imgd.pictures.waiting import Picture
from imgd.pictures.worker_slot import KILLED
from tests.dicom.site_case import DicomCase
from tests.dicom_files import write_series
from tests.fakes import write
from tests.pictures.inline_pool import InlinePool


def numbers(index: DicomIndex) -> list[int | None]:
    return [instance.number for instance in index.instances()]


def unindexed(index: DicomIndex) -> dict[str, str]:
    return {"/".join(file.names): file.why for file in index.unindexed}


class PassTests(DicomCase):
    def test_batches(self) -> None:
        """Files go to workers in batches, as a client of their own; other files stay unread."""
        write_series(self.folder, MAX_BATCH + 1)
        write(os.path.join(self.folder, "a.png"))
        self.assertEqual(self.index(self.load()).count, MAX_BATCH + 1)
        self.assertEqual([len(names) for _, names in self.pool.jobs], [MAX_BATCH, 1])
        self.assertEqual(len(set(self.pool.clients)), 1)
        self.assertNotEqual(self.pool.clients[0], "")

    def test_batch_fails(self) -> None:
        """If a worker fails over a batch, each file is asked for alone; what it fails over then is
        named with the reason.
        """
        write_series(self.folder, 5)

        def crash(files: Sequence[OpenFile], _view: View) -> ImgdError | None:
            names = [file.name for file in files]
            return ImgdError.of(422, "It takes too long.") if "IM0003" in names else None

        self.pool.error = crash
        index = self.index(self.load())
        self.assertEqual(numbers(index), [1, 2, 4, 5])
        self.assertEqual(unindexed(index), {"IM0003": "It takes too long."})
        self.assertEqual(len(self.pool.jobs), 6)

    def test_unreadable(self) -> None:
        """A file that cannot be opened is named, until it can be."""
        paths = write_series(self.folder, 2, name="IM{:04}.dcm")
        loaded = self.load()
        if os.geteuid() == 0:
            self.skipTest("this user may read every file")
        os.chmod(paths[0], 0)
        index = self.index(loaded)
        self.assertEqual(numbers(index), [2])
        self.assertEqual(list(unindexed(index)), ["IM0001.dcm"])
        os.chmod(paths[0], 0o600)
        self.wait()
        self.assertEqual(numbers(self.index(loaded)), [1, 2])

    def test_killed(self) -> None:
        """A file over which the system kills workers again and again is named, too."""
        write_series(self.folder, 3)

        def kill(files: Sequence[OpenFile], _view: View) -> ImgdError | None:
            return Unavailable(KILLED) if "IM0002" in [file.name for file in files] else None

        self.pool.error = kill
        answers = self.begin(self.load())
        for _ in range(2):
            self.memory_site.clock.advance(1)
        [index] = answers
        assert isinstance(index, DicomIndex)
        self.assertEqual((numbers(index), list(unindexed(index))), ([1, 3], ["IM0002"]))

    def test_busy_pool(self) -> None:
        """A batch for which the pool has no room is tried again."""
        write_series(self.folder, 2)
        self.pool.error = lambda files, view: Unavailable("Too many pictures are waiting.")
        answers = self.begin(self.load())
        self.assertEqual(answers, [])
        self.pool.error = lambda files, view: None
        self.memory_site.clock.advance(1)
        [index] = answers
        assert isinstance(index, DicomIndex)
        self.assertEqual(index.count, 2)

    def test_several_at_once(self) -> None:
        """Several batches are under way at once, and one pass is made for all who ask."""
        write_series(self.folder, 2 * MAX_BATCH + 3)
        self.pool.held = True
        loaded = self.load()
        first, second = self.begin(loaded), self.begin(loaded)
        self.assertEqual(len(self.pool.waiting), 2)
        self.pool.release()
        self.assertIs(first[0], second[0])

    def test_strange_answers(self) -> None:
        """A worker that answers nonsense, too little or too much breaks no more than that file."""
        for body in (b"", b"nonsense", b"[]", b"[7]", b"[" + b" " * MAX_RECORD + b"]"):
            write_series(self.folder, 3)
            self.restart(picture_pool=AnsweringPool(body))
            index = self.index(self.load())
            os.remove(os.path.join(self.memory_site.state_dir, "dicom.sqlite3"))
            whys = dict.fromkeys(
                ("IM0001", "IM0002", "IM0003"),
                "It cannot be indexed: its header is too large or broken.",
            )
            self.assertEqual(unindexed(index), whys)

    def test_patients(self) -> None:
        """Workers are asked for what tells of patients if that is asked for, and never else."""
        write_series(self.folder, 1)
        for patient_data, kind in ((False, ViewKind.INDEX), (True, ViewKind.PATIENT_INDEX)):
            self.restart(patient_data=patient_data)
            self.assertIs(self.dicom.has_patient_data, patient_data)
            self.index(self.load())
            self.assertEqual([view for view, _ in self.pool.jobs], [View(kind)])
            os.remove(os.path.join(self.memory_site.state_dir, "dicom.sqlite3"))


class AnsweringPool(InlinePool):
    """Whatever it is asked, its worker answers this."""

    def __init__(self, body: bytes) -> None:
        super().__init__()
        self.body = body

    def make(
        self, source_key: bytes, files: Sequence[OpenFile], view: View, client: str
    ) -> Deferred[Picture]:
        return succeed(Picture(view, "application/json", self.body))
