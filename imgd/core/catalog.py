"""Which directories are loaded, and until when.

Deadlines and ``now`` are seconds of one monotonic clock, which the caller owns. Wall time is only
carried along, to be shown and stored.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from imgd.core.messages import SkippedFiles

CURRENT: Final = "current"  # the name of the collection that is loaded without one
SECONDS_PER_MINUTE: Final = 60


@dataclass(frozen=True, slots=True)
class Collection:
    """A loaded directory.

    ``directory`` is its real path, ``loaded_at`` wall seconds since the epoch. Its timer was last
    started with ``timeout_minutes`` (0: never); ``deadline`` is in monotonic seconds, or None.
    ``all_files``: not only images are served. ``skipped`` is None until the directory was read.
    """

    name: str
    directory: str
    recursive: bool
    image_count: int
    loaded_at: float
    timeout_minutes: int
    deadline: float | None
    all_files: bool = False
    skipped: SkippedFiles | None = None

    def with_timer(self, minutes: int, now: float) -> Collection:
        """The same collection with its timer started at ``now``; 0 minutes stop it."""
        deadline = now + minutes * SECONDS_PER_MINUTE if minutes else None
        return replace(self, timeout_minutes=minutes, deadline=deadline)


class Catalog:
    """The collections by name. The one named ``current`` is served at /images/."""

    def __init__(self) -> None:
        self._by_name: dict[str, Collection] = {}

    def __iter__(self) -> Iterator[Collection]:
        """Sorted by name."""
        return iter(sorted(self._by_name.values(), key=lambda collection: collection.name))

    def get(self, name: str) -> Collection | None:
        return self._by_name.get(name)

    def put(self, collection: Collection) -> None:
        """Add a collection, or replace the one of its name."""
        self._by_name[collection.name] = collection

    def remove(self, name: str) -> Collection | None:
        """Remove a collection and return it; None if there was none."""
        return self._by_name.pop(name, None)

    def next_deadline(self) -> float | None:
        """When the first timer runs out; None if no timer runs."""
        deadlines = (c.deadline for c in self._by_name.values() if c.deadline is not None)
        return min(deadlines, default=None)

    def take_expired(self, now: float) -> list[Collection]:
        """Remove every collection whose deadline has come, and return them."""
        expired = [c for c in self if c.deadline is not None and c.deadline <= now]
        for collection in expired:
            del self._by_name[collection.name]
        return expired

    def timed(self) -> list[Collection]:
        """Every collection whose timer runs."""
        return [c for c in self if c.deadline is not None]

    def restarted(self, minutes: int, now: float) -> list[Collection]:
        """Every collection whose timer runs, with its timer started at ``now``; none is changed."""
        return [c.with_timer(minutes, now) for c in self.timed()]


def time_left(expires_at: float, wall_now: float, timeout_minutes: int) -> float:
    """Seconds left of a timer that was stored as wall time; 0 or less if it ran out.

    Never more than the timer's whole length: it does not run longer because the wall clock was set
    back while the daemon was down.
    """
    return min(expires_at - wall_now, timeout_minutes * SECONDS_PER_MINUTE)
