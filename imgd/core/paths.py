"""From the path of a URL to safe segments, and back. Nothing here asks a file system."""

from __future__ import annotations

import re
from typing import Final, NamedTuple
from urllib.parse import quote, unquote_to_bytes

from imgd.core import media

SECRET_SUFFIXES: Final = (".key", ".pem")
# The hidden names that are served: without them, no program can open a Zarr of version 2.
SHOWN_DOTFILES: Final = frozenset(media.ZARR_METADATA)
_BAD_ESCAPE: Final = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_DOT_BEFORE_COLON: Final = re.compile(rb"/\./(?=[^/]*(?::|%3[Aa]))")
_NEVER_IN_A_NAME: Final = frozenset("/\\\0")
_WINDOWS_DEVICES: Final = re.compile(
    r"(?i)(con|prn|aux|nul|conin\$|conout\$|com[0-9¹²³]|lpt[0-9¹²³])\s*(\.|$)"
)


class UrlPath(NamedTuple):
    """A path taken apart: decoded names from the root on, and whether it ended in a slash.

    Names are ``str`` with bytes that are not UTF-8 as lone surrogates (PEP 383), as ``os.fsdecode``
    gives them, so that every file name of a POSIX system can be asked for.
    """

    names: tuple[str, ...]
    is_folder: bool


def parse(path: bytes) -> UrlPath | None:
    """Take the raw path of a URL apart; None if no file could ever be meant.

    Split first, then decoded, once: an escaped slash stays inside its name, where
    :func:`is_servable` refuses it. Empty, ``.`` and ``..`` segments are refused rather than
    resolved (RFC 3986 section 5.2.4 has clients remove them). The one exception is the dot that
    section 4.2 puts before a name with a colon, which rclone and others of Go send.
    """
    if not path.startswith(b"/") or _BAD_ESCAPE.search(path):
        return None
    if b"/./" in path:
        path = _DOT_BEFORE_COLON.sub(b"/", path)
    *folders, last = path[1:].split(b"/")
    raw = folders if last == b"" else [*folders, last]
    names = tuple(decode(segment) for segment in raw)
    return UrlPath(names, last == b"") if all(map(is_servable, names)) else None


def decode(segment: bytes) -> str:
    """One segment of a URL, percent-decoded once."""
    return unquote_to_bytes(segment).decode("utf-8", "surrogateescape")


def is_servable(name: str) -> bool:
    """Whether a file or folder of this name may be served or listed at all.

    Hidden names (a leading dot, which takes ``.`` and ``..`` along) but Zarr's metadata, private
    keys and certificates, and names that another system would read as a path are not. This one rule
    holds for what is requested, what is listed, and what a symbolic link leads to.
    """
    return (
        bool(name)
        and (name[0] != "." or name in SHOWN_DOTFILES)
        and not name.lower().endswith(SECRET_SUFFIXES)
        and _NEVER_IN_A_NAME.isdisjoint(name)
    )


def is_plain_on_windows(name: str) -> bool:
    """Whether Windows would open a file of just this name.

    It reads ``CON`` and ``nul.txt`` as devices, ``a:b`` as a stream of ``a``, and drops trailing
    dots and spaces, so that several names mean one file.
    """
    return ":" not in name and name[-1] not in ". " and not _WINDOWS_DEVICES.match(name)


def encode(*names: str) -> str:
    """Names as the path of a URL, without a leading slash: each percent-encoded, slashes between.

    Everything but RFC 3986's unreserved characters is escaped, so that no name can be read as a
    scheme, a query or markup.
    """
    return "/".join(quote(name.encode("utf-8", "surrogateescape"), safe="") for name in names)


def display(name: str) -> str:
    """A name as text that JSON and HTML encoders take: bytes that are not UTF-8 become U+FFFD."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
