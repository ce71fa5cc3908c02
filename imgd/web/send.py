"""Sends a plan: its head, and exactly as many bytes of the open file as the head says.

If the file shrinks, changes or fails meanwhile, the connection ends before the last byte, so that
no client takes a short or mixed body for a whole one.
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

# Bytes: a body up to this size is sent in one write, as a frame or a thumbnail needs no producer.
AT_ONCE: Final = 128 * 1024
# Bytes sent in one turn of the reactor, before others have theirs: 0.2 ms of a fast client's TLS.
TURN: Final = 480 * 1024


def send(request: Request, plan: Plan, file: OpenFile) -> None:
    """Answer a request by a plan, and close the file when it is sent."""
    request.setResponseCode(plan.status)
    for name, value in plan.headers:
        is_secret = request.is_private and name == b"Cache-Control"
        request.responseHeaders.addRawHeader(name, b"private, " + value if is_secret else value)
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
    if tcp.can_send_files(transport):
        return SendFileProducer
    return BulkProducer if getattr(transport, "can_write_some", False) else FileProducer


def _send_at_once(request: Request, body: FileBody) -> None:
    try:
        data = body.read_all()
    except FileChanged as error:
        request.abort(error)
    else:
        request.write(data)
        request.finish()
    finally:
        body.close()


@implementer(IPushProducer)
class FileProducer:
    """Writes a large body to the transport, chunk by chunk while it has room."""

    def __init__(self, request: Request, body: FileBody) -> None:
        self._request = request
        self._body = body
        self._is_paused = False
        self._is_producing = False
        self._is_done = False

    def start(self) -> None:
        self._request.registerProducer(self, True)
        self.resumeProducing()

    def resumeProducing(self) -> None:
        """Write until the transport is full, or for one turn of the reactor.

        A transport that takes everything at once calls this again within ``write``; the loop that
        is under way goes on then.
        """
        self._is_paused = False
        if self._is_producing:
            return
        self._is_producing = True
        try:
            self._produce()
        except FileChanged as error:
            self._end()
            self._request.abort(error)
        finally:
            self._is_producing = False

    def _produce(self) -> None:
        budget = TURN
        while not (self._is_paused or self._is_done):
            if budget <= 0:
                self._give_way()
                budget = TURN  # for a transport without turns, which does not pause this
            else:
                budget -= self._send_some()

    def _give_way(self) -> None:
        cast(Any, self._request.channel).give_way()

    def _send_some(self) -> int:
        """Write the next bytes. Returns how many; 0 if there are no more."""
        chunk = self._body.next_chunk()
        if chunk:
            self._request.write(chunk)
        else:
            self._end()
            self._request.finish()
        return len(chunk)

    def _count(self, taken: int) -> None:
        """Count bytes that went to the transport without the channel."""
        self._request.sentLength += taken
        cast(Any, self._request.channel).sent += taken

    def _end(self) -> None:
        self.stopProducing()
        self._request.unregisterProducer()

    def pauseProducing(self) -> None:
        self._is_paused = True

    def stopProducing(self) -> None:
        self._is_done = True
        self._body.close()


class BulkProducer(FileProducer):
    """For a transport that returns how much it took (``imgd.net.bulk_tls``).

    Much is read at once, and what the transport did not take is read again later: no memory is held
    for a client that does not read.
    """

    def _send_some(self) -> int:
        if not self._request.startedWriting:
            return super()._send_some()  # writes the head, too
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
    """For plain TCP: the kernel moves the file's bytes to the socket.

    The bytes are not seen here, so that a change is noticed after they are sent. The last bytes of
    each part are read here instead, and sent only if the file is unchanged then.
    """

    def _send_some(self) -> int:
        transport = self._request.channel.transport
        part = self._body.slice_to_send()
        if part is None or not self._request.startedWriting:
            return super()._send_some()
        sent = self._send_file(part) if tcp.is_empty(transport) else None
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
        except OSError as error:  # of the file or of the connection, which ends in both cases
            raise FileChanged from error
