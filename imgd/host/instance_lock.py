"""One daemon per state folder, and how a client on the same machine finds it.

The daemon holds a lock on ``daemon.lock`` and writes into ``daemon.json`` where it listens. The
kernel frees the lock however the daemon ends, so that a ``kill -9`` leaves nothing in the way.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

import msgspec
from filelock import FileLock, Timeout

from imgd.errors import StartError
from imgd.host.atomic_files import write_file

# A client checks by taking the lock, for microseconds: a daemon that starts then tries again.
TIMEOUT: Final = 0.2  # seconds


class RunningDaemon(msgspec.Struct, frozen=True, kw_only=True):
    """A running daemon: its URLs, the path of the CA certificate that it made, if it did, and when
    it started (wall seconds since the epoch).
    """

    pid: int
    urls: list[str]
    ca: str | None
    started_at: float


class InstanceLock:
    """The state folder, held by this process until it is released or the process ends."""

    def __init__(self, state_dir: str, lock: FileLock) -> None:
        self._path = _daemon_file(state_dir)
        self._lock = lock

    def publish(self, urls: Sequence[str], ca: str | None) -> None:
        """Write for local clients where the daemon listens; OSError if that fails."""
        content = {"pid": os.getpid(), "urls": list(urls), "ca": ca, "started_at": time.time()}
        # json and not msgspec: the path of ``ca`` may hold surrogates (PEP 383).
        write_file(self._path, json.dumps(content).encode("ascii") + b"\n", mode=0o600)

    def release(self) -> None:
        """Give the state folder back. A second release does nothing."""
        if self._lock.is_locked:
            self.unpublish()
            self._lock.release()

    def unpublish(self) -> None:
        """Remove what ``publish`` wrote."""
        with suppress(OSError):
            os.remove(self._path)


def acquire(state_dir: str) -> InstanceLock:
    """Lock a state folder that exists, or StartError, which says who holds it.

    To be called in the process that serves: a lock does not follow a fork. A folder of another user
    is refused before anything in it is touched: its owner can read, and replace, all that it holds.
    """
    _refuse_foreign(state_dir)
    lock = _lock(state_dir)
    try:
        lock.acquire(timeout=TIMEOUT, poll_interval=TIMEOUT / 10)
    except Timeout:
        raise StartError(_conflict(state_dir)) from None
    except OSError as error:
        raise StartError(f"The state folder {state_dir} cannot be used: {error.strerror}.") from (
            error
        )
    instance_lock = InstanceLock(state_dir, lock)
    instance_lock.unpublish()  # what a daemon that was killed left
    return instance_lock


def find(state_dir: str) -> RunningDaemon | None:
    """The daemon that runs on a state folder; None if none does, or it is still starting."""
    daemon = _read(state_dir)
    return daemon if daemon is not None and _is_held(state_dir) else None


def _refuse_foreign(state_dir: str) -> None:
    """StartError if the folder is not this process's; Windows has no such owners."""
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


def _daemon_file(state_dir: str) -> str:
    return os.path.join(state_dir, "daemon.json")


def _lock(state_dir: str) -> FileLock:
    # The file stays when the lock is released: removing it would let two hold "it" at once.
    return FileLock(os.path.join(state_dir, "daemon.lock"), mode=0o600, thread_local=False)


def _conflict(state_dir: str) -> str:
    daemon = _read(state_dir)
    who = "" if daemon is None else f" ({', '.join([f'pid {daemon.pid}', *daemon.urls])})"
    return (
        f"Another imgd{who} holds the state folder {state_dir}; stop it, or give this one its own "
        "--state-dir."
    )


def _read(state_dir: str) -> RunningDaemon | None:
    try:
        with open(_daemon_file(state_dir), "rb") as file:
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
