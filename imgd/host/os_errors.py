"""What the system's errors mean to a client: not found, or a machine that cannot now."""

from __future__ import annotations

import errno
from typing import Final

from imgd.core import health
from imgd.errors import ImgdError, Unavailable

_NO_DESCRIPTOR: Final = frozenset((errno.EMFILE, errno.ENFILE))
# The disk, the network below it, or memory; ESTALE is NFS's file handle of a server that went away.
_FAILED: Final = frozenset((errno.EIO, errno.ENOMEM, errno.ETIMEDOUT, errno.ENOTCONN)) | frozenset(
    number for name in ("ESTALE", "EHOSTDOWN") if (number := getattr(errno, name, None))
)


def is_transient(error: OSError) -> bool:
    """Whether there was no descriptor left, so that the same may succeed soon."""
    return error.errno in _NO_DESCRIPTOR


def to_error(error: BaseException, otherwise: ImgdError) -> ImgdError:
    """The error to raise: Unavailable if the machine is at fault, else ``otherwise``.

    So nobody takes a file for gone that only could not be opened.
    """
    number = getattr(error, "errno", None)
    if number in _NO_DESCRIPTOR:
        return Unavailable("imgd has no file descriptor left. Try again.", health.DESCRIPTORS)
    if number in _FAILED:
        return Unavailable("The disk failed. Try again.", health.READS)
    return otherwise
