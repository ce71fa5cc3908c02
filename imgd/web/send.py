"""Bodies: from an open file to the client, exactly as many bytes as were promised.

A file that shrinks, changes or fails on its way ends the connection before its last promised byte,
so that nobody takes a short or a mixed body for a whole one.
"""

from __future__ import annotations

from typing import Final

from twisted.internet.interfaces import IPushProducer
from zope.interface import implementer

from imgd.core.plan import Plan
from imgd.core.ranges import Slice
from imgd.host.disk import OpenFile
from imgd.web.request import Request

# Read and handed to the transport at once, in bytes. Sent in one write where the whole body fits:
# a frame or a thumbnail needs no producer. At least the transport's own buffer (64 KiB), so that a
# slow reader pauses the producer after one chunk.
CHUNK: Final = 256 * 1024


class FileChanged(Exception):
    """The file is no longer what was promised."""


def send(request: Request, plan: Plan, file: OpenFile) -> None:
    """Answer a request with a plan's head and the file's bytes; closes the file in the end."""
    request.setResponseCode(plan.status)
    for name, value in plan.headers:
        request.responseHeaders.addRawHeader(name, value)
    if request.method == b"HEAD" or not plan.parts:
        file.close()
        request.write(b"")
        request.finish()
        return
    body = FileBody(plan.parts, file)
    if sum(part.length if isinstance(part, Slice) else len(part) for part in plan.parts) <= CHUNK:
        _send_at_once(request, body)
    else:
        FileProducer(request, body).start()


class FileBody:
    """The bytes of a plan, in chunks of at most ``CHUNK``, each from one version of the file."""

    def __init__(self, parts: tuple[bytes | Slice, ...], file: OpenFile) -> None:
        self._parts = list(reversed(parts))
        self._file = file

    def next_chunk(self) -> bytes:
        """The next bytes, b"" after the last. FileChanged where they cannot be kept to the promise.

        The file is asked after each read whether it changed: what was read before it did is whole,
        and what was read after is never handed on.
        """
        while self._parts:
            part = self._parts.pop()
            if not isinstance(part, Slice):
                return part
            if part.length:
                return self._read(part)
        return b""

    def _read(self, part: Slice) -> bytes:
        wanted = min(part.length, CHUNK)
        try:
            data = self._file.read(part.offset, wanted)
            intact = bool(data) and self._file.is_unchanged()
        except OSError as error:
            raise FileChanged from error
        if not intact:
            raise FileChanged
        if len(data) < part.length:
            self._parts.append(Slice(part.offset + len(data), part.length - len(data)))
        return data

    def close(self) -> None:
        """Give the file back."""
        self._file.close()


def _send_at_once(request: Request, body: FileBody) -> None:
    """A small body in one write, so that its failure can still be told as one."""
    try:
        data = b"".join(iter(body.next_chunk, b""))
    except FileChanged:
        request.abort()
    else:
        request.write(data)
        request.finish()
    finally:
        body.close()


@implementer(IPushProducer)
class FileProducer:
    """Sends a large body: one chunk whenever the transport has room for it."""

    def __init__(self, request: Request, body: FileBody) -> None:
        self._request = request
        self._body = body
        self._paused = False
        self._producing = False
        self._done = False

    def start(self) -> None:
        """Send the head and the first chunk."""
        self._request.registerProducer(self, True)
        self.resumeProducing()

    def resumeProducing(self) -> None:
        """The transport has room: fill it.

        A transport that takes all at once asks within ``write``, and the loop answers it.
        """
        self._paused = False
        if self._producing:
            return
        self._producing = True
        try:
            while not (self._paused or self._done):
                self._send_chunk()
        finally:
            self._producing = False

    def _send_chunk(self) -> None:
        try:
            chunk = self._body.next_chunk()
        except FileChanged:
            self.stopProducing()
            self._request.unregisterProducer()
            self._request.abort()
            return
        if chunk:
            self._request.write(chunk)
        else:
            self.stopProducing()
            self._request.unregisterProducer()
            self._request.finish()

    def pauseProducing(self) -> None:
        """The transport is full."""
        self._paused = True

    def stopProducing(self) -> None:
        """Done, or the client has gone."""
        self._done = True
        self._body.close()
