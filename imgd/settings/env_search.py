"""Which ``.env`` is read: the one in the working folder, else the nearest above it."""

from __future__ import annotations

import os
from pathlib import PurePath
from typing import Final

from imgd.settings import file_trust

NAME: Final = ".env"


def find(cwd: str) -> tuple[str | None, str]:
    """The path of the file, None if there is none; and a sentence if one was passed over.

    As python-dotenv's ``find_dotenv``, but a folder above the working folder in which others could
    have put the file ends the search. Such a file is no problem of the start, for otherwise one in
    ``/tmp`` would keep everybody from starting imgd anywhere below.
    """
    for folder in (cwd, *map(str, PurePath(cwd).parents)):
        path = os.path.join(folder, NAME)
        if not os.path.exists(path) or os.path.isdir(path):
            continue
        if folder != cwd and (why := file_trust.why_untrusted_folder(folder)):
            return None, f"{path} is not read, as {why}"
        return path, ""
    return None, ""
