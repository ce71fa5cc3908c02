"""Files that are whole or not there: a temporary name, fsync, rename, fsync of the folder."""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from collections.abc import Iterable
from typing import Final

_PREFIX: Final = ".imgd-"
_SUFFIX: Final = ".tmp"
_CREATE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)


def write_file(path: str, data: bytes, mode: int = 0o600) -> None:
    """Put ``data`` at ``path``, as :func:`write_chunks` does."""
    write_chunks(path, (data,), mode)


def write_chunks(
    path: str, chunks: Iterable[bytes], mode: int = 0o600, *, lasts: bool = True
) -> None:
    """Put ``chunks`` at ``path`` in one step; a reader, or a crash, sees the old file or the new.

    The file has ``mode`` (less the umask) from its first byte. An ``OSError``, a full disk among
    them, or an error in ``chunks`` leaves the old file as it was and no temporary one behind. If it
    need not outlive a loss of power (not ``lasts``), nothing is waited for, and it may be cut then.
    """
    folder = os.path.dirname(os.path.abspath(path))
    temporary = os.path.join(folder, f"{_PREFIX}{secrets.token_hex(8)}{_SUFFIX}")
    fd = os.open(temporary, _CREATE, mode)
    try:
        with open(fd, "wb") as file:
            file.writelines(chunks)
            file.flush()
            if lasts:
                os.fsync(fd)
        os.replace(temporary, path)
    except BaseException:
        remove(temporary)
        raise
    if lasts:
        _sync_folder(folder)


def remove(path: str) -> None:
    """Remove a file that need not be there."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)


def remove_leftovers(folder: str) -> None:
    """Remove the temporary files that a killed process left; only if nobody else is writing."""
    for name in os.listdir(folder):
        if name.startswith(_PREFIX) and name.endswith(_SUFFIX):
            remove(os.path.join(folder, name))


def rename(source: str, target: str) -> None:
    """Rename over whatever is at ``target``, in one step that outlives a loss of power."""
    os.replace(source, target)
    _sync_folder(os.path.dirname(os.path.abspath(target)))


def _sync_folder(folder: str) -> None:
    """Make renames in ``folder`` last, if the platform opens folders and its disk can."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    with contextlib.suppress(OSError):  # the rename is done: some network disks refuse the fsync
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


def make_private_folder(path: str) -> None:
    """Make ``path``, parents too, with mode 0700; one that is ours and laxer is tightened."""
    os.makedirs(path, mode=0o700, exist_ok=True)
    if not hasattr(os, "geteuid"):
        return
    st = os.stat(path)
    mode = stat.S_IMODE(st.st_mode)
    if st.st_uid == os.geteuid() and mode & 0o077:
        os.chmod(path, mode & ~0o077)
