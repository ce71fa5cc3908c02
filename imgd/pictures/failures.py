"""Why pictures could not be made, remembered for a while: nobody pays for a failure twice."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from imgd.errors import ImgdError

LIFE: Final = 600.0  # seconds for which no second attempt is made
MAX_ENTRIES: Final = 4096
# What another attempt would end in, too.
_LASTING: Final = frozenset((400, 413, 415, 422))


class Failures:
    """Errors by key. ``seconds`` is a monotonic clock."""

    def __init__(self, seconds: Callable[[], float]) -> None:
        self._seconds = seconds
        self._entries: OrderedDict[str, tuple[float, int, str]] = OrderedDict()

    def check(self, key: str) -> None:
        """Raise the error of this key, if one is remembered."""
        until, status, detail = self._entries.get(key, (0.0, 0, ""))
        if self._seconds() < until:
            raise ImgdError.of(status, detail)
        self._entries.pop(key, None)

    def add(self, key: str, error: ImgdError) -> None:
        """Remember an error that will last, in place of the oldest if there are too many."""
        if error.status not in _LASTING:
            return
        self._entries[key] = self._seconds() + LIFE, error.status, error.detail
        if len(self._entries) > MAX_ENTRIES:
            self._entries.popitem(last=False)
