"""What tests of the file system need of the machine."""

from __future__ import annotations

import contextlib
import gc
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from unittest import SkipTest

from twisted.trial.unittest import SynchronousTestCase

NOBODY = 65534


@contextmanager
def unprivileged() -> Iterator[None]:
    """Be an ordinary user for a while: permissions mean nothing to root."""
    if os.name != "posix":
        raise SkipTest("POSIX permissions")
    if os.geteuid() != 0:
        yield
        return
    if not hasattr(os, "setresuid"):
        raise SkipTest("root, to whom permissions mean nothing, and no way to be someone else")
    os.setresuid(NOBODY, NOBODY, 0)
    try:
        yield
    finally:
        os.setresuid(0, 0, 0)


def open_descriptors() -> set[str]:
    """What this process has open, if the machine says it. What other tests left is closed first,
    as it would be at any time.
    """
    gc.collect()
    folder = next((path for path in ("/proc/self/fd", "/dev/fd") if os.path.isdir(path)), None)
    return set(os.listdir(folder)) if folder else set()


def open_files() -> list[str]:
    """The paths that this process has open, if the machine says them."""
    paths = []
    for fd in open_descriptors():
        with contextlib.suppress(OSError):  # it was that of the folder that lists them
            paths.append(os.readlink(f"/proc/self/fd/{fd}"))
    return paths


def public_folder(case: SynchronousTestCase) -> str:
    """A folder that every user may enter, until the test is over; its real path."""
    path = os.path.realpath(tempfile.mkdtemp(prefix="imgd-"))
    case.addCleanup(shutil.rmtree, path)
    os.chmod(path, 0o755)
    return path
