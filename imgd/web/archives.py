"""A folder as one file to take home, ``?archive=tar`` and ``?archive=zip``: made while it is sent.

The sizes are read first, off the reactor, so that the length is known; then the files are read in
pieces, each only when the client took the one before. No file stays open while a
client is waited for.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from twisted.internet.defer import Deferred

from imgd.core.archive_layout import ArchiveFormat, ArchiveLayout, parse_format
from imgd.core.disposition import attachment
from imgd.core.wait_limits import WaitLimit
from imgd.errors import BadRequest, Forbidden, Unavailable
from imgd.files.disk import Root
from imgd.host.blocking import RunBlocking
from imgd.logs import Logger
from imgd.web.archive_contents import ArchiveContents
from imgd.web.backpressure import BackpressuredWriter
from imgd.web.bodies import FileChanged
from imgd.web.request import Request

# Archives at once: in all, and of one client. A browser that saves three folders, and a fourth.
MAX_ARCHIVES: Final = 8
MAX_PER_CLIENT: Final = 4
_BUSY: Final = "As many archives are being made as may be at once. Try again when one is done."


class Archives:
    """Answers for whole folders. ``limit`` is how many bytes of files one may hold; 0: none."""

    log = Logger()

    def __init__(self, run_blocking: RunBlocking, limit: int) -> None:
        self._run = run_blocking
        self._limit = limit
        self._slots = WaitLimit(MAX_ARCHIVES, MAX_PER_CLIENT, _BUSY)

    @property
    def are_offered(self) -> bool:
        return self._limit > 0

    async def answer(
        self, request: Request, root: Root, names: tuple[str, ...], title: str
    ) -> None:
        """Send the folder ``names`` of ``root``, which is called ``title``."""
        archive_format = self._judge(request)
        with self._slots.slot("", request.peer):
            layout = ArchiveLayout(archive_format, title, self._limit)
            contents = ArchiveContents(root, names, layout)
            while await self._run(root.path, contents.read_some, key=id(contents)):
                pass
            if request.method == b"GET":
                await self._send(request, contents, title)
            else:
                _set_head(request, contents.layout, title)
                request.write(b"")
                request.finish()

    def _judge(self, request: Request) -> ArchiveFormat:
        query = request.query()
        archive_format = parse_format(query["archive"])
        if not self.are_offered:
            raise Forbidden("Archives are switched off here (--archive-limit 0).")
        if query.get("filter"):
            raise BadRequest("'archive' takes the whole folder: leave out 'filter'.")
        if not request.covers_below:
            raise Forbidden("This link is for one page alone: an archive needs one with 'prefix'.")
        return archive_format

    async def _send(self, request: Request, contents: ArchiveContents, title: str) -> None:
        pieces = contents.pieces()
        try:
            piece = await self._next(contents, pieces)
        except FileChanged as error:
            raise Unavailable("A file changed just now. Try again in a moment.") from error
        _set_head(request, contents.layout, title)
        try:
            with BackpressuredWriter(request) as writer:
                await self._write_all(writer, contents, pieces, piece)
        except FileChanged as error:
            self.log.info(
                "An archive of {path} was cut off: {name} changed after it was begun",
                path=contents.root.path,
                name=str(error),
            )
            request.abort(error)
        else:
            if not request.is_gone:
                request.finish()

    async def _write_all(
        self,
        writer: BackpressuredWriter,
        contents: ArchiveContents,
        pieces: Iterator[bytes],
        piece: bytes,
    ) -> None:
        """Write a piece and all that follow; FileChanged unless they are as long as promised."""
        remaining = contents.layout.size - len(piece)
        await writer.write(piece)
        while remaining and not writer.is_over:
            piece = await self._next(contents, pieces)
            remaining -= len(piece)
            if not piece or remaining < 0:
                raise FileChanged("something in it")
            await writer.write(piece)

    def _next(self, contents: ArchiveContents, pieces: Iterator[bytes]) -> Deferred[bytes]:
        return self._run(contents.root.path, next, pieces, b"", key=id(pieces))


def _set_head(request: Request, layout: ArchiveLayout, title: str) -> None:
    for name, value in (
        (b"Content-Type", layout.format.media_type),
        (b"Content-Length", b"%d" % layout.size),
        attachment(f"{title}.{layout.format.suffix}"),
        (b"Accept-Ranges", b"none"),
        (b"Cache-Control", b"no-store"),
    ):
        request.setHeader(name, value)
