"""Bodies: from an open file to the client, exactly as many bytes as were promised.

A file that shrinks, changes or fails on its way ends the connection before its last promised byte,
so that nobody takes a short or a mixed body for a whole one.
"""

from __future__ import annotations

from typing import Any, Final, cast

from twisted.internet.interfaces import IPushProducer
from zope.interface import implementer

from imgd.core.plan import Plan
from imgd.core.ranges import Slice
from imgd.files.disk import OpenFile
from imgd.net import tcp
from imgd.web.bodies import FileBody, FileChanged
from imgd.web.request import Request

# Sent in one write where the whole body fits, in bytes: a frame or a thumbnail needs no producer.
AT_ONCE: Final = 128 * 1024
# Handed on in one turn of the reactor; then others have theirs. 0.2 ms of a fast client's TLS.
TURN: Final = 480 * 1024


def send(request: Request, plan: Plan, file: OpenFile) -> None:
    """Answer a request with a plan's head and the file's bytes; closes the file in the end."""
    request.setResponseCode(plan.status)
    for name, value in plan.headers:
        request.responseHeaders.addRawHeader(name, value)
    if request.is_private:
        request.setHeader(b"Cache-Control", request.cache_control)
    if request.method == b"HEAD" or not plan.parts:
        file.close()
        request.write(b"")
        request.finish()
        return
    body = FileBody(plan.parts, file)
    if sum(part.length if isinstance(part, Slice) else len(part) for part in plan.parts) <= AT_ONCE:
        _send_at_once(request, body)
    else:
        _producer_for(request.channel.transport)(request, body).start()


def _producer_for(transport: object) -> type[FileProducer]:
    """The fastest way that this transport has."""
    if tcp.can_send_files(transport):
        return SendFileProducer
    return BulkProducer if getattr(transport, "can_write_some", False) else FileProducer


def _send_at_once(request: Request, body: FileBody) -> None:
    """A small body in one write, so that its failure can still be told as one."""
    try:
        data = body.read_all()
    except FileChanged as why:
        request.abort(why)
    else:
        request.write(data)
        request.finish()
    finally:
        body.close()


@implementer(IPushProducer)
class FileProducer:
    """Sends a large body through the transport, TLS or not: chunk by chunk while it has room."""

    def __init__(self, request: Request, body: FileBody) -> None:
        self._request = request
        self._body = body
        self._paused = False
        self._producing = False
        self._done = False

    def start(self) -> None:
        """Send the head and the first bytes."""
        self._request.registerProducer(self, True)
        self.resumeProducing()

    def resumeProducing(self) -> None:
        """The transport has room: fill it, or make use of one turn.

        A transport that takes all at once asks within ``write``, and the loop answers it.
        """
        self._paused = False
        if self._producing:
            return
        self._producing = True
        try:
            self._produce()
        except FileChanged as why:
            self._end()
            self._request.abort(why)
        finally:
            self._producing = False

    def _produce(self) -> None:
        left = TURN
        while not (self._paused or self._done):
            if left <= 0:
                self._give_way()
                left = TURN  # where the transport knows no turns, and is not paused
            else:
                left -= self._send_some()

    def _give_way(self) -> None:
        cast(Any, self._request.channel).give_way()

    def _send_some(self) -> int:
        """Hand on the next bytes: how many, 0 where that was all."""
        chunk = self._body.next_chunk()
        if chunk:
            self._request.write(chunk)
        else:
            self._end()
            self._request.finish()
        return len(chunk)

    def _count(self, taken: int) -> None:
        """The transport took so many bytes, which did not go through the channel."""
        self._request.sentLength += taken
        cast(Any, self._request.channel).sent += taken

    def _end(self) -> None:
        self.stopProducing()
        self._request.unregisterProducer()

    def pauseProducing(self) -> None:
        """The transport is full."""
        self._paused = True

    def stopProducing(self) -> None:
        """Done, or the client has gone."""
        self._done = True
        self._body.close()


class BulkProducer(FileProducer):
    """The same for a transport that tells how much it took (``imgd.net.bulk_tls``).

    Much is read at once, and what the transport did not take is read again later: nothing of it is
    kept for a client that does not read.
    """

    def _send_some(self) -> int:
        if not self._request.startedWriting:
            return super()._send_some()  # with the head
        if self._body.is_next_literal():
            return super()._send_some()
        transport = cast(Any, self._request.channel.transport)
        taken: int = transport.write_some(self._body.peek(TURN))
        if taken:
            self._body.skip(taken)
            self._count(taken)
        else:
            self._give_way()
        return taken


class SendFileProducer(FileProducer):
    """The same for plain TCP: the kernel moves the file's bytes to the socket.

    What it takes is not seen here, so that a change is found after the fact. The last bytes of each
    part are read instead, and only go out of a file that is found unchanged after that.
    """

    def _send_some(self) -> int:
        transport = self._request.channel.transport
        unseen = self._body.slice_to_send()
        if unseen is None or not self._request.startedWriting:
            return super()._send_some()
        sent = self._send_file(unseen) if tcp.is_empty(transport) else None
        if sent is None:
            self._give_way()
            return 0
        if not sent:
            raise FileChanged
        self._body.skip(sent)
        self._body.check()
        self._count(sent)
        return sent

    def _send_file(self, part: Slice) -> int | None:
        transport, length = self._request.channel.transport, min(part.length, TURN)
        try:
            return tcp.send_file(transport, self._body.file.fd, part.offset, length)
        except OSError as error:  # the file or the connection failed: it ends either way
            raise FileChanged from error
