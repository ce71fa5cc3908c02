"""Files that hold secrets: read where nobody else can read them, and refused where others can."""

from __future__ import annotations

import os
import stat
from typing import Final

from imgd.errors import StartError

_OTHERS: Final = 0o077  # every right of the group and of all others
EVERYBODY: Final = 0o007  # every right of those who are neither owner nor in the group
_IN_STATE_FOLDER: Final = ("token", "catalog.sqlite3")


def read(path: str, what: str, limit: int) -> bytes | None:
    """Up to ``limit`` bytes of a file, None where there is none.

    ``what`` is what it holds, as in "The token". StartError where it cannot be read, or could be
    read by other users: a secret that others may know is none.
    """
    try:
        with open(path, "rb") as file:
            is_open = is_open_to_others(file.fileno())
            content = file.read(limit)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StartError(f"{what} {path} cannot be read: {error.strerror}.") from error
    if is_open:
        raise StartError(
            f"{what} {path} can be read by other users: delete it, so that a new one is "
            f"made, or run: chmod 600 {path}"
        )
    return content


def is_open_to_others(file: str | int, rights: int = _OTHERS) -> bool:
    """Whether anybody but a file's owner has a right to it; OSError. Windows has no such bits."""
    return os.name == "posix" and bool(stat.S_IMODE(os.stat(file).st_mode) & rights)


def refuse_open(state_dir: str) -> None:
    """StartError, which names them all, where others can read secrets of the state folder.

    These are keys, the token and the catalog, whose paths are the operator's; certificates are for
    everybody.
    """
    where = [os.path.join(state_dir, n) for n in sorted(os.listdir(state_dir)) if _is_secret(n)]
    if found := [path for path in where if os.path.isfile(path) and is_open_to_others(path)]:
        raise StartError(
            f"Other users can read {', '.join(found)}: delete what they may have copied, or run: "
            f"chmod 600 {' '.join(found)}"
        )


def _is_secret(name: str) -> bool:
    return ".key" in name or name.startswith(_IN_STATE_FOLDER)
