"""Bytes of a file that cannot change unseen, not even through a shared mapping.

Who stores through ``mmap`` moves a file's times with the first store to a page, and with no later
one until that page was written back. Write-back makes the page read-only again, so that the next
store faults, and the fault moves the change time before it lets the store through
(``file_update_time`` in a file system's ``page_mkwrite``). So what is read after a write-back that
left the times alone shows in the times once it changes.
"""

from __future__ import annotations

import os
from typing import Final

from imgd.files.disk import OpenFile
from imgd.files.versions import FileVersion, reopen, version_of

# Tried on Linux 6.18, each with stores before and after fdatasync. tmpfs and ramfs never write
# back; overlay was seen to do what lies under it does, which may be tmpfs and cannot be found out;
# files on network file systems are stored to elsewhere.
KEEPS_TIMES: Final = frozenset({"ext2", "ext3", "ext4", "xfs", "btrfs"})


def read(path: str, version: FileVersion) -> bytes | None:
    """The whole of this version, which had settled when this was called; another version, or
    the same bytes, from now on. None if that cannot be promised. Blocks for the disk.
    """
    file = reopen(path, version)
    if file is None:
        return None
    try:
        return _read(file, version) if keeps_times(file.fd) else None
    finally:
        file.close()


def _read(file: OpenFile, version: FileVersion) -> bytes | None:
    os.fdatasync(file.fd)
    data = file.read(0, version.size)  # after the write-back: stores until then left no trace
    return data if len(data) == version.size and version_of(file.fd) == version else None


def keeps_times(fd: int) -> bool:
    """Whether an open file lies on a file system that moves its times with every store.

    Not by device number: btrfs gives each subvolume one that no mount has.
    """
    try:
        with open(f"/proc/self/fdinfo/{fd}", encoding="ascii") as info:
            mount = next((line.split()[1] for line in info if line.startswith("mnt_id:")), "")
        with open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as mounts:
            return any(kind_of(line, mount) in KEEPS_TIMES for line in mounts)
    except OSError:  # no Linux
        return False


def kind_of(line: str, mount: str) -> str:
    """The type of file system in a line of mountinfo (proc(5)), "" if it is another mount's."""
    fields, _, source = line.partition(" - ")
    return source.split(" ", 1)[0] if fields.split(" ", 1)[0] == mount else ""
