"""Which images a directory holds, and whether that may have changed."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import msgspec

from imgd.core import media, messages, paths
from imgd.core.name_index import NameIndex
from imgd.errors import NotFound
from imgd.files import disk, versions
from imgd.files.disk import Root
from imgd.files.versions import FolderVersion
from imgd.host import os_errors
from imgd.host.workers import JobProgress

MAX_FIRST: Final = 10_000  # names in a status


@dataclass(frozen=True, slots=True)
class CollectionIndex:
    """The images of a collection when its folders were read, and how to tell that they changed.

    ``folders`` are the real paths that were read, each with its version; None if a folder had
    changed so shortly before that a later change might not show. ``first`` are the first
    ``MAX_FIRST`` names as they are shown, a JSON array that is made once.
    """

    names: NameIndex
    folders: tuple[tuple[str, FolderVersion], ...] | None
    first: msgspec.Raw

    def is_current(self) -> bool:
        """Whether no folder changed since. Blocks for one ``stat`` a folder."""
        if self.folders is None:
            return False
        try:
            return all(versions.folder_version(path) == version for path, version in self.folders)
        except OSError:
            return False


def is_available(root: Root) -> bool:
    """Whether the root's folder is there now, and no link in its place. Blocks."""
    return disk.is_folder(root, ())


def read(root: Root, progress: JobProgress | None = None) -> CollectionIndex:
    """Read the names of a collection's images from disk: blocks. NotFound if the root is unreadable
    or no longer where it was, Unavailable if the machine is at fault.

    No image is opened or asked for its facts: a directory of 1,000,000 costs one pass over names.
    """
    if not disk.is_folder(root, ()):
        raise NotFound
    step = (progress or JobProgress()).step
    started_ns = time.time_ns()
    folders: dict[str, FolderVersion] = {}
    try:
        names = NameIndex(_walk(root, folders), step)
    except OSError as error:
        raise os_errors.to_error(error, NotFound()) from error
    has_settled = all(version.had_settled(started_ns) for version in folders.values())
    first = [paths.display(name) for name in names.page(0, MAX_FIRST)]
    encoded = msgspec.Raw(messages.encode(first))
    return CollectionIndex(names, tuple(folders.items()) if has_settled else None, encoded)


def _walk(root: Root, folders: dict[str, FolderVersion]) -> Iterator[str]:
    """Names of images, with slashes if it is recursive. Each folder once, by its own name rather
    than a link's, so that links which lead back make no loops. OSError for the root alone.
    """
    pending: list[tuple[str, str]] = [(root.path, "")]
    linked: list[tuple[str, str]] = []
    while pending or linked:
        path, prefix = (pending or linked).pop()
        if path in folders:
            continue
        try:
            folders[path] = versions.folder_version(path)
            for entry in _servable(root, path):
                if media.is_image(entry.name) and _is_image(root, entry):
                    yield prefix + entry.name
                elif root.recursive and (real := _real_folder(root, entry)):
                    queue = linked if entry.is_symlink() else pending
                    queue.append((real, f"{prefix}{entry.name}/"))
        except OSError as error:
            if path == root.path or os_errors.is_transient(error):
                raise


def _servable(root: Root, path: str) -> Iterator[os.DirEntry[str]]:
    with os.scandir(path) as entries:
        yield from (entry for entry in entries if root.may_serve(entry.name))


def _is_image(root: Root, entry: os.DirEntry[str]) -> bool:
    """Whether an entry with an image's name is a file that may be served. Never raises: one link
    that loops is no reason to give up its folder.
    """
    try:
        if not entry.is_symlink():
            return entry.is_file(follow_symlinks=False)
        if entry.is_file():
            root.judge(os.path.realpath(entry.path))
            return True
    except (OSError, NotFound):
        pass
    return False


def _real_folder(root: Root, entry: os.DirEntry[str]) -> str | None:
    """The real path of an entry that is a folder to be read, too. Never raises."""
    try:
        if not entry.is_dir():
            return None
        real = os.path.realpath(entry.path) if entry.is_symlink() else entry.path
        root.judge(real, is_folder=True)
    except (OSError, NotFound):
        return None
    return real
