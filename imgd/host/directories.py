"""What a load asks of the disk: may this directory be loaded, and which images does it hold."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from imgd.core import media
from imgd.core.names import Names
from imgd.errors import BadRequest, Forbidden, NotFound
from imgd.host.disk import Root, is_below

# Nothing in these is an image, and reading some of it acts on the machine.
SYSTEM_FOLDERS: Final = ("/proc", "/sys", "/dev")
# A folder changed this shortly before it was read may change again within the same timestamp:
# FAT counts in 2 s, Linux stamps in ticks of up to 10 ms.
_SETTLED_NS: Final = 2_000_000_000


@dataclass(frozen=True, slots=True)
class Policy:
    """Where loads are accepted.

    Relative directories are below ``base``. ``allowed`` are real paths, empty for anywhere but
    ``forbidden``, which are never accepted.
    """

    base: str
    allowed: tuple[str, ...] = ()
    forbidden: tuple[str, ...] = ()
    follow_symlinks: bool = False

    def root(self, directory: str, recursive: bool) -> Root:
        """A collection's root at this real path."""
        return Root(
            directory,
            images_only=True,
            recursive=recursive,
            follow_symlinks=self.follow_symlinks,
            forbidden=self.forbidden,
        )

    def check_place(self, real: str, given: str) -> None:
        """Forbidden where loads of this real path are not accepted, whether it is there or not."""
        if any(is_below(real, place) for place in (*SYSTEM_FOLDERS, *self.forbidden)):
            raise Forbidden(f"{given} cannot be served: choose a directory of images.")
        if self.allowed and not any(is_below(real, place) for place in self.allowed):
            raise Forbidden(f"{given} is outside the allowed roots (--allow-root).")

    def admit(self, given: str) -> str:
        """The real path of a directory as a user gave it, if it may be loaded."""
        real = os.path.realpath(os.path.join(self.base, os.path.expanduser(given)))
        self.check_place(real, given)
        if not os.path.lexists(real):
            raise NotFound(f"Directory not found: {given}")
        if not os.path.isdir(real):
            raise BadRequest(f"Not a directory: {given}")
        if not os.access(real, os.R_OK | os.X_OK):
            raise BadRequest(f"Directory cannot be read: {given}. Check its permissions.")
        return real


@dataclass(frozen=True, slots=True)
class Index:
    """The images of a collection when its folders were read, and how to tell that they changed.

    ``folders`` are the real paths that were read, each with its time of change in ns; None where a
    folder could not be told to have settled.
    """

    names: Names
    folders: tuple[tuple[str, int], ...] | None

    def is_fresh(self) -> bool:
        """Whether no folder changed since. Blocks for one ``stat`` a folder."""
        if self.folders is None:
            return False
        try:
            return all(os.stat(path).st_mtime_ns == mtime for path, mtime in self.folders)
        except OSError:
            return False


def available(roots: list[Root]) -> list[bool]:
    """For each root, whether its folder is there now."""
    return [os.path.isdir(root.path) for root in roots]


def read(root: Root) -> Index:
    """Read the names of a collection's images from disk: blocks. OSError if the root is unreadable.

    No image is opened or asked for its facts: a directory of 1,000,000 costs one pass over names.
    """
    started = time.time_ns()
    folders: dict[str, int] = {}
    names = Names(_walk(root, folders))
    settled = all(mtime < started - _SETTLED_NS for mtime in folders.values())
    return Index(names, tuple(folders.items()) if settled else None)


def _walk(root: Root, folders: dict[str, int]) -> Iterator[str]:
    """Names of images, with slashes where it is recursive. Each folder once, by its own name
    rather than a link's, so that links which lead back make no loops.
    """
    pending: list[tuple[str, str]] = [(root.path, "")]
    linked: list[tuple[str, str]] = []
    while pending or linked:
        path, prefix = (pending or linked).pop()
        if path in folders:
            continue
        try:
            folders[path] = os.stat(path).st_mtime_ns
            with os.scandir(path) as found:
                for entry in found:
                    if not root.may_serve(entry.name):
                        continue
                    if media.is_image(entry.name) and _is_image(root, entry):
                        yield prefix + entry.name
                    elif root.recursive and entry.is_dir():
                        place = linked if entry.is_symlink() else pending
                        place.append((_real(root, entry), f"{prefix}{entry.name}/"))
        except (OSError, NotFound):
            if path == root.path:
                raise


def _is_image(root: Root, entry: os.DirEntry[str]) -> bool:
    if not entry.is_symlink():
        return entry.is_file(follow_symlinks=False)
    try:
        return entry.is_file() and bool(_real(root, entry))
    except NotFound:
        return False


def _real(root: Root, entry: os.DirEntry[str]) -> str:
    """Where an entry really lies; NotFound where it may not be served from there."""
    if not entry.is_symlink():
        return entry.path
    real = os.path.realpath(entry.path)
    root.judge(real, is_folder=entry.is_dir())
    return real
