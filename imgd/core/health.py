"""What is wrong with the machine underneath, for as long as it is. Time is an argument, in seconds.

A fault that is met now and then (no descriptor left, a read that failed) is over when it was not
met for a while; one that lasts (a full disk) is over when whoever reported it says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

# What can be wrong.
STATE: Final = "state"  # what outlives a restart cannot be stored
CERTIFICATES: Final = "certificates"
DISK: Final = "disk"  # a directory does not answer
DESCRIPTORS: Final = "descriptors"  # none is left
READS: Final = "reads"  # a file failed while it was opened or read
ACCESS_LOG: Final = "access log"
CONNECTIONS: Final = "connections"  # there are as many as there may be
STANDSTILL: Final = "standstill"  # the process was held up

# What of it anybody may know.
REASONS: Final = {
    STATE: "What is loaded cannot be stored: loads and unloads fail.",
    CERTIFICATES: "The certificate stays as it is: it or its CA cannot be renewed.",
    DISK: "A directory does not answer.",
    DESCRIPTORS: "There is no file descriptor left.",
    READS: "The disk failed.",
    ACCESS_LOG: "The access log cannot be written.",
    CONNECTIONS: "There are as many connections as there may be.",
    STANDSTILL: "imgd was held up for seconds.",
}

QUIET: Final = 10.0  # seconds without a new report, after which a passing fault is over


@dataclass(slots=True)
class Fault:
    """A fault: ``reason`` is one sentence for anybody, without a path of the host."""

    reason: str
    since: float
    seen: float
    lasts: bool
    count: int = 1


class HealthState:
    """The faults of now, by name."""

    def __init__(self) -> None:
        self._faults: dict[str, Fault] = {}

    def __contains__(self, name: str) -> bool:
        return name in self._faults

    def report(self, name: str, reason: str, now: float, *, lasts: bool = False) -> bool:
        """A fault was met; whether it is news."""
        fault = self._faults.get(name)
        if fault is None:
            self._faults[name] = Fault(reason, now, now, lasts)
            return True
        fault.reason, fault.seen, fault.lasts = reason, now, lasts
        fault.count += 1
        return False

    def clear(self, name: str) -> Fault | None:
        """A fault is over; what it was, None where there was none."""
        return self._faults.pop(name, None)

    def settle(self, now: float) -> list[tuple[str, Fault]]:
        """Take away the passing faults that were not met for a while."""
        over = [
            (name, fault)
            for name, fault in self._faults.items()
            if not fault.lasts and now - fault.seen >= QUIET
        ]
        for name, _ in over:
            del self._faults[name]
        return over

    def reasons(self) -> list[str]:
        """One sentence for each fault, the oldest first."""
        return [fault.reason for fault in self._faults.values()]
