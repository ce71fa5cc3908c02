"""The log: structured events, each on one line that no client can forge."""

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

LOG_INTERVAL: Final = 1.0  # seconds between two tracebacks that clients may cause


def escape(text: str) -> str:
    r"""The text on one line: characters that end, hide or turn a line become ``\n``, ``\x1b``…

    Backslashes stay as they are, so that escaping twice is the same as once.
    """
    return _UNSAFE.sub(lambda match: match[0].encode("unicode_escape").decode("ascii"), text)


def escape_json(text: str) -> str:
    r"""JSON of the same value, with those characters as ``\u009b``, ``\u202e``…

    For JSON on one line, where they can stand in strings only.
    """
    return _UNSAFE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


class Logger(TwistedLogger):
    """Twisted's logger, with every value as escaped text, so that an event is one line.

    Numbers keep their type, so that format specifications work. A failure's traceback is part of
    the line. It is not under ``log_failure``, because Twisted's text formatter makes further lines
    of that; the older keys ``failure`` and ``isError`` make trial's ``flushLoggedErrors`` find it.
    """

    def emit(self, level: LogLevel, format: str | None = None, **fields: object) -> None:
        """Called by ``info``, ``failure`` and the others."""
        failure = fields.pop("log_failure", None)
        escaped = {key: _escape_value(key, value) for key, value in fields.items()}
        line = None if format is None else escape(format)
        if isinstance(failure, Failure):
            line = "{log_traceback}" if line is None else line + ": {log_traceback}"
            escaped |= {"log_traceback": _traceback(failure), "failure": failure, "isError": 1}
        super().emit(level, line, **escaped)


class SeldomFailures:
    """An observer that drops other packages' tracebacks but for one a second, which says how many
    were dropped: clients may cause them.

    Add it to the publisher before any other observer. ``seconds`` is monotonic.
    """

    def __init__(self, seconds: Callable[[], float]) -> None:
        self._seconds = seconds
        self._logged_at: float | None = None
        self._dropped = 0

    def __call__(self, event: LogEvent) -> None:
        if not isinstance(event.get("log_failure"), Failure):  # imgd's own have none, see Logger
            return
        now = self._seconds()
        if self._logged_at is not None and now - self._logged_at < LOG_INTERVAL:
            self._dropped += 1
            del event["log_failure"]
            event.update(log_format="", isError=0)
            return
        if self._dropped:
            text = f"{formatEvent(event)} (and {self._dropped} more that were not told)"
            event.update(log_format="{log_text}", log_text=text)
        self._logged_at, self._dropped = now, 0


def one_line(event: LogEvent) -> None:
    """An observer that puts every event of other packages on one line, for the observers after it.

    Add it to the publisher before any other observer: it changes the event itself.
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


def _escape_value(key: str, value: object) -> object:
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
    except Exception as error:  # an exception that cannot be formatted must not stop the log
        return escape(f"(no traceback: {safe_str(error)})")
