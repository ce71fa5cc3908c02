"""The members of an archive in little memory, and how long it will be, before any of it is sent."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from imgd.core.conditional import NANOSECONDS
from imgd.core.folder_entries import FolderEntries
from imgd.core.listing import Entry
from imgd.core.tar_format import Member, TarFormat
from imgd.core.zip_format import ZipFormat
from imgd.errors import BadRequest, TooLarge

ArchiveFormat = type[TarFormat] | type[ZipFormat]
FORMATS: Final[dict[str, ArchiveFormat]] = {"tar": TarFormat, "zip": ZipFormat}
MAX_MEMBERS: Final = 2_000_000  # a table of so many takes some 120 MB


def parse_format(name: str) -> ArchiveFormat:
    """The format of this name, or BadRequest."""
    if name not in FORMATS:
        raise BadRequest(f"'archive' must be one of {', '.join(FORMATS)}.")
    return FORMATS[name]


class ArchiveLayout:
    """What an archive holds, below a folder ``top`` of its own. ``size`` is its length in bytes.

    TooLarge if the files in it have more than ``limit`` bytes, or there are more than
    ``max_members``.
    """

    def __init__(
        self, archive_format: ArchiveFormat, top: str, limit: int, max_members: int = MAX_MEMBERS
    ) -> None:
        self.format = archive_format
        self._top = top
        self._limit = limit
        self._max_members = max_members
        self._entries = FolderEntries()
        self._content = 0
        self._offset = 0
        self._directory_size = 0

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, path: str, entry: Entry) -> None:
        """Add a file or folder; ``path`` leads to it, with slashes, "" to the top itself."""
        if len(self) >= self._max_members:
            raise TooLarge(
                f"This folder holds more than {self._max_members:,} files and folders, which is as "
                "many as one archive takes: take its folders one by one."
            )
        self._content += entry.size
        if self._content > self._limit:
            raise TooLarge(
                f"This folder holds more than the {_gigabytes(self._limit)} that an archive may: "
                "take its folders one by one, or start imgd with a higher --archive-limit "
                "(IMGD_ARCHIVE_LIMIT)."
            )
        stored = Entry(path, *entry[1:])
        self._entries.add(stored)
        member = self._member(stored)
        self._directory_size += self.format.entry_size(member, self._offset)
        self._offset += self.span(member)

    def span(self, member: Member) -> int:
        """How many bytes a member takes, without its entry in the directory."""
        return self.format.head_size(member) + member.size + self.format.tail_size(member)

    def members(self) -> Iterator[tuple[str, Member]]:
        """The path of each member, as it was added, and the member."""
        for number in range(len(self)):
            entry = self._entries.entry(number)
            yield entry.name, self._member(entry)

    def _member(self, entry: Entry) -> Member:
        name = f"{self._top}/{entry.name}" if entry.name else self._top
        return Member(name, entry.is_folder, entry.size, entry.mtime_ns // NANOSECONDS)

    def end(self) -> bytes:
        """What ends the archive."""
        return self.format.end(len(self), self._directory_size, self._offset)

    @property
    def size(self) -> int:
        return self._offset + self._directory_size + len(self.end())


def _gigabytes(size: int) -> str:
    return f"{size / 1e9:g} GB" if size >= 1_000_000_000 else f"{size / 1e6:g} MB"
