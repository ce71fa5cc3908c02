"""Faults as the log and ``/health`` report them: once when one begins, once when it is over."""

from __future__ import annotations

from collections.abc import Callable

from twisted.python.failure import Failure

from imgd.core.health import REASONS, Fault, HealthState
from imgd.logs import LOG_INTERVAL, Logger


class HealthMonitor:
    """Whatever meets a fault reports it here, on the reactor's thread. ``seconds`` is monotonic.

    The log has one line of a fault's beginning and one of its end, however often it is met.
    """

    log = Logger()

    def __init__(self, seconds: Callable[[], float]) -> None:
        self._seconds = seconds
        self._faults = HealthState()
        self._last_failure: float | None = None
        self._skipped_failures = 0

    def __contains__(self, name: str) -> bool:
        return name in self._faults

    def report(self, name: str, *, detail: object = "", lasts: bool = False) -> None:
        """A fault of ``imgd.core.health`` was met; ``detail`` is for the log alone. One that
        ``lasts`` is over when it is cleared, others when they were not met for a while.
        """
        reason = REASONS[name]
        if self._faults.report(name, reason, self._seconds(), lasts=lasts):
            self.log.error(
                "Degraded ({name}): {reason}{more}",
                name=name,
                reason=reason,
                more=f" [{detail}]" if detail else "",
            )

    def clear(self, name: str) -> None:
        """A fault is over."""
        if (fault := self._faults.clear(name)) is not None:
            self._log_recovery(name, fault)

    def unexpected(self, what: str, failure: Failure) -> None:
        """An error that nobody foresaw, but somebody outside may have caused: logged once a second
        at most, with the number of those that were not.
        """
        now = self._seconds()
        if self._last_failure is not None and now - self._last_failure < LOG_INTERVAL:
            self._skipped_failures += 1
            return
        skipped = self._skipped_failures
        more = f" (and {skipped} more that were not logged)" if skipped else ""
        self._last_failure, self._skipped_failures = now, 0
        self.log.failure("{what}{more}", failure, what=what, more=more)

    def tick(self) -> None:
        """Called every second or so: passing faults come to their end."""
        for name, fault in self._faults.clear_passed(self._seconds()):
            self._log_recovery(name, fault)

    def reasons(self) -> list[str]:
        """One sentence for each fault that there is now."""
        return self._faults.reasons()

    def _log_recovery(self, name: str, fault: Fault) -> None:
        self.log.info(
            "Recovered ({name}): met {count} times in {span} s",
            name=name,
            count=fault.count,
            span=round(self._seconds() - fault.since),
        )
