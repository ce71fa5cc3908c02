"""How much memory this process holds, asked for by one that may open nothing."""

from __future__ import annotations

import os
import sys
from typing import Final

_STATM: Final = "/proc/self/statm"  # proc(5): the second number is resident pages


class MemoryGauge:
    """To be made before the sandbox is entered."""

    def __init__(self) -> None:
        self._fd = os.open(_STATM, os.O_RDONLY) if os.path.exists(_STATM) else None

    def used(self) -> int:
        """Bytes of resident memory; the most there ever were, if the system does not say."""
        if self._fd is not None:
            return int(os.pread(self._fd, 100, 0).split()[1]) * os.sysconf("SC_PAGE_SIZE")
        import resource

        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return most if sys.platform == "darwin" else most * 1024
