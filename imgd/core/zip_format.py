"""Zip archives, piece by piece: PKWARE's APPNOTE.TXT 6.3, stored, with zip64 if it is needed.

Python's zipfile keeps some 600 bytes for each member until the end, and writes the directory in one
piece; here a member costs its checksum.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from struct import Struct
from typing import Final

from imgd.core.tar_format import Member

_LOCAL: Final = Struct("<4sHHHHHLLLHH")  # section 4.3.7
_DESCRIPTOR: Final = Struct("<4sLLL")  # 4.3.9
_DESCRIPTOR64: Final = Struct("<4sLQQ")
_CENTRAL: Final = Struct("<4sHHHHHHLLLHHHHHLL")  # 4.3.12
_END64: Final = Struct("<4sQHHLLQQQQ")  # 4.3.14
_LOCATOR: Final = Struct("<4sLQL")  # 4.3.15
_END: Final = Struct("<4sHHHHLLH")  # 4.3.16
_TIME: Final = Struct("<HHBl")  # Info-ZIP's extended timestamp: UTC, in whole seconds
_TIME_ID: Final = 0x5455
_SIZE64: Final = 4  # bytes of an extra field's id and length
_SIZES64: Final = 1  # the id of the zip64 extra field, 4.5.3
_MAX16: Final = 0xFFFF
_MAX32: Final = 0xFFFFFFFF  # this value says: look into the zip64 field
_UTF8: Final = 0x800  # flags, 4.4.4
_HAS_DESCRIPTOR: Final = 0x8  # size and checksum follow the content
_PLAIN, _ZIP64 = 20, 45  # the version that is needed to extract, 4.4.3
_MADE_BY_UNIX: Final = 3 << 8 | _ZIP64
_FOLDER_MODE: Final = 0o040755 << 16 | 0x10  # of Unix, and DOS's bit for a folder
_FILE_MODE: Final = 0o100644 << 16
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST_DOS: Final = datetime(1980, 1, 1, tzinfo=UTC)
_LAST_DOS: Final = datetime(2107, 12, 31, 23, 59, 58, tzinfo=UTC)
_DOS_RANGE: Final = [int((end - _EPOCH).total_seconds()) for end in (_FIRST_DOS, _LAST_DOS)]
_NOT_UTF8: Final = re.compile("[\udc80-\udcff]")


class ZipFormat:
    """Heads, tails, directory and end of a zip archive.

    Bytes of a name that are not UTF-8 are written as ``%FF``: the format has no way to keep them.
    """

    suffix: Final = "zip"
    media_type: Final = b"application/zip"
    has_directory: Final = True

    @staticmethod
    def head(member: Member) -> bytes:
        """What comes before the member's content."""
        name, time = _name(member), _extended_time(member)
        is_large = _is_large(member)
        sizes = _field64(0, 0) if is_large else b""
        size = _MAX32 if is_large else 0
        version = _ZIP64 if is_large else _PLAIN
        flags, extra = _flags(member), sizes + time
        dos_time, dos_date = _dos_time(member)
        return (
            _LOCAL.pack(
                *(b"PK\3\4", version, flags, 0, dos_time, dos_date),
                *(0, size, size, len(name), len(extra)),
            )
            + name
            + extra
        )

    @staticmethod
    def head_size(member: Member) -> int:
        sizes = _SIZE64 + 16 if _is_large(member) else 0
        return _LOCAL.size + _name_size(member) + sizes + _time_size(member)

    @staticmethod
    def tail(member: Member, crc: int) -> bytes:
        """What comes after the content: its checksum (CRC-32) and size."""
        if member.is_folder:
            return b""
        descriptor = _DESCRIPTOR64 if _is_large(member) else _DESCRIPTOR
        return descriptor.pack(b"PK\7\x08", crc, member.size, member.size)

    @staticmethod
    def tail_size(member: Member) -> int:
        if member.is_folder:
            return 0
        return _DESCRIPTOR64.size if _is_large(member) else _DESCRIPTOR.size

    @staticmethod
    def directory_entry(member: Member, crc: int, offset: int) -> bytes:
        """The member in the directory; ``offset`` is that of its head."""
        name, time = _name(member), _extended_time(member)
        sizes = (member.size, member.size) if _is_large(member) else ()
        offsets = (offset,) if offset >= _MAX32 else ()
        extra = (_field64(*sizes, *offsets) if sizes or offsets else b"") + time
        size = min(member.size, _MAX32)
        version = _ZIP64 if sizes or offsets else _PLAIN
        mode = _FOLDER_MODE if member.is_folder else _FILE_MODE
        head = _CENTRAL.pack(
            *(b"PK\1\2", _MADE_BY_UNIX, version, _flags(member), 0, *_dos_time(member)),
            *(crc, size, size, len(name), len(extra), 0, 0, 0, mode, min(offset, _MAX32)),
        )
        return head + name + extra

    @staticmethod
    def entry_size(member: Member, offset: int) -> int:
        numbers = 16 * _is_large(member) + 8 * (offset >= _MAX32)
        sizes = _SIZE64 + numbers if numbers else 0
        return _CENTRAL.size + _name_size(member) + sizes + _time_size(member)

    @staticmethod
    def end(count: int, directory_size: int, offset: int) -> bytes:
        """What ends the archive; ``offset`` is that of the directory, which stands before it."""
        large = b""
        if count >= _MAX16 or offset >= _MAX32 or directory_size >= _MAX32:
            large = _END64.pack(
                *(b"PK\6\6", _END64.size - 12, _MADE_BY_UNIX, _ZIP64, 0, 0),
                *(count, count, directory_size, offset),
            ) + _LOCATOR.pack(b"PK\6\7", 0, offset + directory_size, 1)
        shown = min(count, _MAX16)
        sizes = (min(directory_size, _MAX32), min(offset, _MAX32))
        return large + _END.pack(b"PK\5\6", 0, 0, shown, shown, *sizes, 0)


def _is_large(member: Member) -> bool:
    return member.size >= _MAX32


def _name_size(member: Member) -> int:
    name = member.name
    return len(name) + member.is_folder if name.isascii() else len(_name(member))


def _time_size(member: Member) -> int:
    return _TIME.size if -(2**31) <= member.mtime < 2**31 else 0


def _flags(member: Member) -> int:
    return _UTF8 if member.is_folder else _UTF8 | _HAS_DESCRIPTOR


def _name(member: Member) -> bytes:
    name = _NOT_UTF8.sub(lambda match: f"%{ord(match[0]) - 0xDC00:02X}", member.name)
    return name.encode("utf-8") + b"/" * member.is_folder


def _field64(*numbers: int) -> bytes:
    return Struct(f"<HH{len(numbers)}Q").pack(_SIZES64, 8 * len(numbers), *numbers)


def _extended_time(member: Member) -> bytes:
    """The time in UTC; nothing for one that 32 bits do not hold: DOS's is there as well."""
    if not _time_size(member):
        return b""
    return _TIME.pack(_TIME_ID, _TIME.size - 4, 1, member.mtime)


def _dos_time(member: Member) -> tuple[int, int]:
    """Time and date as DOS has them, to two seconds: here in UTC."""
    first, last = _DOS_RANGE
    when = _EPOCH + timedelta(seconds=max(first, min(member.mtime, last)))
    time = when.hour << 11 | when.minute << 5 | when.second // 2
    return time, (when.year - 1980) << 9 | when.month << 5 | when.day
