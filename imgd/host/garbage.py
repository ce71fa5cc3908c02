"""Python's search for garbage, put off while a lot is made that is none."""

from __future__ import annotations

import gc
from types import TracebackType


class GarbagePause:
    """A context manager that may be entered again inside; on the reactor's thread.

    A search holds up every thread, some 100 ms for a million objects, and one that makes as many
    objects as there are already causes several. What nobody refers to is freed all the same: cycles
    alone wait for a search.
    """

    def __init__(self) -> None:
        self._users = 0

    def __enter__(self) -> None:
        self._users += 1
        gc.disable()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._users -= 1
        if not self._users:
            gc.enable()
