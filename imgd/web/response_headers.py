"""The headers of every answer, and which pages of other origins may read it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from imgd.core.access_rules import allowed_origin, is_listed
from imgd.core.plan import Header, serialize_headers

EVERY_ANSWER: Final[tuple[Header, ...]] = (
    (b"Server", b"imgd"),
    (b"X-Content-Type-Options", b"nosniff"),
)
SHARED: Final[tuple[Header, ...]] = (
    (
        b"Access-Control-Expose-Headers",
        b"Accept-Ranges, Content-Disposition, Content-Length, Content-Range, ETag, Last-Modified",
    ),
    (b"Cross-Origin-Resource-Policy", b"cross-origin"),
)
NOT_SHARED: Final[tuple[Header, ...]] = ((b"Cross-Origin-Resource-Policy", b"same-origin"),)
#: What ``HeaderPolicy.of`` may give.
POLICY_NAMES: Final = (
    *(b"Access-Control-Allow-Origin", b"Access-Control-Expose-Headers"),
    *(b"Cross-Origin-Resource-Policy", b"Timing-Allow-Origin", b"Vary"),
)
# Request headers that a page of another origin may set. Accept and some others need no leave but
# for bytes such as the quotes that viewers of DICOM send (Fetch standard, "CORS-safelisted
# request-header"): Accept: multipart/related; type="application/octet-stream".
REQUEST_HEADERS: Final = (
    b"Accept, Accept-Language, Cache-Control, Content-Language, Content-Type, If-Match, "
    b"If-Modified-Since, If-None-Match, If-Range, If-Unmodified-Since, Pragma, Range, "
    b"X-Requested-With"
)
PREFLIGHT_LIFE: Final = b"86400"  # seconds; browsers keep it for two hours or a day at most
RETRY_AFTER: Final[Header] = (b"Retry-After", b"5")  # seconds, with every 503
READ_METHODS: Final = (b"GET", b"HEAD", b"OPTIONS")


MAX_ORIGINS: Final = 64  # whose headers are remembered


class HeaderPolicy:
    """Which pages of other origins may read an answer. No origin can read what control says.

    ``cors_origins`` are those that were named, ``*`` for every one. If none was, every page may
    read files, for viewers do, and nothing else: no page learns what is loaded, or lists a folder.
    ``private``: reading needs the token, which pages of origins that were named may send.
    """

    def __init__(self, cors_origins: Sequence[str] = (), *, private: bool = False) -> None:
        self._named = tuple(cors_origins)
        self._private = private
        self.of = lru_cache(MAX_ORIGINS)(self._of)
        self.lines = lru_cache(MAX_ORIGINS)(self._lines)

    def _of(self, origin: bytes | None, is_file: bool) -> tuple[Header, ...]:
        """The headers of an answer to a read with this ``Origin``: to a file's path, or another."""
        if not (is_file or self._named):
            return NOT_SHARED
        return (*allowed_origin(origin, self._named or ("*",)), *SHARED)

    def _lines(self, origin: bytes | None, is_file: bool) -> bytes:
        """The same as header lines, with what every answer carries."""
        return serialize_headers((*EVERY_ANSWER, *self.of(origin, is_file)))

    def preflight(self, origin: bytes | None, *, is_read: bool) -> tuple[Header, ...]:
        """What the answer to OPTIONS carries besides, for a path that is read or, else, controls.

        A preflight has no credentials (Fetch standard, "CORS-preflight fetch"), so that it needs no
        token. None lets a page send the token to what controls.
        """
        may_authorize = is_read and self._private and is_listed(origin, self._named)
        allowed = b"Authorization, " + REQUEST_HEADERS if may_authorize else REQUEST_HEADERS
        return (
            (b"Access-Control-Allow-Methods", b"GET, HEAD, POST, OPTIONS"),
            (b"Access-Control-Allow-Headers", allowed),
            (b"Access-Control-Max-Age", PREFLIGHT_LIFE),
        )
