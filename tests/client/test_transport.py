"""Answers of the API, whole or line by line, over real sockets."""

from __future__ import annotations

from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred

from imgd.client.errors import (
    InvalidResponse,
    TimedOut,
)
from imgd.client.transport import MAX_BODY
from imgd.core import messages
from tests.client.faulty import (
    FaultCase,
    answer,
    client_of,
    endless,
    image,
    raw,
)


class Answers(FaultCase):
    async def test_endless_json(self) -> None:
        """An answer of the API without end is cut off at a cap, and its connection closed."""
        server = self.serve(endless(b"HTTP/1.1 200 OK\r\n\r\n", b" " * (1 << 20)))
        detail = await self.fails(self.health(server), InvalidResponse)
        self.assertIn(str(MAX_BODY), detail)
        await server.all_closed()

    async def test_not_imgd(self) -> None:
        """JSON of another shape is a failure that says so."""
        for body in (b"<html>", b"[]", b'{"version": 5}', b"[" * 100_000):
            detail = await self.fails(self.health(self.serve(answer(body))), InvalidResponse)
            self.assertIn("not what an imgd would say", detail)


class Streams(FaultCase):
    async def test_stall_in_a_stream(self) -> None:
        """The deadline of a stream counts from its last line."""
        server = self.serve(raw(b"HTTP/1.1 200 OK\r\n\r\n"))
        seen: list[Any] = []
        reading = client_of(self, server, self.clock).stream("ct", seen.append)
        await server.heard
        line = messages.encode(image(server, 5)) + b"\n"
        [connection] = server.open
        for _ in range(3):
            self.clock.advance(20)
            connection.transport.write(line)
            before = len(seen)
            while len(seen) == before:
                turn: Deferred[None] = Deferred()
                reactor.callLater(0, turn.callback, None)
                await turn
        self.assertNoResult(reading)
        self.clock.advance(31)
        await self.fails(reading, TimedOut)
        self.assertEqual(len(seen), 3)

    async def test_endless_line(self) -> None:
        """A line without end is cut off."""
        server = self.serve(endless(b"HTTP/1.1 200 OK\r\n\r\n"))
        reading = client_of(self, server, self.clock).stream("ct", lambda image: None)
        self.assertIn("line", await self.fails(reading, InvalidResponse))
        await server.all_closed()
