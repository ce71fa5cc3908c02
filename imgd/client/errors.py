"""What can go wrong between the client and a server, and whether trying again may help."""

from __future__ import annotations

from typing import Final

from imgd.errors import ImgdError

# Answers that may differ a moment later: RFC 9110 sections 15.6.3 to 15.6.5, RFC 6585 section 4.
RETRYABLE_STATUSES: Final = frozenset({429, 502, 503, 504})


class ClientError(ImgdError):
    """A request that did not succeed; ``detail`` is the sentence for the user.

    ``retryable``: trying again may help. ``retry_after``: seconds that the server asked to wait.
    """

    retryable = False
    retry_after: float | None = None


class Unreachable(ClientError):
    """No connection, or one that was lost before the answer was whole."""

    retryable = True


class ConnectionReset(Unreachable):
    """A kept-alive connection that was closed while it was idle (RFC 9112 section 9.5)."""


class Untrusted(ClientError):
    """The server's certificate cannot be verified, or it does not speak TLS at all."""


class TimedOut(ClientError):
    """No whole answer before the deadline."""


class InvalidResponse(ClientError):
    """An answer that is not accepted: malformed, endless, compressed, or of another origin."""


class ErrorResponse(ClientError):
    """The server answered with an error: ``status`` is its HTTP status, ``detail`` its sentence."""

    def __init__(self, status: int, detail: str, retry_after: float | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.retryable = status in RETRYABLE_STATUSES
        self.retry_after = retry_after
