"""Volumes that are kept."""

from __future__ import annotations

from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase

from imgd.dicom.series_volume import SeriesVolume
from imgd.dicom.series_volumes import SeriesVolumes, VolumeKey
from tests.dicom.volume_case import stack, volume


def key(tag: str) -> VolumeKey:
    return VolumeKey("scans", "/scans", tag, "1", "1.2")


class SeriesVolumesTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.volumes = SeriesVolumes(10)
        self.work: list[Deferred[SeriesVolume]] = []

    def make(self) -> Deferred[SeriesVolume]:
        self.work.append(Deferred())
        return self.work[-1]

    def ask(self, tag: str) -> Deferred[SeriesVolume]:
        return self.volumes.find(key(tag), self.make)

    def test_once(self) -> None:
        """All who ask while it is made, and later, get the one that is made."""
        asked = [self.ask("a"), self.ask("a")]
        made = volume(stack())
        self.work[0].callback(made)
        for answer in (*asked, self.ask("a")):
            self.assertIs(self.successResultOf(answer), made)
        self.assertEqual(len(self.work), 1)

    def test_changed(self) -> None:
        """Another state of the index is another volume."""
        self.ask("a")
        self.ask("b")
        self.assertEqual(len(self.work), 2)

    def test_bounded(self) -> None:
        """The least recently used goes; one that is larger than the limit is kept alone."""
        for tag in "ab":
            self.ask(tag)
            self.work.pop().callback(volume(stack()))
        self.ask("a")
        self.ask("c")
        self.work.pop().callback(volume(stack()))  # 12 frames: too many
        self.successResultOf(self.ask("a"))
        self.assertNoResult(self.ask("b"))
        self.work.pop().callback(volume(stack(map(float, range(20)))))
        self.successResultOf(self.ask("b"))
        self.assertNoResult(self.ask("a"))

    def test_failure(self) -> None:
        """What fails is tried again by who asks next."""
        first = self.ask("a")
        self.work[0].errback(ValueError())
        self.failureResultOf(first, ValueError)
        self.assertNoResult(self.ask("a"))
        self.assertEqual(len(self.work), 2)

    def test_cancelled(self) -> None:
        """One who leaves ends nothing for others; the last ends the work."""
        first, second = self.ask("a"), self.ask("a")
        first.cancel()
        self.failureResultOf(first, CancelledError)
        second.cancel()
        self.failureResultOf(second, CancelledError)
        self.assertTrue(self.work[0].called)
        third = self.ask("a")
        made = volume(stack())
        self.work[-1].callback(made)
        self.assertIs(self.successResultOf(third), made)
