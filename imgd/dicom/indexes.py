"""The index of every collection that was asked for its DICOM, made by workers and kept on disk.

The one door of this room for the web.
"""

from __future__ import annotations

from collections.abc import Sequence

from imgd.collections.registry import LoadedCollection
from imgd.dicom.model import DicomIndex, IndexedInstance
from imgd.pictures.instances import Instance


class StillIndexing(Exception):
    """The index is being made: ``done`` of ``total`` files are."""

    def __init__(self, done: int, total: int) -> None:
        super().__init__(done, total)
        self.done, self.total = done, total


class DicomIndexes:
    """Indexes of collections."""

    why_off = ""  # why there are none: pictures are not made here
    has_patient_data = False  # whether records tell of patients

    async def index(self, loaded: LoadedCollection) -> DicomIndex:
        """The index as the directory is now; StillIndexing if that takes longer than ``WAIT``
        seconds, 501 if nothing can be indexed here.
        """
        raise NotImplementedError

    def prepare(self, loaded: LoadedCollection) -> None:
        """Begin to index; nobody waits. 501 as an exception if nothing can be."""
        raise NotImplementedError

    async def records(
        self, loaded: LoadedCollection, instances: Sequence[IndexedInstance]
    ) -> list[Instance]:
        """Everything that is kept of these instances, from the store, in their order."""
        raise NotImplementedError

    def has_changed(self, loaded: LoadedCollection, instance: IndexedInstance) -> None:
        """A file is not the one that was indexed: it is indexed again before the next answer."""
        raise NotImplementedError
