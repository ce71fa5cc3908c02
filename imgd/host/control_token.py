"""The bearer token of the control API, made once and kept in the state folder."""

from __future__ import annotations

import os
import re
import secrets
from typing import Final

from imgd.errors import StartError
from imgd.host import secret_file
from imgd.host.atomic import write_file

_BYTES: Final = 32  # of randomness in a made token: 43 characters
_MAX_SIZE: Final = 4096  # bytes that are read of the file
# RFC 6750 section 2.1, b64token. Shorter than 16 is a file that was cut; the upper bound is below
# _MAX_SIZE, so that what was not read to its end is no token.
_TOKEN: Final = re.compile(rb"[A-Za-z0-9._~+/-]{16,1024}=*")


def path(state_dir: str) -> str:
    """Where the token lies."""
    return os.path.join(state_dir, "token")


def read_or_make(state_dir: str) -> str:
    """The token in the state folder, made where there is none; StartError as for ``read``.

    To be called by who holds the folder (``running.hold``): two at once could make two.
    """
    token = read(state_dir)
    if token is not None:
        return token
    token = secrets.token_urlsafe(_BYTES)
    try:
        write_file(path(state_dir), token.encode("ascii") + b"\n", mode=0o600)
    except OSError as error:
        raise StartError(
            f"The token cannot be written to {path(state_dir)}: {error.strerror}."
        ) from error
    return token


def read(state_dir: str) -> str | None:
    """The token in the state folder, None where there is none.

    StartError where it cannot be read, is no token, or could be read by other users.
    """
    where = path(state_dir)
    content = secret_file.read(where, "The token", _MAX_SIZE)
    if content is None:
        return None
    content = content.strip()
    if not _TOKEN.fullmatch(content):
        raise StartError(
            f"The token {where} is empty or malformed: delete it, so that a new one is made."
        )
    return content.decode("ascii")
