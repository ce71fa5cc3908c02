"""What a load passed over: counted while a directory is read, and told in one line."""

from __future__ import annotations

import re
from collections import Counter
from typing import Final

from imgd.core import media
from imgd.core.messages import SkippedFiles

SHOWN_SUFFIXES: Final = 10
# Different suffixes that are counted apart: whoever fills a directory can invent any number.
MAX_SUFFIXES: Final = 1_000
_SUFFIX: Final = re.compile(r"\.(?=.*[a-z])[a-z0-9_+~-]{1,12}")  # not the last number of a UID


class SkippedCount:
    """Counts what a collection does not serve, while its folders are read."""

    def __init__(self) -> None:
        self.folders = 0
        self.links = 0
        self._files = 0
        self._suffixes: Counter[str] = Counter()

    def add_file(self, name: str) -> None:
        """Count a file by its suffix."""
        self._files += 1
        last = media.suffix(name)
        suffix = last if _SUFFIX.fullmatch(last) else ""
        if suffix in self._suffixes or len(self._suffixes) < MAX_SUFFIXES:
            self._suffixes[suffix] += 1

    def message(self, *, images_below: bool = False) -> SkippedFiles:
        """What was counted, with the most frequent suffixes."""
        return SkippedFiles(
            count=self._files,
            suffixes=dict(self._suffixes.most_common(SHOWN_SUFFIXES)),
            folders=self.folders,
            links=self.links,
            images_below=images_below,
        )


def describe(skipped: SkippedFiles) -> str:
    """``9 files (7 .txt, 2 without a suffix), 1 folder``; "" if nothing was passed over."""
    parts = []
    if skipped.count:
        parts.append(_counted(skipped.count, "file") + _by_suffix(skipped))
    if skipped.folders:
        parts.append(_counted(skipped.folders, "folder"))
    if skipped.links:
        parts.append(_counted(skipped.links, "link") + " to elsewhere or nowhere")
    return ", ".join(parts)


def _by_suffix(skipped: SkippedFiles) -> str:
    shown = [f"{count:,} {name or 'without a suffix'}" for name, count in skipped.suffixes.items()]
    rest = skipped.count - sum(skipped.suffixes.values())
    if rest and shown:
        shown.append(f"{rest:,} others")
    return f" ({', '.join(shown)})" if shown else ""


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
