"""Connections that could not be accepted: reported once, not logged for each of a thousand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from twisted.logger import LogEvent

_NAMESPACE: Final = "twisted.internet.tcp"
_MESSAGES: Final = ("EMFILE", "Re-reserving EMFILE", "Could not accept new connection")


class AcceptErrors:
    """A log observer that silences Twisted's lines about such connections and calls ``report`` with
    the name of the error, as ``EMFILE``.

    To be added to the publisher before any other observer. Twisted keeps a descriptor in reserve to
    accept and close waiting connections, so that a port without descriptors does not spin.
    """

    def __init__(self, report: Callable[[str], None]) -> None:
        self._report = report

    def __call__(self, event: LogEvent) -> None:
        """Called for every event of the log."""
        message = event.get("log_format")
        if not isinstance(message, str) or not message.startswith(_MESSAGES):
            return
        if str(event.get("log_namespace", "")).startswith(_NAMESPACE):
            event["log_format"] = ""
            self._report(str(event.get("acceptError", "EMFILE")))
