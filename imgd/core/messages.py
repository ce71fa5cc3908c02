"""The JSON that daemon and client exchange: requests, answers and the checks of their values."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Final

import msgspec
from msgspec import UNSET, Struct, UnsetType

from imgd.core.urls import parse_url
from imgd.errors import BadRequest

# Ten years: no date that a clock can be asked for overflows.
MAX_MINUTES: Final = 60 * 24 * 365 * 10
COLLECTION_NAME: Final = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}")


class SkippedFiles(Struct, kw_only=True, frozen=True):
    """What a directory holds and its collection does not serve, without what is served nowhere.

    ``count`` files; the most frequent of their ``suffixes`` ("" for none) with the files of each.
    ``folders`` that were not read, as the load was not recursive or may not. ``links`` that lead
    out of the directory, or nowhere. ``images_below``: nothing was loaded, and such a folder holds
    images.
    """

    count: int = 0
    suffixes: dict[str, int] = {}
    folders: int = 0
    links: int = 0
    images_below: bool = False


class CollectionInfo(Struct, kw_only=True):
    """A loaded directory. Times are RFC 3339, UTC; ``expires_at`` null means never.

    ``skipped`` is null until the directory is read: after a restart when its images are asked for.
    """

    name: str
    directory: str
    recursive: bool
    image_count: int
    loaded_at: str
    expires_at: str | None
    url: str
    current: bool
    available: bool = True
    all_files: bool = False
    skipped: SkippedFiles | None = None


class CollectionList(Struct, kw_only=True):
    """``GET /collections``."""

    collections: list[CollectionInfo]


class Image(Struct, kw_only=True):
    """One image of a collection: ``size`` in bytes, ``modified`` RFC 3339, UTC."""

    name: str
    url: str
    size: int
    modified: str
    media_type: str


class ImagePage(Struct, kw_only=True):
    """A page of a collection's images. ``count`` is of all pages, ``next`` the next page's path."""

    images: list[Image]
    count: int
    next: str | None


class StatusInfo(Struct, kw_only=True):
    """``GET /``. Dates are ``YYYY-mm-dd HH:MM:SS`` in the server's local time, or null.

    ``image_list_note`` says how to get the names that are missing, null if none is.
    """

    current_directory: str | None
    image_count: int
    image_list: list[str]
    image_list_truncated: bool
    image_list_note: str | None = None
    load_time: str | None
    auto_unload_at: str | None
    timeout_minutes: int | None
    time_remaining: str | None
    collections: list[CollectionInfo]
    version: str


class EncodedStatus(StatusInfo, kw_only=True):
    """StatusInfo as the daemon sends it: the list was made JSON when the directory was read."""

    image_list: msgspec.Raw  # type: ignore[assignment]


class PicturesReport(Struct, kw_only=True):
    """What makes pictures: how many processes there may be, how many of them are busy, how many
    pictures wait, and how many were made and failed since the start. ``off`` says why none is made.
    """

    off: str | UnsetType = UNSET
    workers: int = 0
    busy: int = 0
    waiting: int = 0
    made: int = 0
    failed: int = 0


class Health(Struct, kw_only=True):
    """``GET /health``: ``status`` is "healthy", or "degraded" with ``reasons``, a sentence each."""

    status: str = "healthy"
    service: str = "image-server"
    version: str
    uptime_seconds: float
    reasons: list[str] | UnsetType = UNSET
    pictures: PicturesReport | UnsetType = UNSET


class TimeoutInfo(Struct, kw_only=True):
    """``GET /timeout``."""

    timeout_minutes: int
    timeout_enabled: bool


class TimeoutResult(Struct, kw_only=True):
    """The answer to ``POST /timeout/MINUTES``."""

    status: str = "success"
    timeout_minutes: int
    timeout_enabled: bool
    message: str


class LoadRequest(Struct, kw_only=True):
    """The body of ``POST /load-directory``; older clients say ``path`` for ``directory``.

    ``dicom``: its DICOM is indexed at once, and not only when it is asked for.
    """

    directory: str | UnsetType = UNSET
    path: str | UnsetType = UNSET
    timeout_minutes: int | None = None
    name: str | None = None
    recursive: bool = False
    all_files: bool = False
    dicom: bool | UnsetType = UNSET

    @property
    def directory_or_path(self) -> str:
        """The directory to load, as it was written; BadRequest if there is none."""
        directory = self.path if isinstance(self.directory, UnsetType) else self.directory
        if isinstance(directory, UnsetType) or not directory.strip():
            raise BadRequest("Field 'directory' is missing: name the directory to load.")
        if "\0" in directory:
            raise BadRequest("Field 'directory' holds a NUL character.")
        return directory


class LoadResult(Struct, kw_only=True):
    """The answer to ``POST /load-directory``."""

    status: str = "success"
    directory: str
    image_count: int
    message: str
    timeout: str
    collection: CollectionInfo
    skipped: SkippedFiles = SkippedFiles()


class LeftOutFile(Struct, kw_only=True):
    """A DICOM file that is not in the index of its collection, and why, in a sentence."""

    name: str
    why: str


class DicomReport(Struct, kw_only=True):
    """Of ``GET /collections/NAME/dicom/`` what says whether all was indexed: ``unindexed`` are the
    first of ``unindexed_count`` files.
    """

    study_count: int
    series_count: int
    instance_count: int
    unindexed_count: int
    unindexed: list[LeftOutFile]


class UnloadRequest(Struct, kw_only=True):
    """The body of ``POST /unload``, which may be left out."""

    name: str | None = None


class UnloadResult(Struct, kw_only=True):
    """The answer to ``POST /unload``."""

    status: str = "success"
    message: str = "Directory unloaded successfully"


class PublicUrlRequest(Struct, kw_only=True):
    """The body of ``POST /public-url``; null goes back to the listener's own URL."""

    url: str | None


class PublicUrlResult(Struct, kw_only=True):
    """The answer to ``POST /public-url``."""

    status: str = "success"
    public_url: str | None
    message: str


class LinkRequest(Struct, kw_only=True):
    """The body of ``POST /links``: a ``path`` of this server, or a ``url`` that it gave.

    ``expires`` is in seconds, or like "1h". ``prefix``: everything below the path too.
    """

    path: str | UnsetType = UNSET
    url: str | UnsetType = UNSET
    expires: int | str = 3600
    prefix: bool = False


class LinkResult(Struct, kw_only=True):
    """The answer to ``POST /links``; ``expires_at`` is RFC 3339, UTC."""

    status: str = "success"
    url: str
    expires_at: str


class RevokeResult(Struct, kw_only=True):
    """The answer to ``POST /links/revoke``."""

    status: str = "success"
    message: str = "No link made before is good any more"


class Problem(Struct, kw_only=True):
    """Every error: one sentence that says what to do."""

    detail: str


_encoder: Final = msgspec.json.Encoder()


def encode(message: object) -> bytes:
    """A message as JSON."""
    return _encoder.encode(message)


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


_EPOCH: Final = datetime(1970, 1, 1)
# The first and the last second that RFC 3339 can say. File systems keep times beyond both.
MIN_TIME: Final = int((datetime(1, 1, 1) - _EPOCH).total_seconds())
MAX_TIME: Final = int((datetime(9999, 12, 31, 23, 59, 59) - _EPOCH).total_seconds())


def utc(seconds: float) -> str:
    """Seconds since the epoch as RFC 3339 in UTC, to the second.

    A time before year 1 or after year 9999 becomes the first or the last that can be written. No
    platform's ``gmtime`` is asked, whose limits differ.
    """
    second = int(max(MIN_TIME, min(seconds, MAX_TIME)) // 1)
    return f"{(_EPOCH + timedelta(seconds=second)).isoformat()}Z"


def local(seconds: float) -> str:
    """Seconds since the epoch as ``YYYY-mm-dd HH:MM:SS`` in the machine's time zone."""
    return datetime.fromtimestamp(seconds).strftime("%Y-%m-%d %H:%M:%S")


def remaining(seconds: float) -> str:
    """A duration as ``"29m 59s"``."""
    minutes, rest = divmod(max(0, int(seconds)), 60)
    return f"{minutes}m {rest}s"


def valid_base_url(url: str, field: str = "Field 'url'") -> str:
    """An http or https URL with a host and nothing after its path, without the last slash."""
    base = url.strip()
    parsed = parse_url(base)
    if parsed is None or parsed.origin.port == 0 or "?" in base or "#" in base:
        raise BadRequest(f"{field} must be an http or https URL such as https://example.org.")
    return base.rstrip("/")
