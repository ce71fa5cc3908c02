"""Served files: the one way from names to an open file, and what a folder holds.

Opened, then judged: a file is opened without waiting and without following it to a terminal, must
be a regular one, and what was really opened must lie below the root. What was checked is what is
served. Whatever is wrong, the answer is the same NotFound.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Final

from imgd.core import media, paths
from imgd.core.conditional import FileFacts
from imgd.core.listing import Entry
from imgd.errors import NotFound
from imgd.files import real_path
from imgd.files.real_path import RealPath
from imgd.host import os_errors

# O_NONBLOCK: opening a FIFO or a device must not wait. O_BINARY: Windows translates line ends else.
OPEN_FLAGS: Final = (
    os.O_RDONLY
    | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_NOCTTY", 0)
    | getattr(os, "O_BINARY", 0)
)
_real_path_of: Final = real_path.choose()
_ON_WINDOWS: Final = os.name == "nt"
# Nothing in these is an image, and reading some of it acts on the machine, or never ends.
SYSTEM_FOLDERS: Final = ("/proc", "/sys", "/dev")


@dataclass(frozen=True, slots=True)
class Root:
    """A folder that is served: its real path, and what of it.

    ``forbidden`` are real paths below which nothing is ever served, links or not (imgd's own
    state); ``hidden`` are names of the top level that the URL map takes for itself.
    """

    path: str
    images_only: bool = False
    recursive: bool = True
    follow_symlinks: bool = False
    forbidden: tuple[str, ...] = ()
    hidden: frozenset[str] = frozenset()

    def join(self, names: tuple[str, ...]) -> str:
        """The path of the file or folder that these names would have."""
        if not all(map(self.may_serve, names)) or (names and names[0] in self.hidden):
            raise NotFound
        if len(names) > 1 and not self.recursive:
            raise NotFound
        return os.path.join(self.path, *names)

    @staticmethod
    def may_serve(name: str) -> bool:
        """Whether a file or folder of this name may be served or listed on this machine."""
        return paths.is_servable(name) and not (_ON_WINDOWS and not paths.is_plain_on_windows(name))

    def judge(self, real: str, *, is_folder: bool = False) -> None:
        """NotFound for a real path that is outside, or in a folder of which nothing is served."""
        if any(is_below(real, folder) for folder in self.forbidden):
            raise NotFound
        if is_below(real, self.path):
            names = [name for name in real[len(self.path) :].split(os.sep) if name]
            if len(names) > 1 and not self.recursive and not self.follow_symlinks:
                raise NotFound
        elif self.follow_symlinks and not any(is_below(real, folder) for folder in SYSTEM_FOLDERS):
            names = _names_apart(real, self.path)
        else:
            raise NotFound
        if not all(map(self.may_serve, names)):
            raise NotFound
        if self.images_only and not is_folder and not media.is_image(real):
            raise NotFound


def is_below(path: str, folder: str) -> bool:
    """Whether a real path is the folder or lies in it; ``/foobar`` is not below ``/foo``."""
    return path == folder or path.startswith(folder.rstrip(os.sep) + os.sep)


def _names_apart(real: str, root: str) -> list[str]:
    """The names on the way to a real path that are not on the way to the root, too.

    A link must not lead into a hidden folder; a root that lies in one is its operator's choice, and
    so is what lies beside it.
    """
    try:
        shared = os.path.commonpath((real, root))
    except ValueError:  # on another drive
        shared = os.path.splitdrive(real)[0]
    return [name for name in real[len(shared) :].split(os.sep) if name]


class OpenFile:
    """A regular file, open for reading, and the facts of it when it was opened."""

    __slots__ = ("facts", "fd", "name")

    def __init__(self, fd: int, name: str, facts: FileFacts) -> None:
        self.fd, self.name, self.facts = fd, name, facts

    def read(self, offset: int, length: int) -> bytes:
        """At most ``length`` bytes from ``offset``; fewer only if the file ends or failed."""
        return _read_at(self.fd, length, offset)

    def is_unchanged(self) -> bool:
        """Whether no byte was written since the file was opened: one version, nothing mixed.

        Not by ctime, which moves too when a file is only renamed or deleted: its bytes stay.
        """
        st = os.fstat(self.fd)
        return (st.st_size, st.st_mtime_ns) == (self.facts.size, self.facts.mtime_ns)

    def close(self) -> None:
        """Give the descriptor back. May be called again."""
        if self.fd >= 0:
            fd, self.fd = self.fd, -1
            os.close(fd)


def _pread(fd: int, length: int, offset: int) -> bytes:
    return os.pread(fd, length, offset)


def seek_and_read(fd: int, length: int, offset: int) -> bytes:
    """``pread`` for systems that have none. The descriptor is used by one sender only."""
    os.lseek(fd, offset, os.SEEK_SET)
    return os.read(fd, length)


_read_at: Final = _pread if hasattr(os, "pread") else seek_and_read


def _facts(st: os.stat_result) -> FileFacts:
    return FileFacts(st.st_size, st.st_mtime_ns, st.st_ctime_ns, st.st_ino)


def open_file(
    root: Root, names: tuple[str, ...], real_path_of: RealPath = _real_path_of
) -> OpenFile:
    """The file of these names, open, or NotFound; the caller closes it. Unavailable if the
    machine is at fault.

    ``real_path_of`` is one of ``imgd.files.real_path``, by default the best that this machine has.
    """
    path = root.join(names)
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):  # before opening: a device may act on it
            raise NotFound
        fd = os.open(path, OPEN_FLAGS)
    except (OSError, ValueError) as error:
        raise os_errors.to_error(error, NotFound()) from error
    try:
        facts = _judged(root, fd, names[-1], real_path_of(fd, path))
    except BaseException as error:
        os.close(fd)
        if isinstance(error, OSError):
            raise os_errors.to_error(error, NotFound()) from error
        raise
    return OpenFile(fd, names[-1], facts)


def _judged(root: Root, fd: int, name: str, real: str) -> FileFacts:
    st = os.fstat(fd)
    if not stat.S_ISREG(st.st_mode) or (root.images_only and not media.is_image(name)):
        raise NotFound
    root.judge(real)
    return _facts(st)


def is_folder(root: Root, names: tuple[str, ...]) -> bool:
    """Whether these names are a folder that may be listed. Never raises."""
    try:
        path = root.join(names)
        if not stat.S_ISDIR(os.stat(path).st_mode):
            return False
        root.judge(os.path.realpath(path, strict=True), is_folder=True)
    except (NotFound, OSError, ValueError):
        return False
    return not names or root.recursive


def scan(
    root: Root, names: tuple[str, ...] = (), on_link: Callable[[str], None] = lambda name: None
) -> Iterator[Entry]:
    """What a listing of this folder shows, in no order, one entry at a time, or NotFound.

    ``on_link`` is called with the name of each symbolic link, shown or not.
    """
    if not is_folder(root, names):
        raise NotFound
    try:
        folder = os.path.realpath(root.join(names))
        with os.scandir(folder) as entries, reading(root, folder) as read:
            for entry in entries:
                if entry.is_symlink():
                    on_link(entry.name)
                is_shown = root.may_serve(entry.name) and (names or entry.name not in root.hidden)
                shown = read(entry.name) if is_shown else None
                if shown is not None:
                    yield shown
    except OSError as error:
        raise os_errors.to_error(error, NotFound()) from error


@contextmanager
def reading(root: Root, folder: str) -> Iterator[Callable[[str], Entry | None]]:
    """Reads files and folders in this real folder of the root as they are now, by names that may be
    served.

    Each as :func:`scan` shows it: None if asking for it would give a 404. NotFound, or Unavailable
    if the machine is at fault, if the folder cannot be opened.
    """
    with _facts_in(folder) as facts_of:

        def read(name: str) -> Entry | None:
            try:
                return _as_listed(root, name, folder, facts_of(name))
            except OSError:
                return None

        yield read


@contextmanager
def _facts_in(folder: str) -> Iterator[Callable[[str], os.stat_result]]:
    """``lstat`` by name. By the folder's descriptor it takes two thirds of the time."""
    if os.stat not in os.supports_dir_fd:
        yield lambda name: os.lstat(os.path.join(folder, name))
        return
    try:
        descriptor = os.open(folder, OPEN_FLAGS)
    except OSError as error:
        raise os_errors.to_error(error, NotFound()) from error
    try:
        yield partial(os.stat, dir_fd=descriptor, follow_symlinks=False)
    finally:
        os.close(descriptor)


def _as_listed(root: Root, name: str, folder: str, st: os.stat_result) -> Entry | None:
    if not stat.S_ISREG(st.st_mode):
        path = os.path.join(folder, name)
        try:
            if stat.S_ISLNK(st.st_mode):
                st = _judged_link(root, path)
            elif stat.S_ISDIR(st.st_mode):
                root.judge(path, is_folder=True)
        except NotFound:
            return None
        if stat.S_ISDIR(st.st_mode):
            return Entry(name, True, 0, st.st_mtime_ns) if root.recursive else None
    if not stat.S_ISREG(st.st_mode) or (root.images_only and not media.is_image(name)):
        return None
    return Entry(name, False, st.st_size, st.st_mtime_ns)


def _judged_link(root: Root, path: str) -> os.stat_result:
    real = os.path.realpath(path, strict=True)
    st = os.stat(real)
    root.judge(real, is_folder=stat.S_ISDIR(st.st_mode))
    return st


def hidden_by(root: Root) -> list[str]:
    """Names of the root's top level that are on the disk and hidden, as imgd's URLs have them."""
    return sorted(n for n in root.hidden if os.path.lexists(os.path.join(root.path, n)))


def stat_file(root: Root, names: tuple[str, ...]) -> FileFacts:
    """The facts of a file that a listing names, without opening it, or NotFound."""
    try:
        st = os.lstat(root.join(names))
        if stat.S_ISLNK(st.st_mode):
            st = _judged_link(root, root.join(names))
    except (OSError, ValueError) as error:
        raise os_errors.to_error(error, NotFound()) from error
    if not stat.S_ISREG(st.st_mode):
        raise NotFound
    return _facts(st)
