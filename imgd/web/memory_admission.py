"""Reads files that may be kept in memory: one at a time, never many waiting, nobody held up."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from imgd.errors import Unavailable
from imgd.files.versions import FileVersion
from imgd.host.blocking import RunOwn
from imgd.logs import Logger

# Files that wait for their turn; one that finds no room is asked for again by its next request.
MAX_WAITING: Final = 64

Read = Callable[[str, FileVersion], bytes | None]


class MemoryAdmission:
    """Reads files where nobody waits for it: a disk that hangs holds up what is not kept yet.

    ``kept`` is told the bytes of a version, or None where it cannot be kept; of what failed for the
    moment it is told nothing.
    """

    log = Logger()

    def __init__(
        self,
        run_unawaited: RunOwn,
        read: Read,
        kept: Callable[[bytes, FileVersion, bytes | None], None],
    ) -> None:
        self._run_unawaited = run_unawaited
        self._read = read
        self._kept = kept
        self._waiting: dict[bytes, tuple[str, FileVersion]] = {}
        self._is_reading = False

    def wish(self, key: bytes, path: str, stamp: FileVersion) -> None:
        """Have this version read, once it is its turn."""
        if key in self._waiting or len(self._waiting) >= MAX_WAITING:
            return
        self._waiting[key] = path, stamp
        if not self._is_reading:
            self._next()

    def _next(self) -> None:
        key, (path, stamp) = next(iter(self._waiting.items()))
        self._is_reading = True
        reading: Deferred[bytes | None] = self._run_unawaited(self._read, path, stamp)
        reading.addErrback(self._failed).addBoth(self._done, key, stamp)

    def _done(self, result: Any, key: bytes, stamp: FileVersion) -> None:
        self._is_reading = False
        del self._waiting[key]
        if not isinstance(result, Failure):
            self._kept(key, stamp, result)
        if self._waiting:
            self._next()

    def _failed(self, failure: Failure) -> Failure | None:
        """None for a file that cannot be read; a failure where the machine cannot now."""
        if failure.check(Unavailable):
            return failure
        if not failure.check(OSError):
            self.log.failure("Reading a file to keep it failed", failure)
        return None
