"""Bytes of files as they are, or decompressed in little memory, as far as they are needed."""

from __future__ import annotations

from typing import Final, Literal

from isal import igzip_lib

from imgd.pictures.worker.source import NotAPicture, SourceFile

Compression = Literal["", "gzip", "zlib"]

_PIECE: Final = 1 << 18  # bytes of a compressed file read at once
_OUTPUT: Final = 1 << 18  # bytes decompressed at once: what a processor has at hand
_RESERVED_FLAGS: Final = 0xE0  # RFC 1952 section 2.3.1
_FORMATS: Final = {"gzip": igzip_lib.DECOMP_GZIP, "zlib": igzip_lib.DECOMP_ZLIB}


def is_gzip(head: bytes) -> bool:
    """Whether a file that begins like this is gzip (RFC 1952)."""
    return head[:3] == b"\x1f\x8b\x08" and len(head) >= 18 and not head[3] & _RESERVED_FLAGS


class Plain:
    """A file as it is, from ``start`` on."""

    def __init__(self, file: SourceFile, start: int = 0) -> None:
        self._file, self._start = file, start

    def read(self, offset: int, length: int) -> bytes:
        """These bytes; NotAPicture if there are fewer."""
        data = self._file.read(self._start + offset, length)
        if len(data) < length:
            raise NotAPicture("it is cut off.")
        return data


class Stream:
    """What a file becomes when it is decompressed, which can only be read forward.

    The members of a gzip file follow each other; what follows them and is none is ignored, as
    gzip does.
    """

    def __init__(self, file: SourceFile, start: int, compression: Compression) -> None:
        self._file, self._next, self._is_gzip = file, start, compression == "gzip"
        self._format = _FORMATS[compression]
        self._decompressor = igzip_lib.IgzipDecompressor(self._format)
        self._position = 0
        self._is_over = False

    def read(self, offset: int, length: int) -> bytes:
        """These bytes; NotAPicture if there are fewer, or the file is broken before them."""
        while self._position < offset:
            self._must(self._some(offset - self._position))
        pieces = []
        while length > 0:
            piece = self._must(self._some(length))
            pieces.append(piece)
            length -= len(piece)
        return b"".join(pieces)

    def read_most(self, length: int) -> bytes:
        """The next bytes, fewer if the file ends before."""
        pieces = []
        while length > 0 and (piece := self._some(length)):
            pieces.append(piece)
            length -= len(piece)
        return b"".join(pieces)

    def _must(self, piece: bytes) -> bytes:
        if not piece:
            raise NotAPicture("it is cut off: its compressed data ends too early.")
        return piece

    def _some(self, most: int) -> bytes:
        """At least one byte, unless nothing follows."""
        while not self._is_over:
            piece = self._decompress(most)
            self._position += len(piece)
            if self._decompressor.eof:
                self._next_member()
            if piece:
                return piece
        return b""

    def _decompress(self, most: int) -> bytes:
        data = self._file.read(self._next, _PIECE) if self._decompressor.needs_input else b""
        self._is_over = self._decompressor.needs_input and not data
        if self._is_over:
            return b""
        self._next += len(data)
        try:
            return self._decompressor.decompress(data, min(most, _OUTPUT))
        except igzip_lib.error:  # type: ignore[misc]  # its stub takes it for a value
            raise NotAPicture("its compressed data is broken.") from None

    def _next_member(self) -> None:
        self._next -= len(self._decompressor.unused_data)
        self._is_over = not self._is_gzip or not is_gzip(self._file.read(self._next, 18))
        self._decompressor = igzip_lib.IgzipDecompressor(self._format)


def uncompressed(file: SourceFile, length: int) -> bytes:
    """The first bytes of what a gzip file becomes: fewer if it is short, or broken after them."""
    stream = Stream(file, 0, "gzip")
    head = b""
    try:
        while len(head) < length and (piece := stream.read_most(min(512, length - len(head)))):
            head += piece
    except NotAPicture:
        pass
    return head
