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
        folder: _Folder | None = self
        while folder is not None and folder.real != real:
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
                if not entry.is_folder:
                    if not os.access(os.path.join(folder.real, entry.name), os.R_OK):
                        on_left_out(below, UNREADABLE)
                        continue
                elif folder.lies_in(real := _real(root, below)):
                    on_left_out(below, IS_LOOP)
                    continue
                else:
                    pending.append(_Folder(below, real, folder))
                yield below, entry
        except NotFound:
            if folder.names == names:
                raise
            on_left_out(folder.names, UNREADABLE)


def _real(root: Root, names: tuple[str, ...]) -> str:
    return os.path.realpath(root.join(names))


def _modified(real: str) -> int:
    try:
        return os.stat(real).st_mtime_ns
    except OSError as error:
        raise os_errors.to_error(error, NotFound()) from error
