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
from dataclasses import dataclass, field
from typing import Final

from imgd.core import media, paths
from imgd.core.conditional import FileFacts
from imgd.core.listing import Entry
from imgd.errors import NotFound
from imgd.files import real_path
from imgd.files.dicom_files import HEAD_SIZE, DicomFiles
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
    state); ``hidden`` are names of the top level that the URL map takes for itself. With
    ``dicom_files``, files whose suffix does not say what they are get their type by their bytes.
    """

    path: str
    images_only: bool = False
    recursive: bool = True
    follow_symlinks: bool = False
    forbidden: tuple[str, ...] = ()
    hidden: frozenset[str] = frozenset()
    dicom_files: DicomFiles | None = field(default=None, compare=False)

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
        folders = names if is_folder else names[:-1]
        if not all(map(self.may_serve, names)) or not paths.SHOWN_DOTFILES.isdisjoint(folders):
            raise NotFound
        if not is_folder and self.serves(os.path.basename(real)) is False:
            raise NotFound

    def serves(self, *names: str) -> bool | None:
        """Whether a file is served that has this name, or whose link and target have these; None if
        its bytes decide: it is if it is DICOM.
        """
        if not self.images_only or all(map(media.is_image, names)):
            return True
        may_be = all(media.is_image(name) or self.looks_into(name) for name in names)
        return None if may_be else False

    def looks_into(self, name: str) -> bool:
        """Whether the type of a file of this name is told by its bytes."""
        return self.dicom_files is not None and media.may_be_dicom(name)


class Undecided(NotFound):
    """What a file is must be read from it, which may wait for the disk."""


class NotAnImage(NotFound):
    """A file is there, and is none that its root serves."""


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

    __slots__ = ("facts", "fd", "is_dicom", "name")

    def __init__(self, fd: int, name: str, facts: FileFacts, is_dicom: bool = False) -> None:
        self.fd, self.name, self.facts, self.is_dicom = fd, name, facts, is_dicom

    def __del__(self) -> None:
        self.close()  # of a file that was opened on a thread for a client that has gone since

    @property
    def media_type(self) -> str:
        """By its name, or by its bytes if the name does not say."""
        return media.DICOM if self.is_dicom else media.media_type(self.name)

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
    root: Root,
    names: tuple[str, ...],
    real_path_of: RealPath = _real_path_of,
    *,
    may_look: bool = True,
) -> OpenFile:
    """The file of these names, open, or NotFound; the caller closes it. Unavailable if the
    machine is at fault. Undecided if its bytes must be read for what it is, and not ``may_look``.

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
        return _judged(root, fd, names[-1], real_path_of(fd, path), may_look)
    except BaseException as error:
        os.close(fd)
        if isinstance(error, OSError):
            raise os_errors.to_error(error, NotFound()) from error
        raise


def _judged(root: Root, fd: int, name: str, real: str, may_look: bool) -> OpenFile:
    st = os.fstat(fd)
    if not stat.S_ISREG(st.st_mode) or root.serves(name) is False:
        raise NotFound
    root.judge(real)
    is_dicom = False
    served = root.serves(name, os.path.basename(real))
    if root.dicom_files is not None and (served is None or root.looks_into(name)):
        recalled = root.dicom_files.recall(real, st)
        if recalled is None and not may_look:
            raise Undecided
        is_dicom = root.dicom_files.look(real, fd) if recalled is None else recalled
    if served is None and not is_dicom:
        raise NotAnImage
    return OpenFile(fd, name, _facts(st), is_dicom and root.looks_into(name))


def is_dicom(root: Root, path: str, st: os.stat_result) -> bool:
    """Whether the file of this real path below the root is DICOM by its bytes. Blocks if that is
    not remembered. False if it cannot be read.
    """
    if root.dicom_files is None:
        return False
    recalled = root.dicom_files.recall(path, st)
    if recalled is not None:
        return recalled
    try:
        fd = os.open(path, OPEN_FLAGS | getattr(os, "O_NOFOLLOW", 0))
    except OSError:
        return False
    try:
        if hasattr(os, "posix_fadvise"):  # else the system reads 128 KB ahead
            os.posix_fadvise(fd, 0, HEAD_SIZE, os.POSIX_FADV_RANDOM)
        return root.dicom_files.look(path, fd)
    except OSError:
        return False
    finally:
        os.close(fd)


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


def _ignore(_: object) -> None:
    """Nothing is to be done about this entry."""


def scan(
    root: Root,
    names: tuple[str, ...] = (),
    on_link: Callable[[str], None] = _ignore,
    on_skip: Callable[[os.DirEntry[str]], None] = _ignore,
) -> Iterator[Entry]:
    """What a listing of this folder shows, in no order, one entry at a time, or NotFound.

    ``on_link`` is called with the name of each symbolic link, shown or not; ``on_skip`` with each
    entry of a collection that it does not serve, and the document root would.
    """
    if not is_folder(root, names):
        raise NotFound
    try:
        folder = os.path.realpath(root.join(names))
        may_serve, hidden = root.may_serve, frozenset[str]() if names else root.hidden
        with os.scandir(folder) as entries, reading(root, folder) as read:
            for entry in entries:
                name = entry.name
                if entry.is_symlink():
                    on_link(name)
                shown = read(name) if may_serve(name) and name not in hidden else None
                if shown is not None:
                    yield shown
                elif root.dicom_files is not None and root.may_serve(entry.name):
                    on_skip(entry)
    except OSError as error:
        raise os_errors.to_error(error, NotFound()) from error


@contextmanager
def reading(root: Root, folder: str) -> Iterator[Callable[[str], Entry | None]]:
    """Reads files and folders in this real folder of the root as they are now, by names that may be
    served.

    Each as :func:`scan` shows it: None if asking for it would give a 404. NotFound, or Unavailable
    if the machine is at fault, if the folder cannot be opened.
    """
    serves_any_file = not root.images_only and root.dicom_files is None  # as the document root
    with _facts_in(folder) as facts_of:

        def read(name: str) -> Entry | None:
            try:
                st = facts_of(name)
                if serves_any_file and stat.S_ISREG(st.st_mode):
                    return Entry(name, False, st.st_size, st.st_mtime_ns)
                return _as_listed(root, name, folder, st)
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
        yield lambda name: os.stat(name, dir_fd=descriptor, follow_symlinks=False)
    finally:
        os.close(descriptor)


def _as_listed(root: Root, name: str, folder: str, st: os.stat_result) -> Entry | None:
    if stat.S_ISREG(st.st_mode):
        return _file_as_listed(root, name, os.path.join(folder, name), st)
    path = os.path.join(folder, name)
    try:
        if stat.S_ISLNK(st.st_mode):
            path, st = _judged_link(root, path)
        elif stat.S_ISDIR(st.st_mode):
            root.judge(path, is_folder=True)
    except NotFound:
        return None
    if stat.S_ISDIR(st.st_mode):
        return Entry(name, True, 0, st.st_mtime_ns) if root.recursive else None
    return _file_as_listed(root, name, path, st) if stat.S_ISREG(st.st_mode) else None


def _file_as_listed(root: Root, name: str, path: str, st: os.stat_result) -> Entry | None:
    """A regular file; ``path`` is another name's if this is a link."""
    served = root.serves(name, os.path.basename(path))
    if served is False:
        return None
    has_dicom = (served is None or root.looks_into(name)) and is_dicom(root, path, st)
    if served is None and not has_dicom:
        return None
    return Entry(name, False, st.st_size, st.st_mtime_ns, has_dicom and root.looks_into(name))


def _judged_link(root: Root, path: str) -> tuple[str, os.stat_result]:
    real = os.path.realpath(path, strict=True)
    st = os.stat(real)
    root.judge(real, is_folder=stat.S_ISDIR(st.st_mode))
    return real, st


def hidden_by(root: Root) -> list[str]:
    """Names of the root's top level that are on the disk and hidden, as imgd's URLs have them."""
    return sorted(n for n in root.hidden if os.path.lexists(os.path.join(root.path, n)))


def stat_file(root: Root, names: tuple[str, ...]) -> Entry:
    """A file that a list names as it is now, or NotFound."""
    path = root.join(names)
    try:
        file = _as_listed(root, names[-1], os.path.dirname(path), os.lstat(path))
    except (OSError, ValueError) as error:
        raise os_errors.to_error(error, NotFound()) from error
    if file is None or file.is_folder:
        raise NotFound
    return file
