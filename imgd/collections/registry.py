"""Loaded collections with what serves them, by name."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from imgd.collections.scan import CollectionIndex
from imgd.core.catalog import CURRENT, Catalog, Collection
from imgd.files.disk import Root
from imgd.host.single_flight import SingleFlight


@dataclass(frozen=True, slots=True)
class LoadSpec:
    """What a load asks for: ``minutes`` until it unloads itself (0 never), None for the default."""

    directory: str
    name: str = CURRENT
    recursive: bool = False
    minutes: int | None = None
    all_files: bool = False


@dataclass(frozen=True, slots=True)
class LoadedCollection:
    """A collection with what serves it. ``index`` is None until its folders are first read.

    ``index_reads`` and ``availability_checks`` are done once for all who wait. They are of one
    load: what has the same ``index_reads`` is the same load, whatever its timer.
    """

    collection: Collection
    root: Root
    index: CollectionIndex | None = None
    index_reads: SingleFlight[CollectionIndex | None] = field(
        default_factory=SingleFlight, compare=False
    )
    availability_checks: SingleFlight[bool] = field(default_factory=SingleFlight, compare=False)


class CollectionRegistry:
    """What is loaded, by name. The catalog is changed by this alone."""

    def __init__(self) -> None:
        self.catalog = Catalog()
        self._by_name: dict[str, LoadedCollection] = {}

    def __iter__(self) -> Iterator[LoadedCollection]:
        """Sorted by name."""
        return (self._by_name[collection.name] for collection in self.catalog)

    def __contains__(self, name: str) -> bool:
        return name in self._by_name

    def get(self, name: str) -> LoadedCollection | None:
        """The collection of this name."""
        return self._by_name.get(name)

    def current(self, loaded: LoadedCollection) -> LoadedCollection | None:
        """The same load with its present timer and index; None if it was unloaded or replaced."""
        present = self._by_name.get(loaded.collection.name)
        is_same = present is not None and present.index_reads is loaded.index_reads
        return present if is_same else None

    def put(self, loaded: LoadedCollection) -> None:
        """Add a collection, in place of the one that had its name."""
        self.catalog.put(loaded.collection)
        self._by_name[loaded.collection.name] = loaded

    def remove(self, name: str) -> None:
        """Remove a collection; nothing happens if there is none of this name."""
        self.catalog.remove(name)
        self._by_name.pop(name, None)

    def take_expired(self, now: float) -> list[Collection]:
        """Remove every collection whose deadline (monotonic seconds) has come, and no other."""
        expired = self.catalog.take_expired(now)
        for collection in expired:
            del self._by_name[collection.name]
        return expired
