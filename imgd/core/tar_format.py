"""Tar archives, piece by piece: POSIX.1-2001 (pax), which every tar reads."""

from __future__ import annotations

import tarfile
from typing import Final, NamedTuple

_MAX_NAME: Final = 100  # bytes of a name in a plain header
_MAX_NUMBER: Final = 8**11  # sizes and times below it have room in a plain header


class Member(NamedTuple):
    """A file or folder of an archive, under its name there, with slashes between and none at the
    end. ``size`` is in bytes, 0 for a folder; ``mtime`` in whole seconds since the epoch.
    """

    name: str
    is_folder: bool
    size: int
    mtime: int


class TarFormat:
    """Heads, tails and the end of a tar archive.

    Bytes of a name that are not UTF-8 stay as they are (``hdrcharset=BINARY``).
    """

    suffix: Final = "tar"
    media_type: Final = b"application/x-tar"
    has_directory: Final = False

    @staticmethod
    def head(member: Member) -> bytes:
        """What comes before the member's content."""
        info = tarfile.TarInfo(member.name)
        info.type = tarfile.DIRTYPE if member.is_folder else tarfile.REGTYPE
        info.mode = 0o755 if member.is_folder else 0o644
        info.size, info.mtime = member.size, member.mtime
        return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")

    @classmethod
    def head_size(cls, member: Member) -> int:
        """The length of the head: one block, unless something has no room in it."""
        is_plain = (
            member.name.isascii()
            and len(member.name) + member.is_folder <= _MAX_NAME
            and 0 <= member.mtime < _MAX_NUMBER
            and member.size < _MAX_NUMBER
        )
        return tarfile.BLOCKSIZE if is_plain else len(cls.head(member))

    @classmethod
    def tail(cls, member: Member, _crc: int) -> bytes:
        """What comes after the content: it fills the last block."""
        return bytes(cls.tail_size(member))

    @staticmethod
    def tail_size(member: Member) -> int:
        return -member.size % tarfile.BLOCKSIZE

    @staticmethod
    def directory_entry(_member: Member, _crc: int, _offset: int) -> bytes:
        """A tar archive has no directory."""
        return b""

    @staticmethod
    def entry_size(_member: Member, _offset: int) -> int:
        return 0

    @staticmethod
    def end(_count: int, _directory_size: int, offset: int) -> bytes:
        """Two empty blocks, and more, so that the archive is whole records (pax, POSIX.1-2017)."""
        blocks = 2 * tarfile.BLOCKSIZE
        return bytes(blocks + -(offset + blocks) % tarfile.RECORDSIZE)
