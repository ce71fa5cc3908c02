"""Volumes of series that were asked for, kept as long as the index is the same."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from twisted.internet.defer import Deferred, succeed

from imgd.dicom.series_volume import SeriesVolume
from imgd.host.garbage import GarbagePause
from imgd.host.single_flight import SingleFlight

# Files of all that are kept, and frames of those that have many: some 15 MB.
MAX_FRAMES: Final = 40_000


class VolumeKey(NamedTuple):
    """A series in the state in which it was indexed; ``tag`` is that of the index."""

    collection: str
    directory: str
    tag: str
    study: str
    series: str


class _Making:
    """A volume that is being made, and how many wait for it."""

    def __init__(self) -> None:
        self.work: SingleFlight[SeriesVolume] = SingleFlight()
        self.waiters = 0


class SeriesVolumes:
    """Volumes by key; the least recently used go first. The last one is kept, however large.

    ``garbage_pause`` is for making a large one.
    """

    def __init__(self, limit: int = MAX_FRAMES) -> None:
        self._limit = limit
        self.garbage_pause = GarbagePause()
        self._kept: OrderedDict[VolumeKey, SeriesVolume] = OrderedDict()
        self._making: dict[VolumeKey, _Making] = {}

    def find(
        self, key: VolumeKey, make: Callable[[], Deferred[SeriesVolume]]
    ) -> Deferred[SeriesVolume]:
        """The volume of this key, made once for all who wait for it."""
        making = self._making.setdefault(key, _Making())
        making.waiters += 1

        def start() -> Deferred[SeriesVolume]:
            kept = self._recall(key)
            return make().addCallback(self._keep, key) if kept is None else succeed(kept)

        def end(result: Any) -> Any:
            making.waiters -= 1
            if not making.waiters:
                self._making.pop(key, None)
            return result

        return making.work.wait(start).addBoth(end)

    def _recall(self, key: VolumeKey) -> SeriesVolume | None:
        kept = self._kept.get(key)
        if kept is not None:
            self._kept.move_to_end(key)
        return kept

    def _keep(self, volume: SeriesVolume, key: VolumeKey) -> SeriesVolume:
        self._kept[key] = volume
        while len(self._kept) > 1 and sum(map(_frames, self._kept.values())) > self._limit:
            self._kept.popitem(last=False)
        return volume


def _frames(volume: SeriesVolume) -> int:
    return sum(len(frames.numbers) for frames in volume.frames)
