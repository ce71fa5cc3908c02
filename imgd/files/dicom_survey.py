"""Which of a collection's names are DICOM files, and the facts of each as it is now."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from typing import NamedTuple

from imgd.core import media
from imgd.core.conditional import FileFacts
from imgd.errors import NotFound
from imgd.files import disk
from imgd.files.disk import Root
from imgd.host.workers import JobProgress


class SurveyedFile(NamedTuple):
    """A DICOM file: its name from the root, with slashes, and its real path."""

    name: str
    real: str
    facts: FileFacts


def find(root: Root, names: Iterable[str], progress: JobProgress) -> list[SurveyedFile]:
    """Those of these names that are DICOM by their suffix or their bytes, in the same order.

    Blocks for one ``lstat`` a file. Only files whose bytes are not remembered are opened. NotFound
    if the root is not there.
    """
    if not disk.is_folder(root, ()):
        raise NotFound
    folders: dict[str, str | None] = {}
    found = []
    for name in names:
        progress.step()
        folder, _, last = name.rpartition("/")
        if media.media_type(last) != media.DICOM and not root.looks_into(last):
            continue
        if folder not in folders:
            folders[folder] = _real_folder(root, folder)
        if (real := folders[folder]) and (file := _find(root, real, name, last)):
            found.append(file)
    return found


def _real_folder(root: Root, folder: str) -> str | None:
    names = tuple(folder.split("/")) if folder else ()
    return os.path.realpath(root.join(names)) if disk.is_folder(root, names) else None


def _find(root: Root, folder: str, name: str, last: str) -> SurveyedFile | None:
    path = os.path.join(folder, last)
    try:
        st = os.lstat(path)
        if stat.S_ISLNK(st.st_mode):
            path = os.path.realpath(path, strict=True)
            st = os.stat(path)
            root.judge(path)
    except (OSError, ValueError, NotFound):
        return None
    if not stat.S_ISREG(st.st_mode):
        return None
    if media.media_type(last) != media.DICOM and not disk.is_dicom(root, path, st):
        return None
    facts = FileFacts(st.st_size, st.st_mtime_ns, st.st_ctime_ns, st.st_ino)
    return SurveyedFile(name, path, facts)
