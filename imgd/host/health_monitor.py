"""Faults as the log and ``/health`` tell them: once when one begins, once when it is over."""

from __future__ import annotations

from collections.abc import Callable

from twisted.python.failure import Failure

from imgd.core.health import REASONS, Fault, HealthState
from imgd.errors import ImgdError
from imgd.logs import LOG_INTERVAL, Logger


class HealthMonitor:
    """Whoever meets a fault reports it here. ``seconds`` is a monotonic clock.

    To be called on the reactor's thread. The log is told of a fault's beginning and its end,
    however often it is met in between.
    """

    log = Logger()

    def __init__(self, seconds: Callable[[], float]) -> None:
        self._seconds = seconds
        self._faults = HealthState()
        self._told_at: float | None = None
        self._untold = 0

    def __contains__(self, name: str) -> bool:
        return name in self._faults

    def report(self, name: str, *, detail: object = "", lasts: bool = False) -> None:
        """A fault of ``imgd.core.health`` was met; ``detail`` is for the log alone."""
        reason = REASONS[name]
        if self._faults.report(name, reason, self._seconds(), lasts=lasts):
            self.log.error(
                "Degraded ({name}): {reason}{more}",
                name=name,
                reason=reason,
                more=f" [{detail}]" if detail else "",
            )

    def met(self, error: ImgdError) -> None:
        """An answer was 503 for this error: where it names a fault, that fault is reported."""
        if name := getattr(error, "fault", ""):
            self.report(name, detail=error.__cause__ or "")

    def clear(self, name: str) -> None:
        """A fault is over."""
        if (fault := self._faults.clear(name)) is not None:
            self._tell_over(name, fault)

    def unexpected(self, what: str, failure: Failure) -> None:
        """What nobody foresaw, but somebody outside may have brought about: told once a second at
        most, and with the next how many were not.
        """
        now = self._seconds()
        if self._told_at is not None and now - self._told_at < LOG_INTERVAL:
            self._untold += 1
            return
        more = f" (and {self._untold} more that were not told)" if self._untold else ""
        self._told_at, self._untold = now, 0
        self.log.failure("{what}{more}", failure, what=what, more=more)

    def tick(self) -> None:
        """Called every second or so: passing faults come to their end."""
        for name, fault in self._faults.clear_passed(self._seconds()):
            self._tell_over(name, fault)

    def reasons(self) -> list[str]:
        """One sentence for each fault that there is now."""
        return self._faults.reasons()

    def _tell_over(self, name: str, fault: Fault) -> None:
        self.log.info(
            "Recovered ({name}): met {count} times in {span} s",
            name=name,
            count=fault.count,
            span=round(self._seconds() - fault.since),
        )
