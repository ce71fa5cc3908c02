"""The headers that every answer carries, set before anything else can go wrong."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from imgd.core.gate import allowed_origin
from imgd.core.plan import Header

EVERY_ANSWER: Final[tuple[Header, ...]] = (
    (b"Server", b"imgd"),
    (b"X-Content-Type-Options", b"nosniff"),
)
EVERY_READ: Final[tuple[Header, ...]] = (
    (
        b"Access-Control-Expose-Headers",
        b"Accept-Ranges, Content-Disposition, Content-Length, Content-Range, ETag, Last-Modified",
    ),
    (b"Cross-Origin-Resource-Policy", b"cross-origin"),
)
PREFLIGHT: Final[tuple[Header, ...]] = (
    (b"Access-Control-Allow-Methods", b"GET, HEAD, POST, OPTIONS"),
    (
        b"Access-Control-Allow-Headers",
        b"Content-Type, Range, If-Range, If-None-Match, If-Modified-Since",
    ),
    (b"Access-Control-Max-Age", b"86400"),
)
RETRY_AFTER: Final[Header] = (b"Retry-After", b"5")  # seconds, with every 503
READ_METHODS: Final = (b"GET", b"HEAD", b"OPTIONS")


class HeaderPolicy:
    """What goes with an answer, before the answer is known."""

    def __init__(self, cors_origins: Sequence[str]) -> None:
        self._origins = tuple(cors_origins)
        self._open = self._read(None) if self._origins == ("*",) else None

    def _read(self, origin: bytes | None) -> tuple[Header, ...]:
        return (*EVERY_ANSWER, *allowed_origin(origin, self._origins), *EVERY_READ)

    def of(self, method: bytes, origin: bytes | None) -> tuple[Header, ...]:
        """The headers of an answer to this method and ``Origin``.

        CORS opens reading alone: an answer to POST carries none of it, so that no other origin can
        read what control says. A method that is unknown is answered like a read: it does nothing.
        """
        if method == b"POST":
            return EVERY_ANSWER
        return self._open if self._open is not None else self._read(origin)
