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
        return _plain_head(member) if _is_plain(member) else full_head(member)

    @staticmethod
    def head_size(member: Member) -> int:
        """The length of the head: one block, unless something has no room in it."""
        return tarfile.BLOCKSIZE if _is_plain(member) else len(full_head(member))

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


def full_head(member: Member) -> bytes:
    """A head by tarfile, with what has no room in a block before it."""
    info = tarfile.TarInfo(member.name)
    info.type = tarfile.DIRTYPE if member.is_folder else tarfile.REGTYPE
    info.mode = 0o755 if member.is_folder else 0o644
    info.size, info.mtime = member.size, member.mtime
    return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")


def _is_plain(member: Member) -> bool:
    return (
        member.name.isascii()
        and len(member.name) + member.is_folder <= _MAX_NAME
        and 0 <= member.mtime < _MAX_NUMBER
        and member.size < _MAX_NUMBER
    )


# A nameless file, and a folder.
_EMPTY_HEADS: Final = [full_head(Member("", is_folder, 0, 0)) for is_folder in (False, True)]


def _plain_head(member: Member) -> bytes:
    """The same block as tarfile's, which takes ten times as long: a million files are common."""
    name = member.name.encode("ascii") + b"/" * member.is_folder
    head = bytearray(_EMPTY_HEADS[member.is_folder])
    head[: len(name)] = name
    head[124:148] = b"%011o\0%011o\0" % (member.size, member.mtime)
    head[148:156] = b" " * 8
    head[148:156] = b"%06o\0 " % sum(head)  # the checksum, taken with spaces in its place
    return bytes(head)
