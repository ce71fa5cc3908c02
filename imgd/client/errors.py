"""What can go wrong between the client and a server, each with what trying again would bring."""

from __future__ import annotations

from typing import Final

from imgd.errors import ImgdError

# Answers that may differ a moment later: RFC 9110 sections 15.6.3 to 15.6.5, RFC 6585 section 4.
FLEETING: Final = frozenset({429, 502, 503, 504})


class ClientError(ImgdError):
    """A request that did not succeed; ``detail`` is the sentence for the user.

    ``fleeting``: trying again may help. ``wait``: seconds that the server asked to wait first.
    """

    fleeting = False
    wait: float | None = None


class Unreachable(ClientError):
    """No connection, or one that was lost before the answer was whole."""

    fleeting = True


class Stale(Unreachable):
    """A kept-alive connection that had been closed while it was idle (RFC 9112 section 9.5)."""


class Untrusted(ClientError):
    """The server's certificate cannot be verified, or it does not speak TLS at all."""


class TimedOut(ClientError):
    """No whole answer before the deadline."""


class Misbehaved(ClientError):
    """The server's answer is not one that can be taken: malformed, endless, encoded, elsewhere."""


class Refused(ClientError):
    """The server said no: ``status`` is its HTTP status, ``detail`` its sentence."""

    def __init__(self, status: int, detail: str, wait: float | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.fleeting = status in FLEETING
        self.wait = wait
