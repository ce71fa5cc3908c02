"""Everything below a folder that its listings show, and what of it cannot be read."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import NamedTuple

from imgd.core.listing import Entry
from imgd.errors import NotFound
from imgd.files import disk
from imgd.files.disk import Root
from imgd.host import os_errors

IS_LOOP = "a link to a folder that it lies in"
UNREADABLE = "imgd may not read it"


class _Folder(NamedTuple):
    """A folder on the way, by its names and its real path; ``above`` is the one that it is in."""

    names: tuple[str, ...]
    real: str
    above: _Folder | None

    def lies_in(self, real: str) -> bool:
        """Whether the folder of this real path is on the way to this one, or above that."""
        folder: _Folder | None = self
        while folder is not None and not disk.is_below(folder.real, real):
            folder = folder.above
        return folder is not None


def walk(
    root: Root,
    names: tuple[str, ...],
    on_left_out: Callable[[tuple[str, ...], str], None],
) -> Iterator[tuple[tuple[str, ...], Entry]]:
    """The folder ``names`` of the root and each file and folder below it, a folder before what it
    holds, with the names that lead to it from the root. Blocks. NotFound, or Unavailable if the
    machine is at fault.

    Links are followed as listings follow them. ``on_left_out`` gets the names of what a listing
    shows and could not be opened, and the reason. A folder that goes meanwhile counts as empty.
    """
    if not disk.is_folder(root, names):
        raise NotFound
    top = _Folder(names, _real(root, names), None)
    yield names, Entry(names[-1] if names else "", True, 0, _modified(top.real))
    pending = [top]
    while pending:
        folder = pending.pop()
        try:
            for entry in disk.scan(root, folder.names):
                below = (*folder.names, entry.name)
                if reason := _obstacle(root, folder, entry, pending):
                    on_left_out(below, reason)
                else:
                    yield below, entry
        except NotFound:
            if folder is top:
                raise
            on_left_out(folder.names, UNREADABLE)


def _obstacle(root: Root, folder: _Folder, entry: Entry, pending: list[_Folder]) -> str:
    """Why an entry is left out, "" if it is not; a folder is then added to those to be read."""
    if not entry.is_folder:
        is_readable = os.access(os.path.join(folder.real, entry.name), os.R_OK)
        return "" if is_readable else UNREADABLE
    names = (*folder.names, entry.name)
    real = _real(root, names)
    if folder.lies_in(real):
        return IS_LOOP
    pending.append(_Folder(names, real, folder))
    return ""


def _real(root: Root, names: tuple[str, ...]) -> str:
    return os.path.realpath(root.join(names))


def _modified(real: str) -> int:
    try:
        return os.stat(real).st_mtime_ns
    except OSError as error:
        raise os_errors.to_error(error, NotFound()) from error
