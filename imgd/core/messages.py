"""The JSON vocabulary of both ends: what the daemon says, and what it is asked."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import Final, TypeVar

import msgspec
from msgspec import UNSET, Struct, UnsetType

from imgd.core.urls import parse_url
from imgd.errors import BadRequest

# Ten years: no date that a clock can be asked for overflows.
MAX_MINUTES: Final = 60 * 24 * 365 * 10
COLLECTION_NAME: Final = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}")


class Collection(Struct, kw_only=True):
    """A loaded directory. Times are RFC 3339, UTC; ``expires_at`` null means never."""

    name: str
    directory: str
    recursive: bool
    image_count: int
    loaded_at: str
    expires_at: str | None
    url: str
    current: bool
    available: bool = True


class Collections(Struct, kw_only=True):
    """``GET /collections``."""

    collections: list[Collection]


class Image(Struct, kw_only=True):
    """One image of a collection: ``size`` in bytes, ``modified`` RFC 3339, UTC."""

    name: str
    url: str
    size: int
    modified: str
    media_type: str


class ImagePage(Struct, kw_only=True):
    """A page of a collection's images; ``count`` is of the whole, ``next`` the next page's path."""

    images: list[Image]
    count: int
    next: str | None


class Status(Struct, kw_only=True):
    """``GET /``. Dates are ``YYYY-mm-dd HH:MM:SS`` in the server's local time, or null."""

    current_directory: str | None
    image_count: int
    image_list: list[str]
    image_list_truncated: bool
    load_time: str | None
    auto_unload_at: str | None
    timeout_minutes: int | None
    time_remaining: str | None
    collections: list[Collection]
    version: str


class StatusTold(Status, kw_only=True):
    """The same as the daemon tells it: the list was made JSON when the directory was read."""

    image_list: msgspec.Raw  # type: ignore[assignment]


class Health(Struct, kw_only=True):
    """``GET /health``: ``status`` is "healthy", or "degraded" with ``reasons``, a sentence each."""

    status: str = "healthy"
    service: str = "image-server"
    version: str
    uptime_seconds: float
    reasons: list[str] | UnsetType = UNSET


class Timeout(Struct, kw_only=True):
    """``GET /timeout``."""

    timeout_minutes: int
    timeout_enabled: bool


class TimeoutSet(Struct, kw_only=True):
    """The answer to ``POST /timeout/MINUTES``."""

    status: str = "success"
    timeout_minutes: int
    timeout_enabled: bool
    message: str


class LoadRequest(Struct, kw_only=True):
    """The body of ``POST /load-directory``: ``directory``, or ``path`` as older clients say."""

    directory: str | UnsetType = UNSET
    path: str | UnsetType = UNSET
    timeout_minutes: int | None = None
    name: str | None = None
    recursive: bool = False

    @property
    def wanted(self) -> str:
        """The directory asked for, as it was given."""
        given = self.path if isinstance(self.directory, UnsetType) else self.directory
        if isinstance(given, UnsetType) or not given.strip():
            raise BadRequest("Field 'directory' is missing: name the directory to load.")
        if "\0" in given:
            raise BadRequest("Field 'directory' holds a NUL character.")
        return given


class Loaded(Struct, kw_only=True):
    """The answer to ``POST /load-directory``."""

    status: str = "success"
    directory: str
    image_count: int
    message: str
    timeout: str
    collection: Collection


class UnloadRequest(Struct, kw_only=True):
    """The body of ``POST /unload``, where there is one."""

    name: str | None = None


class Unloaded(Struct, kw_only=True):
    """The answer to ``POST /unload``."""

    status: str = "success"
    message: str = "Directory unloaded successfully"


class Problem(Struct, kw_only=True):
    """Every error: one sentence that says what to do."""

    detail: str


T = TypeVar("T")
_NOT_JSON: Final = 'The body is not JSON: send an object such as {"directory": "DIR"}.'
_encoder: Final = msgspec.json.Encoder()


def encode(message: object) -> bytes:
    """A message as JSON."""
    return _encoder.encode(message)


def decode(body: bytes, kind: type[T]) -> T:
    """A request's body as a message of this kind; BadRequest names the field that is wrong."""
    try:
        message = msgspec.json.decode(body, type=kind)
        json.loads(body.decode("utf-8"), object_pairs_hook=_without_doubles)
    except msgspec.ValidationError as error:
        what, _, place = str(error).partition(" - at `$")  # as msgspec writes it
        field = place.strip(".`")
        where = f"Field '{field}'" if field else "The body"
        raise BadRequest(f"{where} is of the wrong shape: {what[:1].lower()}{what[1:]}.") from None
    except (msgspec.DecodeError, ValueError, RecursionError):
        raise BadRequest(_NOT_JSON) from None
    return message


def _without_doubles(pairs: list[tuple[str, object]]) -> None:
    """A key that is there twice means one thing here and another to whoever looked before."""
    if len(dict(pairs)) < len(pairs):
        raise BadRequest("A field stands twice in the body.")


def valid_name(name: str) -> str:
    """A collection's name, or BadRequest."""
    if not COLLECTION_NAME.fullmatch(name):
        raise BadRequest(
            "Field 'name' must be 1 to 64 of the characters A-Z a-z 0-9 . _ -, without a dot first."
        )
    return name


def valid_minutes(minutes: int, field: str = "timeout_minutes") -> int:
    """A timer's length in whole minutes, 0 for never, or BadRequest."""
    if not 0 <= minutes <= MAX_MINUTES:
        raise BadRequest(f"{field} must be a whole number from 0 (never) to {MAX_MINUTES}.")
    return minutes


def utc(seconds: float) -> str:
    """Seconds since the epoch as RFC 3339 in UTC, to the second."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def local(seconds: float) -> str:
    """Seconds since the epoch as ``YYYY-mm-dd HH:MM:SS`` in the machine's time zone."""
    return datetime.fromtimestamp(seconds).strftime("%Y-%m-%d %H:%M:%S")


def remaining(seconds: float) -> str:
    """A span as ``"29m 59s"``."""
    minutes, rest = divmod(max(0, int(seconds)), 60)
    return f"{minutes}m {rest}s"


class PublicUrlRequest(Struct, kw_only=True):
    """The body of ``POST /public-url``; null goes back to the listener's own URL."""

    url: str | None


class PublicUrlSet(Struct, kw_only=True):
    """The answer to ``POST /public-url``."""

    status: str = "success"
    public_url: str | None
    message: str


class LinkRequest(Struct, kw_only=True):
    """The body of ``POST /links``: a ``path`` of this server, or a ``url`` that was handed out.

    ``expires`` is in seconds, or like "1h". ``prefix``: everything below the path too.
    """

    path: str | UnsetType = UNSET
    url: str | UnsetType = UNSET
    expires: int | str = 3600
    prefix: bool = False


class LinkMade(Struct, kw_only=True):
    """The answer to ``POST /links``; ``expires_at`` is RFC 3339, UTC."""

    status: str = "success"
    url: str
    expires_at: str


class LinksRevoked(Struct, kw_only=True):
    """The answer to ``POST /links/revoke``."""

    status: str = "success"
    message: str = "No link made before is good any more"


def valid_base_url(url: str, field: str = "Field 'url'") -> str:
    """An http or https URL with a host and nothing after its path, without the last slash."""
    base = url.strip()
    parsed = parse_url(base)
    if parsed is None or parsed.origin.port == 0 or "?" in base or "#" in base:
        raise BadRequest(f"{field} must be an http or https URL such as https://example.org.")
    return base.rstrip("/")
