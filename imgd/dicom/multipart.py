"""Multipart messages, RFC 2046 section 5.1 and RFC 2387, made of pieces of files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from imgd.core.joined_file import Piece
from imgd.dicom.accept import MULTIPART

Part = tuple[str, Iterable[Piece]]  # its Content-Type, and its bytes


def content_type(part_type: str, boundary: str) -> str:
    """The Content-Type of a message."""
    return f'{MULTIPART}; type="{part_type}"; boundary={boundary}'


def message(parts: Iterable[Part], boundary: str) -> Iterator[Piece]:
    """The pieces of a message of at least one part.

    ``boundary`` is made of the versions of all files in it. Nobody knows their inodes and
    nanoseconds before they are written, so that no file can be made to contain its own.
    """
    separator = b"--%b\r\n" % boundary.encode("ascii")
    for part_type, pieces in parts:
        yield b"%bContent-Type: %b\r\n\r\n" % (separator, part_type.encode("ascii"))
        yield from pieces
        separator = b"\r\n--%b\r\n" % boundary.encode("ascii")
    yield b"\r\n--%b--\r\n" % boundary.encode("ascii")
