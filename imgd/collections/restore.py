"""What was loaded when the daemon last ran, with the time that is left. Blocks for the store."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from imgd.collections.policy import DirectoryPolicy
from imgd.collections.registry import LoadedCollection
from imgd.collections.store import CatalogStore
from imgd.collections.stored_rows import StoredCollection
from imgd.core.catalog import time_left
from imgd.errors import Forbidden, Unavailable
from imgd.logs import Logger

log = Logger()


def default_minutes(store: CatalogStore, configured_minutes: int) -> int:
    """The default timeout that was set last, until the daemon is configured with another."""
    timeout = store.default_timeout()
    if timeout is None:
        return configured_minutes
    if timeout.configured_minutes == configured_minutes:
        return timeout.minutes
    _change(store.set_default_timeout, None)
    return configured_minutes


def collections(
    store: CatalogStore, policy: DirectoryPolicy, now: float, wall_now: float
) -> Iterator[LoadedCollection]:
    """Every stored collection that can be served still; the others are removed from the store.

    ``now`` is monotonic, ``wall_now`` in seconds since the epoch.
    """
    for stored in store.collections():
        seconds = _seconds_left(stored, wall_now)
        if reason := _reason_to_discard(stored, seconds, policy):
            log.warn("Did not restore {name}: {why}", name=stored.name, why=reason)
            _change(store.remove, stored.name)
            continue
        root = policy.root(stored.directory, stored.recursive, stored.all_files)
        deadline = None if seconds is None else now + seconds
        fields = {"count": stored.image_count, "directory": stored.directory}
        log.info("Restored {name}: {count} images of {directory}", name=stored.name, **fields)
        yield LoadedCollection(stored.to_collection(deadline), root)


def _change(f: Callable[..., object], *args: Any) -> None:
    try:
        f(*args)
    except Unavailable:  # it will be tried again at the next start
        log.failure("Could not store a change of collections")


def _seconds_left(stored: StoredCollection, wall_now: float) -> float | None:
    """What is left of a stored timer, 0 or less if it ran out; None for never."""
    if stored.expires_at is None:
        return None
    return time_left(stored.expires_at, wall_now, stored.timeout_minutes)


def _reason_to_discard(
    stored: StoredCollection, seconds: float | None, policy: DirectoryPolicy
) -> str:
    """Why a stored collection is not restored; empty if it is."""
    try:
        policy.check_location(stored.directory, stored.directory, stored.recursive)
    except Forbidden as error:
        return error.detail
    ran_out = seconds is not None and seconds <= 0
    return "its time ran out while the daemon was down" if ran_out else ""
