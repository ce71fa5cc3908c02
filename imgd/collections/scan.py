"""Which images a directory holds, and whether that may have changed."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Final

import msgspec

from imgd.core import media, messages, paths
from imgd.core.messages import SkippedFiles
from imgd.core.name_index import NameIndex
from imgd.core.skipped_files import SkippedCount
from imgd.errors import NotFound
from imgd.files import disk, versions
from imgd.files.dicom_files import HEAD_SIZE
from imgd.files.disk import Root
from imgd.files.versions import FolderVersion
from imgd.host import os_errors
from imgd.host.workers import JobProgress

MAX_FIRST: Final = 10_000  # names in a status
MAX_LOOK_BELOW: Final = 10_000  # entries, to tell whether there are images in folders below
# Files that are too short to be DICOM yet, and are asked whether they changed.
MAX_SHORT_FILES: Final = 1_000


@dataclass(frozen=True, slots=True)
class CollectionIndex:
    """The images of a collection when its folders were read, and how to tell that they changed.

    ``watched`` are the real paths that were read, each with its version, and with them the files
    that were too short to say what they are; None if one had changed so shortly before that a later
    change might not show. ``first`` are the first ``MAX_FIRST`` names as they are shown, a JSON
    array that is made once.
    """

    names: NameIndex
    watched: tuple[tuple[str, FolderVersion], ...] | None
    first: msgspec.Raw
    skipped: SkippedFiles

    def is_current(self) -> bool:
        """Whether nothing changed since. Blocks for one ``stat`` a folder."""
        if self.watched is None:
            return False
        try:
            return all(versions.folder_version(path) == version for path, version in self.watched)
        except OSError:
            return False


def is_available(root: Root) -> bool:
    """Whether the root's folder is there now, and no link in its place. Blocks."""
    return disk.is_folder(root, ())


def read(root: Root, progress: JobProgress | None = None) -> CollectionIndex:
    """Read the names of a collection's images from disk: blocks. NotFound if the root is unreadable
    or no longer where it was, Unavailable if the machine is at fault.

    No image is opened or asked for its facts: a directory of 1,000,000 costs one pass over names.
    What is opened are files whose suffix does not say what they are, once for each version.
    """
    if not disk.is_folder(root, ()):
        raise NotFound
    step = (progress or JobProgress()).step
    started_ns = time.time_ns()
    walk = _Walk(root, step)
    try:
        names = NameIndex(walk.names(), step)
    except OSError as error:
        raise os_errors.to_error(error, NotFound()) from error
    has_settled = all(version.had_settled(started_ns) for version in walk.watched.values())
    first = [paths.display(name) for name in names.page(0, MAX_FIRST)]
    return CollectionIndex(
        names=names,
        watched=tuple(walk.watched.items()) if has_settled else None,
        first=msgspec.Raw(messages.encode(first)),
        skipped=walk.skipped.message(images_below=not names and _has_images_below(walk, step)),
    )


def _has_images_below(walk: _Walk, step: Callable[[], None]) -> bool:
    """Whether folders that were not read hold images, as far as a short look tells."""
    if walk.root.recursive or not walk.skipped.folders:
        return False
    below = _Walk(replace(walk.root, recursive=True), step, MAX_LOOK_BELOW)
    return next(below.names(), None) is not None


class _Walk:
    """One pass over the folders of a root, of at most ``most`` entries.

    ``watched`` and ``skipped`` are filled while ``names`` is consumed.
    """

    def __init__(self, root: Root, step: Callable[[], None], most: int = sys.maxsize) -> None:
        self.root = root
        self.watched: dict[str, FolderVersion] = {}
        self.skipped = SkippedCount()
        self._step = step
        self._budget = iter(range(most))
        self._short_files = 0

    def names(self) -> Iterator[str]:
        """Names of images, with slashes if it is recursive. Each folder once, by its own name
        rather than a link's, so that links which lead back make no loops. OSError for the root
        alone.
        """
        pending: list[tuple[str, str]] = [(self.root.path, "")]
        linked: list[tuple[str, str]] = []
        while pending or linked:
            path, prefix = (pending or linked).pop()
            if path in self.watched:
                continue
            try:
                self.watched[path] = versions.folder_version(path)
                for entry in self._entries(path):
                    if self._is_served(entry):
                        yield prefix + entry.name
                    elif self.root.recursive and (real := _real_folder(self.root, entry)):
                        queue = linked if entry.is_symlink() else pending
                        queue.append((real, f"{prefix}{entry.name}/"))
                    else:
                        self._note_skipped(entry)
            except OSError as error:
                if path == self.root.path or os_errors.is_transient(error):
                    raise
                self.skipped.folders += 1

    def _entries(self, path: str) -> Iterator[os.DirEntry[str]]:
        with os.scandir(path) as entries:
            may_serve = self.root.may_serve
            counted = zip(self._budget, entries, strict=False)  # ends when either does
            yield from (entry for _, entry in counted if may_serve(entry.name))

    def _is_served(self, entry: os.DirEntry[str]) -> bool:
        """Whether an entry is a file that may be served. Never raises: one link that loops is no
        reason to give up its folder.
        """
        try:
            if not entry.is_symlink():
                if not entry.is_file(follow_symlinks=False):
                    return False
                if media.is_image(entry.name):  # most entries
                    return True
                real, served = entry.path, self.root.serves(entry.name)
            elif entry.is_file():
                real = os.path.realpath(entry.path)
                self.root.judge(real)
                served = self.root.serves(entry.name, os.path.basename(real))
            else:
                return False
            return bool(served) or (served is None and self._is_dicom(real, entry.stat()))
        except (OSError, NotFound):
            return False

    def _is_dicom(self, real: str, st: os.stat_result) -> bool:
        self._step()
        if disk.is_dicom(self.root, real, st):
            return True
        version = FolderVersion(st.st_mtime_ns, st.st_ctime_ns, st.st_ino, st.st_dev)
        is_short = st.st_size < HEAD_SIZE and self._short_files < MAX_SHORT_FILES
        if is_short or not version.had_settled(time.time_ns()):  # it may still be written
            self._short_files += 1
            self.watched[real] = version
        return False

    def _note_skipped(self, entry: os.DirEntry[str]) -> None:
        try:
            if entry.is_symlink() and not _leads_within(self.root, entry):
                self.skipped.links += 1
            elif entry.is_dir():
                self.skipped.folders += 1
            elif entry.is_file():
                self.skipped.add_file(entry.name)
        except OSError:  # a loop of links
            self.skipped.links += 1


def _leads_within(root: Root, entry: os.DirEntry[str]) -> bool:
    try:
        root.judge(os.path.realpath(entry.path, strict=True), is_folder=True)
    except (OSError, NotFound):
        return False
    return True


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
