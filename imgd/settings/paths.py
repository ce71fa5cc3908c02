"""Checks of paths that people give. ``ValueError`` says what is wrong, to follow the path itself:
"does not exist".
"""

from __future__ import annotations

import os
from typing import Final

NIIVUE_BUNDLE: Final = "niivue.umd.js"
STREAM: Final = "-"  # stands for a stream instead of a path


def absolute(text: str, base: str) -> str:
    """A path as people write it, below ``base`` if it is relative; ``-`` stays as it is."""
    if "\0" in text:
        raise ValueError("holds a NUL character")
    if text == STREAM:
        return text
    return os.path.abspath(os.path.join(base, os.path.expanduser(text)))


def folder(path: str) -> str:
    """A folder that exists and can be listed."""
    if not os.path.lexists(path):
        raise ValueError("does not exist")
    if not os.path.isdir(path):
        raise ValueError("is not a folder")
    _require_access(path, os.R_OK | os.X_OK)
    return path


def real_folder(path: str) -> str:
    """The real path of a folder that exists: what loads are compared with."""
    return os.path.realpath(folder(path))


def future_folder(path: str) -> str:
    """A folder that exists or can be made later."""
    if path == STREAM or (os.path.lexists(path) and not os.path.isdir(path)):
        raise ValueError("is not a folder")
    return path


def file(path: str) -> str:
    """A file that exists and can be read."""
    if not os.path.exists(path):
        raise ValueError("does not exist")
    if os.path.isdir(path):
        raise ValueError("is a folder, not a file")
    _require_access(path, os.R_OK)
    return path


def niivue_bundle(folder_path: str) -> str:
    """The path of NiiVue's bundle in a folder, as npm unpacks its package."""
    folder(folder_path)
    for names in (("package", "dist"), ("dist",), ()):
        path = os.path.join(folder_path, *names, NIIVUE_BUNDLE)
        if os.path.isfile(path):
            return file(path)
    raise ValueError(f"holds no dist/{NIIVUE_BUNDLE}; `npm pack @niivue/niivue@0.69.0` has it")


def log_file(path: str) -> str:
    """A file in a folder that exists, or ``-``."""
    if path != STREAM and os.path.isdir(path):
        raise ValueError("is a folder, not a file")
    if path != STREAM and not os.path.isdir(os.path.dirname(path)):
        raise ValueError("lies in a folder that does not exist")
    return path


def _require_access(path: str, mode: int) -> None:
    if not os.access(path, mode):
        raise ValueError("cannot be read; check its permissions")
