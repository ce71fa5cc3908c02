"""The bytes of a body, all of them from the version of the file that its head describes."""

from __future__ import annotations

from typing import Final, cast

from imgd.core.ranges import Slice
from imgd.files.disk import OpenFile

# Bytes that are read at once for a transport that buffers what it cannot send.
CHUNK: Final = 64 * 1024
# The last bytes of a body, which are sent only if the file is unchanged after all others are sent.
LAST: Final = 1024


class FileChanged(Exception):
    """The file is not the one that the head describes any more."""


class FileBody:
    """The bytes of a plan's parts, in order and all from one version of the file.

    After each read it checks whether the file changed, and raises FileChanged instead of returning
    bytes that were read after a change.
    """

    kept = LAST  # bytes that the kernel does not send; 0 if others follow this body

    def __init__(self, parts: tuple[bytes | Slice, ...], file: OpenFile) -> None:
        self._parts = [part for part in reversed(parts) if not _is_empty(part)]
        self.file = file

    def next_chunk(self) -> bytes:
        """The next bytes, at most ``CHUNK`` of them from the file; b"" after the last."""
        if not self._parts:
            return b""
        if self.is_next_literal():
            return cast(bytes, self._parts.pop())
        data = self.peek(CHUNK)
        self.skip(len(data))
        if self._parts and self.is_next_literal():
            data += cast(bytes, self._parts.pop())  # one write for both
        return data

    def read_all(self) -> bytes:
        """The whole of a small body."""
        return b"".join(iter(self.next_chunk, b""))

    def is_next_literal(self) -> bool:
        """Whether the next bytes are not from the file, or there are none."""
        return not (self._parts and isinstance(self._parts[-1], Slice))

    def peek(self, limit: int) -> bytes:
        """At most ``limit`` of the next bytes, from the file; ``skip`` moves on."""
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
        """What the kernel may send from the file; None if the next bytes must be read here."""
        part = self._parts[-1] if self._parts else None
        if isinstance(part, Slice) and part.length > self.kept:
            return Slice(part.offset, part.length - self.kept)
        return None

    def skip(self, length: int) -> None:
        part = cast(Slice, self._parts.pop())
        if length < part.length:
            self._parts.append(Slice(part.offset + length, part.length - length))

    def check(self) -> None:
        """Raise FileChanged unless the file is the one that was opened."""
        try:
            intact = self.file.is_unchanged()
        except OSError as error:
            raise FileChanged from error
        if not intact:
            raise FileChanged

    def close(self) -> None:
        self.file.close()


def _is_empty(part: bytes | Slice) -> bool:
    return not (part.length if isinstance(part, Slice) else part)
