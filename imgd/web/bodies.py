"""The bytes of a body, each from the version of the file that was promised."""

from __future__ import annotations

from typing import Final, cast

from imgd.core.ranges import Slice
from imgd.files.disk import OpenFile

# Read and handed at once to a transport that keeps what it cannot send, in bytes.
CHUNK: Final = 64 * 1024
# The last bytes of a body are never sent before the file was found unchanged after all others.
LAST: Final = 1024


class FileChanged(Exception):
    """The file is no longer what was promised."""


class FileBody:
    """The bytes of a plan, in order and each from one version of the file.

    The file is asked after each read whether it changed: what was read before it did is whole, and
    what was read after is never handed on.
    """

    def __init__(self, parts: tuple[bytes | Slice, ...], file: OpenFile) -> None:
        self._parts = [part for part in reversed(parts) if not _is_empty(part)]
        self.file = file

    def next_chunk(self) -> bytes:
        """The next bytes, b"" after the last. FileChanged where they cannot be kept to the promise.

        At most ``CHUNK`` of them where they come from the file.
        """
        if not self._parts:
            return b""
        if self.is_next_literal():
            return cast(bytes, self._parts.pop())
        data = self.peek(CHUNK)
        self.skip(len(data))
        return data

    def read_all(self) -> bytes:
        """All of a small body."""
        return b"".join(iter(self.next_chunk, b""))

    def is_next_literal(self) -> bool:
        """Whether what comes next is not from the file; there may be nothing."""
        return not (self._parts and isinstance(self._parts[-1], Slice))

    def peek(self, limit: int) -> bytes:
        """At most ``limit`` of the next bytes from the file; they come again unless skipped."""
        part = cast(Slice, self._parts[-1])
        try:
            data = self.file.read(part.offset, min(part.length, limit))
        except OSError as error:
            raise FileChanged from error
        if not data:
            raise FileChanged
        self.check()
        return data

    def slice_to_send(self) -> Slice | None:
        """What may go out from the file unseen, None where the next bytes must be read."""
        part = self._parts[-1] if self._parts else None
        if isinstance(part, Slice) and part.length > LAST:
            return Slice(part.offset, part.length - LAST)
        return None

    def skip(self, length: int) -> None:
        """So many bytes of the present part are on their way."""
        part = cast(Slice, self._parts.pop())
        if length < part.length:
            self._parts.append(Slice(part.offset + length, part.length - length))

    def check(self) -> None:
        """FileChanged where the file is not the one that was opened."""
        try:
            intact = self.file.is_unchanged()
        except OSError as error:
            raise FileChanged from error
        if not intact:
            raise FileChanged

    def close(self) -> None:
        """Give the file back."""
        self.file.close()


def _is_empty(part: bytes | Slice) -> bool:
    return not (part.length if isinstance(part, Slice) else part)
