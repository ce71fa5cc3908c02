"""The key that links are signed with, made once and kept in the state folder."""

from __future__ import annotations

import os
import secrets
from typing import Final

from imgd.core.links import KEY_SIZE
from imgd.errors import StartError, Unavailable
from imgd.host import secret_file
from imgd.host.atomic import write_file

_WHAT: Final = "The signing key"


def path(state_dir: str) -> str:
    """Where the key lies."""
    return os.path.join(state_dir, "links.key")


def read_or_make(state_dir: str) -> bytes:
    """The key in the state folder, made where there is none.

    StartError where it cannot be read or made, is no key, or could be read by other users. To be
    called by who holds the folder (``running.hold``).
    """
    where = path(state_dir)
    key = secret_file.read(where, _WHAT, KEY_SIZE + 1)
    if key is None:
        try:
            return _make(state_dir)
        except OSError as error:
            raise StartError(f"{_WHAT} cannot be written to {where}: {error.strerror}.") from error
    if len(key) != KEY_SIZE:
        raise StartError(
            f"{_WHAT} {where} is empty or malformed: delete it, so that a new one is made."
        )
    return key


def renew(state_dir: str) -> bytes:
    """A new key in the old one's place, so that no link made before is good. Blocks.

    Unavailable where it cannot be written; the old one stays.
    """
    try:
        return _make(state_dir)
    except OSError as error:
        raise Unavailable(
            f"The links are not revoked, for a new key cannot be written: {error.strerror}."
        ) from error


def _make(state_dir: str) -> bytes:
    key = secrets.token_bytes(KEY_SIZE)
    write_file(path(state_dir), key, mode=0o600)
    return key
