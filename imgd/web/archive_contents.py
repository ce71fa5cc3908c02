"""What an archive of a folder holds, and its bytes, piece by piece. All of it blocks."""

from __future__ import annotations

import zlib
from array import array
from collections.abc import Iterator
from contextlib import closing
from time import time_ns
from typing import Final

from imgd.core.archive_layout import ArchiveLayout
from imgd.core.conditional import FileFacts
from imgd.core.listing import Entry
from imgd.core.tar_format import Member
from imgd.errors import NotFound
from imgd.files import disk
from imgd.files.disk import Root
from imgd.files.folder_walk import walk
from imgd.web.bodies import FileChanged
from imgd.web.escape import escape_text

PIECE: Final = 256 * 1024  # bytes read at once: a millisecond on a thread
STEP: Final = 2_000  # entries read at once: some 20 ms on a thread
NOTE: Final = "NOT IN THIS ARCHIVE.txt"  # a file that says what could not be read
MAX_NOTED: Final = 1_000  # names in it


class ArchiveContents:
    """The members of an archive, as they were when the folder was read, and the bytes of it."""

    def __init__(self, root: Root, names: tuple[str, ...], layout: ArchiveLayout) -> None:
        self.root = root
        self.layout = layout
        self._names = names
        self._entries = enumerate(walk(root, names, self._leave_out), 1)
        self._left_out: list[str] = []
        self._left_out_count = 0
        self._note = b""

    def read_some(self) -> bool:
        """Read ``STEP`` files and folders more, and their sizes; False after the last.

        NotFound, TooLarge or Unavailable.
        """
        for number, (path, entry) in self._entries:
            self.layout.add("/".join(path[len(self._names) :]), entry)
            if not number % STEP:
                return True
        self._add_note()
        return False

    def _leave_out(self, names: tuple[str, ...], reason: str) -> None:
        self._left_out_count += 1
        if len(self._left_out) < MAX_NOTED:
            path = escape_text("/".join(names[len(self._names) :]))
            self._left_out.append(f"{path}: {reason}")

    def _add_note(self) -> None:
        if not self._left_out:
            return
        more = self._left_out_count - len(self._left_out)
        lines = [*self._left_out, *([f"... and {more:,} more"] if more else [])]
        self._note = "".join(f"{line}\n" for line in lines).encode("utf-8")
        self.layout.add(NOTE, Entry(NOTE, False, len(self._note), time_ns()))

    def pieces(self) -> Iterator[bytes]:
        """The archive, in pieces of about ``PIECE`` bytes; FileChanged, or Unavailable, if a file
        is not what was read.
        """
        piece = bytearray()
        for part in self._parts():
            piece += part
            if len(piece) >= PIECE:
                yield bytes(piece)
                piece.clear()
        yield bytes(piece)

    def _parts(self) -> Iterator[bytes]:
        crcs = array("I")
        for number, (path, member) in enumerate(self.layout.members()):
            yield self.layout.format.head(member)
            crc = 0
            for data in self._content(number, path, member):
                crc = zlib.crc32(data, crc)
                yield data
            crcs.append(crc)
            yield self.layout.format.tail(member, crc)
        if self.layout.format.has_directory:
            yield from self._directory(crcs)
        yield self.layout.end()

    def _directory(self, crcs: array[int]) -> Iterator[bytes]:
        offset = 0
        for crc, (_, member) in zip(crcs, self.layout.members(), strict=True):
            yield self.layout.format.directory_entry(member, crc, offset)
            offset += self.layout.span(member)

    def _content(self, number: int, path: str, member: Member) -> Iterator[bytes]:
        if member.is_folder:
            return
        if self._note and number == len(self.layout) - 1:
            yield self._note
            return
        names, facts, offset = (*self._names, *path.split("/")), None, 0
        while offset < member.size or facts is None:
            data, facts = self._read(names, member, facts, offset)
            offset += len(data)
            yield data

    def _read(
        self, names: tuple[str, ...], member: Member, before: FileFacts | None, offset: int
    ) -> tuple[bytes, FileFacts]:
        """The next bytes of a file, all of one version, and the facts of it.

        It is opened for each piece, so that a client which reads slowly holds no descriptor.
        """
        try:
            with closing(disk.open_file(self.root, names)) as file:
                facts = file.facts
                data = file.read(offset, min(PIECE, member.size - offset))
                is_same = facts.size == member.size and _version(facts) == _version(before or facts)
                if not is_same or (not data and member.size) or not file.is_unchanged():
                    raise FileChanged(member.name)
        except (NotFound, OSError) as error:
            raise FileChanged(member.name) from error
        return data, facts


def _version(facts: FileFacts) -> tuple[int, int]:
    return facts.mtime_ns, facts.inode
