"""How often folders are read, counted by the interpreter's audit events."""

from __future__ import annotations

import sys
from collections import Counter
from typing import Any

_counts: Counter[str] = Counter()


def _count(event: str, args: tuple[Any, ...]) -> None:
    if event == "os.scandir":
        _counts[str(args[0])] += 1


sys.addaudithook(_count)  # which cannot be removed


class Scans:
    """Counts how often a folder is read from now on."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._before = _counts[folder]

    @property
    def count(self) -> int:
        return _counts[self._folder] - self._before
