"""Signed links: whoever has one may read one file, or one folder and what is below, for a time.

``/-/s/EXPIRY.SIGNATURE/images/NAME``: the signature comes before the path, so that the URL still
ends as the file does; viewers go by that, and pass on no headers. For a folder it is
``EXPIRY-DEPTH.SIGNATURE``, and the first DEPTH segments of the path are what was signed.
"""

from __future__ import annotations

import hmac
import re
from base64 import urlsafe_b64encode
from typing import Final, NamedTuple

from imgd.core import paths
from imgd.core.messages import MAX_MINUTES
from imgd.core.routes import SIGNED_BASE, RouteKind, route, split_view
from imgd.errors import BadRequest, Forbidden, Gone

KEY_SIZE: Final = 32  # bytes, as many as SHA-256 gives
MAX_SECONDS: Final = MAX_MINUTES * 60
# The longest lifetime of a link that a local program makes without the token.
MAX_LOCAL_SECONDS: Final = 7 * 86_400
_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_DURATION: Final = re.compile(r"([0-9]{1,9})([smhdw]?)")
# Seconds since the epoch; depth; HMAC-SHA256 as base64url without padding, 43 characters.
# Each link has one spelling: no number begins with a zero.
_TICKET: Final = re.compile(rb"([1-9][0-9]{0,11})(?:-(0|[1-9][0-9]{0,2}))?\.([A-Za-z0-9_-]{43})")


class Scope(NamedTuple):
    """What a link is for: decoded segments of a path, and whether all below it is included."""

    segments: tuple[str, ...]
    is_prefix: bool

    @classmethod
    def of(cls, path: str, *, is_prefix: bool) -> Scope:
        """The scope of a URL's path, percent-encoded or not; BadRequest if no link can be for it.

        Control characters, dot segments, hidden names and what belongs to ``/-/`` get no link.
        """
        raw = path.encode("utf-8", "surrogateescape")
        segments = _segments(raw)
        names = segments[:-1] if segments[-1:] == ("",) else segments
        if not (path.startswith("/") and path.isprintable() and all(map(paths.is_servable, names))):
            raise BadRequest("Give the path of a file or folder as its URL has it: /images/a.nii.")
        if route(raw).kind in (RouteKind.ASSETS, RouteKind.SIGNED, RouteKind.VIEW):
            raise BadRequest("What is below /-/ needs no link.")
        return cls(names if is_prefix else segments, is_prefix)

    @property
    def path(self) -> str:
        """The path, percent-encoded in the one way that is signed; a folder ends in a slash."""
        end = "/" if self.is_prefix and self.segments else ""
        return "/" + paths.encode(*self.segments) + end


def sign(key: bytes, scope: Scope, expires: int, page: str = "") -> str:
    """The path of a link; ``expires`` is in whole seconds since the epoch.

    ``page`` is "", or ``/-/view`` for a link to the page that shows what is in scope.
    """
    depth = f"-{len(scope.segments)}" if scope.is_prefix else ""
    signature = _signature(key, scope, expires).decode("ascii")
    return f"{SIGNED_BASE}{expires}{depth}.{signature}{page}{scope.path}"


def verify(key: bytes, ticket: bytes, path: bytes, now: float) -> Scope:
    """The scope of this link, if it is good for this path, which begins with ``/``. A link to a
    file or folder is good for the page that shows it.

    No file is looked at. ``ticket`` is the segment before the path. Forbidden if it is not imgd's
    or for another path, and Gone if it was good and has expired; only who held a good link learns
    of that.
    """
    match = _TICKET.fullmatch(ticket)
    if match is None or not path.startswith(b"/"):
        raise Forbidden(_WRONG)
    expires, depth = int(match[1]), match[2]
    segments = _segments(split_view(path)[1])
    scope = Scope(segments, False) if depth is None else Scope(segments[: int(depth)], True)
    if not hmac.compare_digest(_signature(key, scope, expires), match[3]):
        raise Forbidden(_WRONG)
    if now >= expires:
        raise Gone("This link has expired: ask for a new one.")
    return scope


def seconds(text: int | str) -> int:
    """How long a link lives: seconds, or a number with one of s, m, h, d, w; else BadRequest."""
    match = _DURATION.fullmatch(str(text))
    lifetime = int(match[1]) * _UNITS[match[2] or "s"] if match else 0
    if not 1 <= lifetime <= MAX_SECONDS:
        raise BadRequest(
            "Field 'expires' must be seconds, or a number with s, m, h, d or w behind it, such as "
            "1h; ten years at most."
        )
    return lifetime


_WRONG: Final = "This link is not good for this path: it was changed, cut, or revoked."


def _segments(path: bytes) -> tuple[str, ...]:
    """Decoded once, as everywhere: what is signed is what is served."""
    return tuple(paths.decode(segment) for segment in path.removeprefix(b"/").split(b"/"))


def _signature(key: bytes, scope: Scope, expires: int) -> bytes:
    """Of the expiry, the kind and the path in its one encoding, which has no line ends."""
    kind = f"below {len(scope.segments)}" if scope.is_prefix else "only"
    path = paths.encode(*scope.segments)
    message = f"imgd link 1\n{expires}\n{kind}\n{path}".encode("ascii")
    return urlsafe_b64encode(hmac.digest(key, message, "sha256")).rstrip(b"=")
