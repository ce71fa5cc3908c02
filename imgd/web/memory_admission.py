"""Reads files that may be kept in memory: one at a time, while no request waits for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from imgd.errors import Unavailable
from imgd.files.versions import FileVersion
from imgd.host.blocking import RunOwn
from imgd.logs import Logger

# Files in the queue; one that does not fit is tried again by its next request.
MAX_WAITING: Final = 64

Read = Callable[[str, FileVersion], bytes | None]


class MemoryAdmission:
    """A queue of files to read in the background: a disk that hangs delays no request.

    ``keep`` is called with the bytes of a version, None if it can never be kept; it is not called
    for what failed for the moment.
    """

    log = Logger()

    def __init__(
        self,
        run_unawaited: RunOwn,
        read: Read,
        keep: Callable[[bytes, FileVersion, bytes | None], None],
    ) -> None:
        self._run_unawaited = run_unawaited
        self._read = read
        self._keep = keep
        self._waiting: dict[bytes, tuple[str, FileVersion]] = {}
        self._is_reading = False

    def request(self, key: bytes, path: str, stamp: FileVersion) -> None:
        """Queue this version."""
        if key in self._waiting or len(self._waiting) >= MAX_WAITING:
            return
        self._waiting[key] = path, stamp
        if not self._is_reading:
            self._read_next()

    def _read_next(self) -> None:
        key, (path, stamp) = next(iter(self._waiting.items()))
        self._is_reading = True
        reading: Deferred[bytes | None] = self._run_unawaited(self._read, path, stamp)
        reading.addErrback(self._on_failure).addBoth(self._on_read, key, stamp)

    def _on_read(self, result: Any, key: bytes, stamp: FileVersion) -> None:
        self._is_reading = False
        del self._waiting[key]
        if not isinstance(result, Failure):
            self._keep(key, stamp, result)
        if self._waiting:
            self._read_next()

    def _on_failure(self, failure: Failure) -> Failure | None:
        """None for a file that cannot be read; a failure if the machine cannot for now."""
        if failure.check(Unavailable):
            return failure
        if not failure.check(OSError):
            self.log.failure("Reading a file to keep it failed", failure)
        return None
