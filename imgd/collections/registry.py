"""Loaded collections with what serves them, and their way into the store and back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from imgd.collections.scan import Index, Policy
from imgd.collections.store import StoredCollection
from imgd.core.catalog import CURRENT, Catalog, Collection, time_left
from imgd.errors import Forbidden
from imgd.files.disk import Root
from imgd.host.single_flight import SingleFlight


@dataclass(frozen=True, slots=True)
class LoadedCollection:
    """A collection with what serves it. ``index`` is None until its folders are first read.

    ``reading`` its names and ``asking`` whether it is there are done once for all who wait. They
    are of one load: what has the same ``reading`` is the same load, whatever its timer.
    """

    collection: Collection
    root: Root
    index: Index | None = None
    reading: SingleFlight = field(default_factory=SingleFlight, compare=False)
    asking: SingleFlight = field(default_factory=SingleFlight, compare=False)


@dataclass(frozen=True, slots=True)
class LoadSpec:
    """What a load asks for: ``minutes`` until it unloads itself (0 never), None for the default."""

    directory: str
    name: str = CURRENT
    recursive: bool = False
    minutes: int | None = None


class CollectionRegistry:
    """The catalog's collections, each with its shelf. Change the catalog by this alone."""

    def __init__(self) -> None:
        self.catalog = Catalog()
        self._by_name: dict[str, LoadedCollection] = {}

    def __iter__(self) -> Iterator[LoadedCollection]:
        """Sorted by name."""
        return (self._by_name[collection.name] for collection in self.catalog)

    def __contains__(self, name: str) -> bool:
        return name in self._by_name

    def get(self, name: str) -> LoadedCollection | None:
        """The shelf of this name."""
        return self._by_name.get(name)

    def current(self, loaded_collection: LoadedCollection) -> LoadedCollection | None:
        """The same load with the timer and the index it has now; None where it was taken away."""
        present = self._by_name.get(loaded_collection.collection.name)
        return (
            present
            if present is not None and present.reading is loaded_collection.reading
            else None
        )

    def place(self, loaded_collection: LoadedCollection) -> None:
        """Put a shelf up, in place of the one that had its name."""
        self.catalog.put(loaded_collection.collection)
        self._by_name[loaded_collection.collection.name] = loaded_collection

    def remove(self, name: str) -> None:
        """Take a shelf away; nothing happens where there was none."""
        self.catalog.remove(name)
        self._by_name.pop(name, None)

    def take_expired(self, now: float) -> list[Collection]:
        """Take away every shelf whose deadline (monotonic seconds) has come, and no other."""
        expired = self.catalog.take_expired(now)
        for collection in expired:
            del self._by_name[collection.name]
        return expired


def to_store(collection: Collection, expires_at: float | None) -> StoredCollection:
    """A collection as it is stored; ``expires_at`` in wall seconds, None for never."""
    return StoredCollection(
        name=collection.name,
        directory=collection.directory,
        recursive=collection.recursive,
        image_count=collection.image_count,
        loaded_at=collection.loaded_at,
        expires_at=expires_at,
        timeout_minutes=collection.timeout_minutes,
    )


def from_store(stored: StoredCollection, left: float | None, now: float) -> Collection:
    """The collection again, with ``left`` seconds (None: for ever) from ``now`` (monotonic) on."""
    return Collection(
        name=stored.name,
        directory=stored.directory,
        recursive=stored.recursive,
        image_count=stored.image_count,
        loaded_at=stored.loaded_at,
        timeout_minutes=stored.timeout_minutes,
        deadline=None if left is None else now + left,
    )


def seconds_left(stored: StoredCollection, wall_now: float) -> float | None:
    """What is left of a stored timer, 0 or less where it ran out; None for never."""
    if stored.expires_at is None:
        return None
    return time_left(stored.expires_at, wall_now, stored.timeout_minutes)


def reason_to_discard(stored: StoredCollection, left: float | None, policy: Policy) -> str:
    """Why a stored collection is not brought back; empty where it is."""
    try:
        policy.check_place(stored.directory, stored.directory, stored.recursive)
    except Forbidden as error:
        return error.detail
    return "its time ran out while the daemon was down" if left is not None and left <= 0 else ""
