"""Which faults of the machine underneath there are now. Time is an argument, in seconds.

A passing fault (no descriptor left, a read that failed) is over when it was not reported for a
while. A lasting fault (a full disk) is over when it is cleared.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

STATE: Final = "state"  # what outlives a restart cannot be stored
CERTIFICATES: Final = "certificates"
DISK: Final = "disk"  # a directory does not answer
DESCRIPTORS: Final = "descriptors"  # none is left
READS: Final = "reads"  # opening or reading a file failed
ACCESS_LOG: Final = "access log"
CONNECTIONS: Final = "connections"  # there are as many as there may be
PICTURES: Final = "pictures"  # no worker can be started
STANDSTILL: Final = "standstill"  # the process was held up

# What anybody may know of each fault.
REASONS: Final = {
    STATE: "What is loaded cannot be stored: loads and unloads fail.",
    CERTIFICATES: "The certificate stays as it is: it or its CA cannot be renewed.",
    DISK: "A directory does not answer.",
    DESCRIPTORS: "There is no file descriptor left.",
    READS: "The disk failed.",
    ACCESS_LOG: "The access log cannot be written.",
    CONNECTIONS: "There are as many connections as there may be.",
    PICTURES: "Pictures cannot be made.",
    STANDSTILL: "imgd was held up for seconds.",
}

QUIET: Final = 10.0  # seconds without a report, after which a passing fault is over


@dataclass(slots=True)
class Fault:
    """A fault. ``reason`` is one sentence that anybody may read: no path of the host is in it."""

    reason: str
    since: float
    seen: float
    lasts: bool
    count: int = 1


class HealthState:
    """The faults that there are now, by name."""

    def __init__(self) -> None:
        self._faults: dict[str, Fault] = {}

    def __contains__(self, name: str) -> bool:
        return name in self._faults

    def report(self, name: str, reason: str, now: float, *, lasts: bool = False) -> bool:
        """Note a fault. Returns whether it is new."""
        fault = self._faults.get(name)
        if fault is None:
            self._faults[name] = Fault(reason, now, now, lasts)
            return True
        fault.reason, fault.seen, fault.lasts = reason, now, lasts
        fault.count += 1
        return False

    def clear(self, name: str) -> Fault | None:
        """End a fault. Returns it, or None if there was none."""
        return self._faults.pop(name, None)

    def clear_passed(self, now: float) -> list[tuple[str, Fault]]:
        """End the passing faults that were not reported for a while, and return them."""
        passed = [
            (name, fault)
            for name, fault in self._faults.items()
            if not fault.lasts and now - fault.seen >= QUIET
        ]
        for name, _ in passed:
            del self._faults[name]
        return passed

    def reasons(self) -> list[str]:
        """One sentence for each fault, the oldest first."""
        return [fault.reason for fault in self._faults.values()]
