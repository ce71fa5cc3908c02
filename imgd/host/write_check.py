"""Whether a folder can be written to again, after it could not."""

from __future__ import annotations

import os
from contextlib import suppress

_SIZE = 64 * 1024  # bytes: what storing a change may need for its journal


def check_writable(folder: str) -> None:
    """Write a file to the disk, and remove it; OSError if that fails. Blocks."""
    path = os.path.join(folder, ".probe")
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            if os.write(fd, bytes(_SIZE)) < _SIZE:
                raise OSError("the disk is full")
            os.fsync(fd)
        finally:
            os.close(fd)
    finally:
        with suppress(OSError):
            os.remove(path)
