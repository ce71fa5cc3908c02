"""One daemon per state folder, and how a client on the same machine finds it.

The daemon holds a lock on ``daemon.lock`` and says in ``daemon.json`` where it listens. The kernel
frees the lock however the daemon ends, so that nothing a ``kill -9`` leaves stands in the way.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Final

import msgspec
import platformdirs
from filelock import FileLock, Timeout

from imgd.errors import StartError
from imgd.host.atomic import write_file

# A client looks by taking the lock, for microseconds: a daemon that starts then tries again.
PATIENCE: Final = 0.2  # seconds


class RunningDaemon(msgspec.Struct, frozen=True, kw_only=True):
    """A running daemon: its URLs, its CA certificate's path where it made one, and when it started
    (wall seconds since the epoch).
    """

    pid: int
    urls: list[str]
    ca: str | None
    started_at: float


class InstanceLock:
    """The state folder, held by this process until it is released or the process ends."""

    def __init__(self, state_dir: str, lock: FileLock) -> None:
        self._announcement = _announcement(state_dir)
        self._lock = lock

    def publish(self, urls: Sequence[str], ca: str | None) -> None:
        """Tell local clients where the daemon listens; OSError where it cannot be written."""
        said = {"pid": os.getpid(), "urls": list(urls), "ca": ca, "started_at": time.time()}
        # json and not msgspec: the path of ``ca`` may hold surrogates (PEP 383).
        write_file(self._announcement, json.dumps(said).encode("ascii") + b"\n", mode=0o600)

    def release(self) -> None:
        """Let another daemon have the state folder. A second release does nothing."""
        if self._lock.is_locked:
            self.unpublish()
            self._lock.release()

    def unpublish(self) -> None:
        """Take the announcement back."""
        with suppress(OSError):
            os.remove(self._announcement)


def hold(state_dir: str) -> InstanceLock:
    """Hold a state folder that exists, or StartError, which says who holds it.

    To be called in the process that serves: a lock does not follow a fork. A folder of another user
    is refused before anything in it is touched: its owner can read, and replace, all that it holds.
    """
    _refuse_foreign(state_dir)
    lock = _lock(state_dir)
    try:
        lock.acquire(timeout=PATIENCE, poll_interval=PATIENCE / 10)
    except Timeout:
        raise StartError(_conflict(state_dir)) from None
    except OSError as error:
        raise StartError(f"The state folder {state_dir} cannot be used: {error.strerror}.") from (
            error
        )
    held = InstanceLock(state_dir, lock)
    held.unpublish()  # what a daemon that was killed left
    return held


def find(state_dir: str) -> RunningDaemon | None:
    """The daemon that runs on a state folder; None where none does, or it is still starting."""
    said = _read(state_dir)
    return said if said is not None and _is_held(state_dir) else None


def default_state_dir(environ: Mapping[str, str]) -> str:
    """The state folder where no option names one: the same for the daemon and its clients.

    ``STATE_DIRECTORY`` is systemd's, and may list several (systemd.exec(5)): the first counts.
    """
    named = environ.get("IMGD_STATE_DIR") or environ.get("STATE_DIRECTORY", "").split(":")[0]
    if named:
        return os.path.abspath(os.path.expanduser(named))
    return platformdirs.user_state_dir("imgd", appauthor=False)


def _refuse_foreign(state_dir: str) -> None:
    """StartError where the folder is not this process's; Windows has no such owners."""
    if not hasattr(os, "geteuid"):
        return
    try:
        owner, own = os.stat(state_dir).st_uid, os.geteuid()
    except OSError as error:
        raise StartError(f"The state folder {state_dir} cannot be used: {error.strerror}.") from (
            error
        )
    if owner != own:
        raise StartError(
            f"The state folder {state_dir} belongs to user {owner}, and imgd runs as user {own}: "
            f"name another by --state-dir, or run as root: chown -R {own} {state_dir}"
        )


def _announcement(state_dir: str) -> str:
    return os.path.join(state_dir, "daemon.json")


def _lock(state_dir: str) -> FileLock:
    # The file stays when the lock is released: removing it would let two hold "it" at once.
    return FileLock(os.path.join(state_dir, "daemon.lock"), mode=0o600, thread_local=False)


def _conflict(state_dir: str) -> str:
    said = _read(state_dir)
    who = "" if said is None else f" ({', '.join([f'pid {said.pid}', *said.urls])})"
    return (
        f"Another imgd{who} holds the state folder {state_dir}; stop it, or give this one its own "
        "--state-dir."
    )


def _read(state_dir: str) -> RunningDaemon | None:
    try:
        with open(_announcement(state_dir), "rb") as file:
            return msgspec.convert(json.load(file), RunningDaemon)
    except (OSError, ValueError):  # msgspec's and json's errors are ValueErrors
        return None


def _is_held(state_dir: str) -> bool:
    lock = _lock(state_dir)
    if not os.path.exists(lock.lock_file):
        return False
    try:
        lock.acquire(blocking=False)
    except Timeout:
        return True
    except OSError:
        return False
    lock.release()
    return False
