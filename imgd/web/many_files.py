"""Sends answers that are made of many files: each is opened shortly before its bytes are due.

Files are opened off the reactor, a few ahead of the one that is sent, so that the sender seldom
waits for a thread. Each must be the version that was meant. If one is not, no byte is sent if that
is seen in time (503), and else the connection ends before the last.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import Any, Final, cast

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from imgd.core.conditional import FileFacts
from imgd.core.joined_file import JoinedFile, Segment, segments
from imgd.core.plan import Plan
from imgd.core.ranges import Slice
from imgd.errors import NotFound, Unavailable
from imgd.files import disk
from imgd.files.disk import OpenFile, Root
from imgd.host.blocking import RunBlocking
from imgd.web.bodies import FileBody, FileChanged
from imgd.web.request import Request
from imgd.web.send import send_bodies, send_body, send_head

# Files that one answer has open besides the one that it sends.
AHEAD: Final = 16
# The same of all answers together: within ``imgd.host.descriptors.RESERVE``. An answer that gets
# none of them opens its next file when the one before is closed.
MAX_AHEAD: Final = 32
_NO_FILE: Final = OpenFile(-1, "", FileFacts(0, 0, 0, 0))  # of a body that is literal
_CHANGED: Final = "A file changed just now. Try again in a moment."


class AheadLimit:
    """How many files may be open ahead of their turn, of all answers together."""

    def __init__(self, limit: int = MAX_AHEAD) -> None:
        self.free = limit

    def take(self, wanted: int) -> int:
        """Take as many as there are of those that are wanted."""
        taken = min(wanted, self.free)
        self.free -= taken
        return taken

    def give_back(self, count: int) -> None:
        self.free += count


@dataclass(frozen=True, slots=True)
class FileOpener:
    """Opens files below ``root``. ``ask`` runs a quick question about it on a thread;
    ``note_change`` is called with the names of a file that is not the version that was meant.
    """

    root: Root
    ask: RunBlocking
    limit: AheadLimit = field(default_factory=AheadLimit)
    note_change: Callable[[tuple[str, ...]], object] = lambda _names: None

    def opening(self, wanted: Sequence[Segment]) -> Deferred[list[OpenFile]]:
        """The files of these segments, in order; _Changed, or Unavailable."""
        path = self.root.path
        opening = self.ask(path, _open_all, self.root, wanted, key=(path, wanted[0].names))
        return opening.addErrback(self._fail)

    def body(self, segment: Segment, file: OpenFile) -> FileBody:
        """The bytes of a segment."""
        return _WatchedBody(segment, file, self.note_change)

    def _fail(self, failure: Failure) -> Failure:
        if isinstance(failure.value, _Changed):
            self.note_change(failure.value.names)
        return failure


class _Changed(Exception):
    """The file of these names is not the version that was meant."""

    def __init__(self, names: tuple[str, ...]) -> None:
        super().__init__(names)
        self.names = names


class _WatchedBody(FileBody):
    """A body that tells which file changed."""

    def __init__(
        self, segment: Segment, file: OpenFile, note_change: Callable[[tuple[str, ...]], object]
    ) -> None:
        super().__init__(segment.parts, file)
        self._note = (note_change, segment.names)

    def check(self) -> None:
        try:
            super().check()
        except FileChanged:
            note_change, names = self._note
            note_change(names)
            raise


def _open_all(root: Root, wanted: Sequence[Segment]) -> list[OpenFile]:
    """Blocks."""
    files: list[OpenFile] = []
    try:
        for segment in wanted:
            files.append(_open(root, segment))
    except BaseException:
        for file in files:
            file.close()
        raise
    return files


def _open(root: Root, segment: Segment) -> OpenFile:
    try:
        file = disk.open_file(root, segment.names)
    except NotFound as error:
        raise _Changed(segment.names) from error
    if _version(file.facts) != _version(cast(FileFacts, segment.facts)):
        file.close()
        raise _Changed(segment.names)
    _read_ahead(file, segment)
    return file


def _version(facts: FileFacts) -> tuple[int, int, int]:
    """Not the ctime, which moves too when a file is only renamed or may be read by others."""
    return facts.size, facts.mtime_ns, facts.inode


def _read_ahead(file: OpenFile, segment: Segment) -> None:
    """Have the system read what will be sent, so that sending seldom waits for the disk."""
    slices = [part for part in segment.parts if isinstance(part, Slice)]
    end = slices[-1].offset + slices[-1].length
    if not _is_in_memory(file.fd, end - 1) and hasattr(os, "posix_fadvise"):
        start = slices[0].offset
        os.posix_fadvise(file.fd, start, end - start, os.POSIX_FADV_WILLNEED)


def _is_in_memory(fd: int, offset: int) -> bool:
    """Whether this byte of a file can be read without waiting; False if that is not known."""
    try:
        return os.preadv(fd, [bytearray(1)], offset, os.RWF_NOWAIT) == 1
    except (AttributeError, OSError):  # a system that cannot tell, or the disk is needed
        return False


class FileBodies:
    """The bodies of segments in order, opened a few at a time: the ``NextBodies`` of an answer."""

    def __init__(self, wanted: Iterator[Segment], opener: FileOpener) -> None:
        self._wanted = wanted
        self._opener = opener
        self._ready: deque[FileBody] = deque()
        self._opening: Deferred[Any] | None = None
        self._error: BaseException | None = None
        self._resume: Callable[[], None] | None = None
        self._is_sending = False  # a body that was taken is open
        self._has_all = False  # nothing more is wanted
        self._ahead = 0  # taken of the limit

    @property
    def is_over(self) -> bool:
        """Whether all were taken."""
        return self._has_all and not (self._ready or self._error or self._opening)

    async def first(self) -> FileBody:
        """The first body; Unavailable if it is not what was meant, or cannot be opened."""
        opened: Deferred[None] = Deferred(lambda _: self.close())
        try:
            body = self.take(lambda: opened.callback(None))
            if body is None:
                await opened
                body = self.take(lambda: None)
        except FileChanged as error:
            self.close()
            cause = cast(BaseException, error.__cause__)
            raise (Unavailable(_CHANGED) if isinstance(cause, _Changed) else cause) from None
        return cast(FileBody, body)

    def take(self, resume: Callable[[], None]) -> FileBody | None:
        """The next body, as ``NextBodies`` has it."""
        self._is_sending = False
        self._open_more()
        if self._ready:
            self._is_sending = True
            body = self._ready.popleft()
            if self._ready or self._opening:
                body.kept = 0  # those of the last are enough
            return body
        if self._error is not None:
            raise FileChanged from self._error
        self._resume = resume
        return None

    def close(self) -> None:
        """Close what is open, and open nothing more."""
        self._has_all, self._is_sending = True, False
        if self._opening is not None:
            self._opening.cancel()
        while self._ready:
            self._ready.popleft().close()
        self._keep_slots(0)

    def _open_more(self) -> None:
        if self._opening is not None or len(self._ready) > AHEAD // 4:
            return
        held = len(self._ready) + self._is_sending
        self._keep_slots(held)
        if self._has_all or self._error is not None:
            return
        self._ahead += self._opener.limit.take(AHEAD - self._ahead)
        count = self._ahead + 1 - held
        wanted = list(islice(self._wanted, count))
        self._has_all = len(wanted) < count
        self._keep_slots(held + len(wanted))
        if wanted:
            self._opening = opening = self._opener.opening(wanted)
            opening.addCallbacks(self._add, self._fail, callbackArgs=(wanted,))

    def _keep_slots(self, held: int) -> None:
        """Give back what is not needed for so many open files: the first of them counts with its
        connection.
        """
        unused = self._ahead - max(0, held - 1)
        self._ahead -= unused
        self._opener.limit.give_back(unused)

    def _add(self, files: list[OpenFile], wanted: list[Segment]) -> None:
        self._opening = None
        self._ready.extend(map(self._opener.body, wanted, files))
        self._tell()

    def _fail(self, failure: Failure) -> None:
        self._opening, self._error = None, failure.value
        self._tell()

    def _tell(self) -> None:
        resume, self._resume = self._resume, None
        if resume is not None:
            resume()


async def send_joined(request: Request, plan: Plan, joined: JoinedFile, opener: FileOpener) -> None:
    """Answer by a plan whose slices are of the joined file. Unavailable if a file is not what was
    meant, or cannot be opened now. HEAD opens none.
    """
    if request.method == b"HEAD" or not plan.parts:
        send_head(request, plan)
        return
    wanted = segments(joined.cut(plan.parts))
    first = next(wanted)
    if first.facts is None:
        send_body(request, plan, FileBody(first.parts, _NO_FILE))
        return
    bodies = FileBodies(chain((first,), wanted), opener)
    body = await bodies.first()
    if bodies.is_over:
        send_body(request, plan, body)
    else:
        send_bodies(request, plan, body, bodies)
