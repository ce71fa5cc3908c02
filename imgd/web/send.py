"""Sends a plan: its head, and exactly as many bytes of the open file as the head says.

If the file shrinks, changes or fails meanwhile, the connection ends before the last byte, so that
no client takes a short or mixed body for a whole one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Protocol, cast

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
# The same of many files, so that 512 x 512 pixels of 16 bits are not cut.
TURN_OF_MANY: Final = 640 * 1024


class NextBodies(Protocol):
    """The bodies of an answer that is made of many files, but for the first, in order."""

    @property
    def is_over(self) -> bool:
        """Whether all were taken."""

    def take(self, resume: Callable[[], None]) -> FileBody | None:
        """The next body, when the one before is closed; FileChanged if there is none to trust.

        None if all were taken (``is_over``), or if it is not open yet: ``resume`` is called then.
        """

    def close(self) -> None:
        """Close what is open, and open nothing more."""


def send(request: Request, plan: Plan, file: OpenFile) -> None:
    """Answer a request by a plan, and close the file when it is sent."""
    if request.method == b"HEAD" or not plan.parts:
        file.close()
        send_head(request, plan)
    else:
        send_body(request, plan, FileBody(plan.parts, file))


def send_head(request: Request, plan: Plan) -> None:
    """Answer a request by a plan without its parts."""
    _begin(request, plan)
    request.write(b"")
    request.finish()


def send_body(request: Request, plan: Plan, body: FileBody) -> None:
    """Answer a request by a plan whose parts are this body, and close it when it is sent."""
    _begin(request, plan)
    if sum(part.length if isinstance(part, Slice) else len(part) for part in plan.parts) <= AT_ONCE:
        _send_at_once(request, body)
    else:
        _producer_for(request.channel.transport)(request, body).start()


def send_bodies(request: Request, plan: Plan, body: FileBody, others: NextBodies) -> None:
    """Answer a request by a plan whose parts are this body and others."""
    _begin(request, plan)
    _producer_for(request.channel.transport)(request, body, others).start()


def _begin(request: Request, plan: Plan) -> None:
    request.setResponseCode(plan.status)
    for name, value in plan.headers:
        is_secret = request.is_private and name == b"Cache-Control"
        request.responseHeaders.addRawHeader(name, b"private, " + value if is_secret else value)


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
    """Writes a large body to the transport, chunk by chunk while it has room, then ``others``."""

    def __init__(self, request: Request, body: FileBody, others: NextBodies | None = None) -> None:
        self._request = request
        self._body = body
        self._others = others
        self._turn = TURN if others is None else TURN_OF_MANY
        self._is_paused = False
        self._is_waiting = False  # for the next body
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
        while not (self._is_paused or self._is_done or self._is_waiting):
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
        elif self._others is None or self._others.is_over or not self._go_on(self._others):
            self._end()
            self._request.finish()
        return len(chunk)

    def _go_on(self, others: NextBodies) -> bool:
        """Go on with the next body, or wait for it; False if there is none."""
        self._body.close()
        body = others.take(self._end_wait)
        if body is not None:
            self._body = body
        elif not others.is_over:
            self._is_waiting = True
        return not others.is_over or body is not None

    def _end_wait(self) -> None:
        self._is_waiting = False
        if not (self._is_paused or self._is_done):
            self.resumeProducing()

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
        if self._others is not None:
            self._others.close()


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
        taken: int = transport.write_some(self._body.peek(self._turn))
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
        transport, length = self._request.channel.transport, min(part.length, self._turn)
        try:
            return tcp.send_file(transport, self._body.file.fd, part.offset, length)
        except OSError as error:  # of the file or of the connection, which ends in both cases
            raise FileChanged from error
