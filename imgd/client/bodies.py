"""Bodies of answers, read with an eye on how long they are and how long they take."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone
from twisted.web.http import PotentialDataLoss
from twisted.web.iweb import IResponse

from imgd.client.errors import Misbehaved

MAX_BODY = 32 << 20  # bytes; a page of 10,000 images with the longest names has some 15 MB
MAX_LINE = 1 << 20  # bytes


class _Reader(Protocol):
    """Hands what comes to ``take``; the first error that it raises ends the reading."""

    def __init__(self, take: Callable[[bytes], None]) -> None:
        self._take = take
        self.finished: Deferred[None] = Deferred(lambda _: self._give_up())

    def dataReceived(self, data: bytes) -> None:
        if self.finished.called:
            return
        try:
            self._take(data)
        except Exception:
            self._give_up()
            self.finished.errback(Failure())

    def _give_up(self) -> None:
        if self.transport is not None:
            self.transport.loseConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self.finished.called:
            return
        if reason.check(ResponseDone, PotentialDataLoss):
            self.finished.callback(None)
        else:
            self.finished.errback(reason)


def collect(response: IResponse, take: Callable[[bytes], None]) -> Deferred[None]:
    """Hand a body to ``take`` as it comes. Cancelling, or an error in it, ends the connection."""
    reader = _Reader(take)
    response.deliverBody(reader)
    return reader.finished


def read(response: IResponse, cap: int = MAX_BODY) -> Deferred[bytes]:
    """A whole body; :class:`Misbehaved` as soon as it is longer than ``cap`` bytes."""
    body = bytearray()

    def take(data: bytes) -> None:
        if len(body) + len(data) > cap:
            raise Misbehaved(f"The server's answer is longer than {cap} bytes.")
        body.extend(data)

    return collect(response, take).addCallback(lambda _: bytes(body))


def lines(response: IResponse, each: Callable[[bytes], None]) -> Deferred[None]:
    """Hand the lines of a body to ``each`` as they come, without their newlines."""
    rest = bytearray()

    def take(data: bytes) -> None:
        rest.extend(data)
        *whole, last = rest.split(b"\n")
        rest[:] = last
        if len(rest) > MAX_LINE:
            raise Misbehaved(f"The server sent a line of more than {MAX_LINE} bytes.")
        for line in whole:
            each(bytes(line))

    def finish(_: None) -> None:
        if rest:
            each(bytes(rest))

    return collect(response, take).addCallback(finish)


def discard(response: IResponse) -> None:
    """Give an answer up, together with its connection where its body has not come yet."""
    finished = collect(response, lambda data: None)
    finished.addErrback(lambda _: None)
    if not finished.called:
        finished.cancel()
