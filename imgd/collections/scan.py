"""What a load asks of the disk: may this directory be loaded, and which images does it hold."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import msgspec

from imgd.core import media, messages, paths
from imgd.core.name_index import NameIndex
from imgd.errors import BadRequest, Forbidden, NotFound
from imgd.files import disk
from imgd.files.disk import SYSTEM_FOLDERS, Root, is_below
from imgd.host import os_errors
from imgd.host.workers import JobProgress

# A folder changed this shortly before it was read may change again within the same timestamp:
# FAT counts in 2 s, Linux stamps in ticks of up to 10 ms.
SETTLED_NS: Final = 2_000_000_000

MAX_FIRST: Final = 10_000  # names in a status

# When a folder's entries changed, and when its mode or anything else did: mtime and ctime in ns.
Changed = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Policy:
    """Where loads are accepted.

    Relative directories are below ``base``. ``allowed`` are real paths, empty for anywhere but
    ``forbidden``, which are never accepted, and for no tree as wide as one that holds the parent
    folder of the document root, ``documents``: such a load is a slip more often than a wish.
    """

    base: str
    allowed: tuple[str, ...] = ()
    forbidden: tuple[str, ...] = ()
    follow_symlinks: bool = False
    documents: str = ""

    def root(self, directory: str, recursive: bool) -> Root:
        """A collection's root at this real path."""
        return Root(
            directory,
            images_only=True,
            recursive=recursive,
            follow_symlinks=self.follow_symlinks,
            forbidden=(*SYSTEM_FOLDERS, *self.forbidden),
        )

    def check_place(self, real: str, given: str, recursive: bool = False) -> None:
        """Forbidden where loads of this real path are not accepted, whether it is there or not."""
        if any(is_below(real, place) for place in (*SYSTEM_FOLDERS, *self.forbidden)):
            raise Forbidden(f"{given} cannot be served: choose a directory of images.")
        if self.allowed and not any(is_below(real, place) for place in self.allowed):
            raise Forbidden(f"{given} is outside the allowed roots (--allow-root).")
        if recursive and not self.allowed and self._is_too_wide(real):
            raise Forbidden(f"{given} is too wide to be loaded recursively without --allow-root.")

    def _is_too_wide(self, real: str) -> bool:
        """Whether it is the whole disk, or lies above the folder that the document root is in."""
        around = os.path.dirname(self.documents)
        is_above = real != around and is_below(around, real)
        return is_above or os.path.dirname(real) == real

    def admit(self, given: str, recursive: bool = False) -> str:
        """The real path of a directory as a user gave it, if it may be loaded.

        Forbidden, NotFound or BadRequest where it may not: a place that is out of bounds is
        Forbidden whether something is there or not.
        """
        path = os.path.join(self.base, os.path.expanduser(given))
        try:
            self.check_place(os.path.realpath(path), given, recursive)
            # Strictly, too: links behind one that loops stay unresolved otherwise.
            real = os.path.realpath(path, strict=True)
        except PermissionError:
            raise _unreadable(given) from None
        except (OSError, ValueError) as error:
            raise os_errors.told(error, NotFound(f"Directory not found: {given}")) from error
        self.check_place(real, given, recursive)
        if not os.path.isdir(real):
            raise BadRequest(f"Not a directory: {given}")
        if not os.access(real, os.R_OK | os.X_OK):
            raise _unreadable(given)
        return real


def _unreadable(given: str) -> BadRequest:
    return BadRequest(f"Directory cannot be read: {given}. Check its permissions.")


@dataclass(frozen=True, slots=True)
class Index:
    """The images of a collection when its folders were read, and how to tell that they changed.

    ``folders`` are the real paths that were read, each with its times of change; None where a
    folder could not be told to have settled. ``first`` are the first ``MAX_FIRST`` names as they
    are shown, a JSON array that is made once.
    """

    names: NameIndex
    folders: tuple[tuple[str, Changed], ...] | None
    first: msgspec.Raw

    def is_fresh(self) -> bool:
        """Whether no folder changed since. Blocks for one ``stat`` a folder."""
        if self.folders is None:
            return False
        try:
            return all(_changed(path) == changed for path, changed in self.folders)
        except OSError:
            return False


def _changed(path: str) -> Changed:
    st = os.stat(path)
    return st.st_mtime_ns, st.st_ctime_ns


def available(roots: list[Root]) -> list[bool]:
    """For each root, whether its folder is there now, and not a link in its place."""
    return [disk.is_folder(root, ()) for root in roots]


def read(root: Root, progress: JobProgress | None = None) -> Index:
    """Read the names of a collection's images from disk: blocks. NotFound if the root is unreadable
    or no longer where it was, Unavailable where the machine is at fault.

    No image is opened or asked for its facts: a directory of 1,000,000 costs one pass over names.
    """
    if not disk.is_folder(root, ()):
        raise NotFound
    step = (progress or JobProgress()).step
    started = time.time_ns()
    folders: dict[str, Changed] = {}
    try:
        names = NameIndex(_walk(root, folders), step)
    except OSError as error:
        raise os_errors.told(error, NotFound()) from error
    settled = all(mtime < started - SETTLED_NS for mtime, _ in folders.values())
    first = [paths.display(name) for name in names.page(0, MAX_FIRST)]
    encoded = msgspec.Raw(messages.encode(first))
    return Index(names, tuple(folders.items()) if settled else None, encoded)


def _walk(root: Root, folders: dict[str, Changed]) -> Iterator[str]:
    """Names of images, with slashes where it is recursive. Each folder once, by its own name
    rather than a link's, so that links which lead back make no loops. OSError for the root alone.
    """
    pending: list[tuple[str, str]] = [(root.path, "")]
    linked: list[tuple[str, str]] = []
    while pending or linked:
        path, prefix = (pending or linked).pop()
        if path in folders:
            continue
        try:
            folders[path] = _changed(path)
            for entry in _servable(root, path):
                if media.is_image(entry.name) and _is_image(root, entry):
                    yield prefix + entry.name
                elif root.recursive and (real := _folder(root, entry)):
                    place = linked if entry.is_symlink() else pending
                    place.append((real, f"{prefix}{entry.name}/"))
        except OSError as error:
            if path == root.path or os_errors.is_transient(error):
                raise


def _servable(root: Root, path: str) -> Iterator[os.DirEntry[str]]:
    with os.scandir(path) as found:
        yield from (entry for entry in found if root.may_serve(entry.name))


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


def _folder(root: Root, entry: os.DirEntry[str]) -> str | None:
    """Where an entry really lies that is a folder to be read, too. Never raises."""
    try:
        if not entry.is_dir():
            return None
        real = os.path.realpath(entry.path) if entry.is_symlink() else entry.path
        root.judge(real, is_folder=True)
    except (OSError, NotFound):
        return None
    return real
