"""Connections that could not be accepted, told once and not for each of a thousand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from twisted.logger import LogEvent

_NAMESPACE: Final = "twisted.internet.tcp"
_SAID: Final = ("EMFILE", "Re-reserving EMFILE", "Could not accept new connection")


class AcceptErrors:
    """A log observer that silences what twisted says of each such connection, and calls ``met``.

    To be added to the publisher before any other observer. Twisted keeps a descriptor in reserve to
    accept and close what waits, so that a port without descriptors does not spin.
    """

    def __init__(self, met: Callable[[str], None]) -> None:
        self._met = met

    def __call__(self, event: LogEvent) -> None:
        """Called for every event of the log."""
        text = event.get("log_format")
        if not isinstance(text, str) or not text.startswith(_SAID):
            return
        if str(event.get("log_namespace", "")).startswith(_NAMESPACE):
            event["log_format"] = ""
            self._met(str(event.get("acceptError", "EMFILE")))
