"""What the answers about a collection's DICOM are made of."""

from __future__ import annotations

<<<<<<< HEAD
from collections.abc import Iterable
=======
<<<<<<< HEAD
=======
from collections.abc import Iterable
>>>>>>> wt-retrieve
>>>>>>> wt-volume
from dataclasses import dataclass, field

from imgd.collections.manager import CollectionManager, LoadedCollection
from imgd.dicom.indexes import DicomIndexes
from imgd.dicom.model import IndexedInstance
from imgd.host.blocking import RunBlocking
from imgd.pictures.maker import Pictures
from imgd.web.dicom.addresses import Addresses
<<<<<<< HEAD
from imgd.web.dicom.known_series import KnownSeries
from imgd.web.many_files import AheadLimit, FileOpener
=======
<<<<<<< HEAD
from imgd.web.dicom.known_series import KnownSeries
=======
from imgd.web.many_files import AheadLimit, FileOpener
>>>>>>> wt-retrieve
>>>>>>> wt-volume


@dataclass(frozen=True, slots=True)
class DicomParts:
    """``run`` and ``ask`` are those of ``BlockingRunner``."""

    manager: CollectionManager
    indexes: DicomIndexes
    pictures: Pictures
    addresses: Addresses
    run: RunBlocking
    ask: RunBlocking
<<<<<<< HEAD
    known_series: KnownSeries = field(default_factory=KnownSeries)
=======
<<<<<<< HEAD
    known_series: KnownSeries = field(default_factory=KnownSeries)
=======
>>>>>>> wt-volume
    ahead: AheadLimit = field(default_factory=AheadLimit)

    def opener(self, loaded: LoadedCollection, instances: Iterable[IndexedInstance]) -> FileOpener:
        """Opens the files of these instances; one that changed is indexed again."""

        def note_change(names: tuple[str, ...]) -> None:
            for instance in instances:
                if instance.names == names:
                    self.indexes.has_changed(loaded, instance)

        return FileOpener(loaded.root, self.ask, self.ahead, note_change)
<<<<<<< HEAD
=======
>>>>>>> wt-retrieve
>>>>>>> wt-volume
