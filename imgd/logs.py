"""The log: structured events, each on one line that nobody outside can forge."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from twisted.logger import LogEvent, LogLevel, formatEvent
from twisted.logger import Logger as TwistedLogger
from twisted.python.failure import Failure
from twisted.python.reflect import safe_str

# C0, DEL and C1 controls, line separators, marks that turn the direction of text (Unicode
# UAX #9: ALM, LRM, RLM, embeddings, overrides, isolates), and lone surrogates (PEP 383).
_UNSAFE: Final = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)

TELL_EVERY: Final = 1.0  # seconds between two tracebacks that clients may bring about


def escape(text: str) -> str:
    r"""The text on one line: what could end it, hide it or turn it becomes ``\n``, ``\x1b``…

    Escaping twice is the same as once: a backslash stands for itself.
    """
    return _UNSAFE.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), text)


def escape_json(text: str) -> str:
    r"""JSON with the same value, in which the same is written as ``\u009b``, ``\u202e``…

    For JSON on one line: there they stand in strings alone.
    """
    return _UNSAFE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


class Logger(TwistedLogger):
    """Twisted's logger, with every value shown as escaped text, so that an event is one line.

    Numbers keep their type, and format specifications with it. A failure's traceback is part of the
    line. It is not under ``log_failure``, from which Twisted's text formatter makes further lines;
    the older keys ``failure`` and ``isError`` tell trial's ``flushLoggedErrors`` of it.
    """

    def emit(self, level: LogLevel, format: str | None = None, **fields: object) -> None:
        """Send an event to the observers; called by ``info``, ``failure`` and the others."""
        failure = fields.pop("log_failure", None)
        shown = {key: _shown(key, value) for key, value in fields.items()}
        line = None if format is None else escape(format)
        if isinstance(failure, Failure):
            line = "{log_traceback}" if line is None else line + ": {log_traceback}"
            shown |= {"log_traceback": _traceback(failure), "failure": failure, "isError": 1}
        super().emit(level, line, **shown)


class SeldomFailures:
    """An observer that silences other packages' tracebacks but for one a second, and has that one
    tell how many there were beside it: clients may bring them about.

    To be added to the publisher before any other observer. ``seconds`` is monotonic.
    """

    def __init__(self, seconds: Callable[[], float]) -> None:
        self._seconds = seconds
        self._told_at: float | None = None
        self._untold = 0

    def __call__(self, event: LogEvent) -> None:
        """Called for every event of the log."""
        if not isinstance(event.get("log_failure"), Failure):  # imgd's own have none, see Logger
            return
        now = self._seconds()
        if self._told_at is not None and now - self._told_at < TELL_EVERY:
            self._untold += 1
            del event["log_failure"]
            event.update(log_format="", isError=0)
            return
        if self._untold:
            text = f"{formatEvent(event)} (and {self._untold} more that were not told)"
            event.update(log_format="{log_text}", log_text=text)
        self._told_at, self._untold = now, 0


def one_line(event: LogEvent) -> None:
    """An observer that makes other packages' events one line each, for the observers after it.

    To be added to the publisher before any other observer: it changes the event itself.
    """
    text = escape(formatEvent(event))
    failure = event.pop("log_failure", None)
    if isinstance(failure, Failure):
        text = ": ".join(filter(None, (text, _traceback(failure))))
        event.update(failure=failure, isError=1)
    event.pop("log_flattened", None)
    event.update(log_text=text, log_format="{log_text}")
    if isinstance(system := event.get("log_system"), str):
        event["log_system"] = escape(system)


def _shown(key: str, value: object) -> object:
    if value is None or isinstance(value, int | float):
        return value
    if isinstance(value, bytes):
        return escape(value.decode("utf-8", "backslashreplace"))
    if key.startswith("log_") and not isinstance(value, str):
        return value  # Twisted's own: log_trace, log_source
    return escape(safe_str(value))


def _traceback(failure: Failure) -> str:
    try:
        return escape(failure.getTraceback().rstrip())
    except Exception as error:  # an exception that cannot even be shown must not stop the log
        return escape(f"(no traceback: {safe_str(error)})")
