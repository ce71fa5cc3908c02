"""What the answers about a collection's DICOM are made of."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from imgd.collections.manager import CollectionManager, LoadedCollection
from imgd.core.wait_limits import WaitLimit
from imgd.dicom.indexes import DicomIndexes
from imgd.dicom.model import IndexedInstance
from imgd.dicom.series_volumes import SeriesVolumes
from imgd.host.blocking import RunBlocking
from imgd.pictures.maker import Pictures
from imgd.web.dicom.addresses import Addresses
from imgd.web.dicom.known_series import KnownSeries
from imgd.web.many_files import AheadLimit, FileOpener

# Searches and metadata under way: each has a piece of the store in memory. A viewer behind a proxy
# asks for the metadata of a hundred series at once, and comes from the proxy's address.
MAX_ANSWERS_PER_COLLECTION: Final = 256
MAX_ANSWERS_PER_CLIENT: Final = 128
TOO_MANY: Final = "Too many ask for lists of DICOM at once. Try again in a moment."


def _answers() -> WaitLimit:
    return WaitLimit(MAX_ANSWERS_PER_COLLECTION, MAX_ANSWERS_PER_CLIENT, TOO_MANY)


@dataclass(frozen=True, slots=True)
class DicomParts:
    """``run`` and ``ask`` are those of ``BlockingRunner``; ``answers`` bounds long answers."""

    manager: CollectionManager
    indexes: DicomIndexes
    pictures: Pictures
    addresses: Addresses
    run: RunBlocking
    ask: RunBlocking
    known_series: KnownSeries = field(default_factory=KnownSeries)
    ahead: AheadLimit = field(default_factory=AheadLimit)
    volumes: SeriesVolumes = field(default_factory=SeriesVolumes)
    answers: WaitLimit = field(default_factory=_answers)

    def opener(self, loaded: LoadedCollection, instances: Iterable[IndexedInstance]) -> FileOpener:
        """Opens the files of these instances; one that changed is indexed again."""

        def note_change(names: tuple[str, ...]) -> None:
            for instance in instances:
                if instance.names == names:
                    self.indexes.has_changed(loaded, instance)

        return FileOpener(loaded.root, self.ask, self.ahead, note_change)
