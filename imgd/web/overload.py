"""What a connection gets that is one too many: a 503, if it asks soon."""

from __future__ import annotations

from typing import Any, Final

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure

from imgd.core.http_rules import HeadError
from imgd.web import early_errors
from imgd.web.response_headers import EVERY_ANSWER, RETRY_AFTER

OVERLOADED: Final = HeadError(
    503, "imgd has as many connections as it takes. Try again in a moment."
)
# How many connections may wait for their 503 at once. Any more are closed without an answer.
MAX_OVERLOADED: Final = 64
REQUEST_TIMEOUT: Final = 5  # seconds


class OverloadedProtocol(Protocol):
    """Answers the first bytes of a connection with 503 and closes it.

    It waits for them: a socket that is closed with unread bytes resets the connection, and the
    client may lose the answer (RFC 9112 section 9.6).
    """

    transport: Any

    def __init__(self, waiting: set[OverloadedProtocol], clock: IReactorTime) -> None:
        self._waiting = waiting
        self._clock = clock
        self._timer: IDelayedCall | None = None

    def connectionMade(self) -> None:
        self._waiting.add(self)
        self._timer = self._clock.callLater(REQUEST_TIMEOUT, self.transport.abortConnection)

    def dataReceived(self, data: bytes) -> None:
        if data and not self.transport.disconnecting:
            self.transport.write(early_errors.answer(OVERLOADED, (*EVERY_ANSWER, RETRY_AFTER)))
            self.transport.loseConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._waiting.discard(self)
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
