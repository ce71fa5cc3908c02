"""When to try again, after how long, and when it has taken too long."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from imgd.client.errors import (
    ClientError,
    ErrorResponse,
    InvalidResponse,
    Retrier,
    TimedOut,
    Unreachable,
    Untrusted,
)
from tests.client.faulty import (
    HEALTH,
    SIZE,
    FaultCase,
    FaultyServer,
    answer,
    client_of,
    reset,
    stall,
)


def pause(error: ClientError, failures: int = 1, chance: float = 1.0) -> float | None:
    return Retrier(Clock(), tries=9, chance=lambda: chance).pause(failures, error)


class Pauses(SynchronousTestCase):
    def test_backoff(self) -> None:
        """Pauses double up to a longest one, each between half and whole by chance."""
        error = Unreachable("")
        whole = [pause(error, failures) for failures in range(1, 9)]
        half = [pause(error, failures, 0.0) for failures in range(1, 9)]
        self.assertEqual(whole, [0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 8.0, 8.0])
        self.assertEqual(half, [seconds / 2 for seconds in whole if seconds])
        self.assertIsNone(pause(error, 9))
        self.assertIsNone(Retrier(Clock()).pause(4, error))

    def test_what_is_retryable(self) -> None:
        """Lost connections, 429, 502, 503 and 504 are tried again, and nothing else."""
        for status in (429, 502, 503, 504):
            self.assertIsNotNone(pause(ErrorResponse(status, "")))
        final = (400, 401, 403, 404, 405, 408, 413, 500, 501)
        finals = [ErrorResponse(status, "") for status in final]
        for error in (*finals, Untrusted(""), TimedOut(""), InvalidResponse("")):
            self.assertIsNone(pause(error), error)

    def test_asked_to_wait(self) -> None:
        """What a server asks for is added to the jitter; more than a minute is a failure."""
        self.assertEqual(pause(ErrorResponse(503, "", 3.0)), 3.25)
        self.assertEqual(pause(ErrorResponse(503, "", 0.0), chance=0.0), 0.125)
        self.assertEqual(pause(ErrorResponse(429, "", 60.0)), 60.25)
        self.assertIsNone(pause(ErrorResponse(429, "", 60.5)))


class Retries(FaultCase):
    async def test_resets_are_retried(self) -> None:
        """A connection that is reset is tried again, for checks and for the API."""
        server = self.serve(reset, reset, answer(length=SIZE))
        await self.check(server)
        self.assertEqual(len(server.requests), 3)
        self.assertEqual(len(self.retried), 2)
        server = self.serve(reset, reset, answer(HEALTH))
        self.assertEqual((await self.health(server)).version, "1")
        self.assertEqual(len(server.requests), 3)

    async def test_resets_without_end(self) -> None:
        """A server that always resets fails after four tries, each a longer time apart."""
        server = self.serve(reset)
        await self.fails(self.check(server), Unreachable)
        self.assertEqual([line.split()[0] for line in self.retried], ["0.25", "0.5", "1"])
        self.assertEqual(len(server.requests), 4)
        server = self.serve(reset)
        await self.fails(self.health(server), Unreachable)
        self.assertEqual(len(server.requests), 4)

    async def test_nobody_listens(self) -> None:
        """A port where nothing listens is tried again too, and the reason is told."""
        server = self.serve(stall)
        await server.stop()
        self.assertIn("Nothing answers there", await self.fails(self.check(server), Unreachable))
        self.assertEqual(len(self.retried), 3)
        self.assertIn("Nothing answers there", await self.fails(self.health(server), Unreachable))

    async def test_passing_statuses(self) -> None:
        """429, 502, 503 and 504 are tried again."""
        for status in ("429 Too Many", "502 Bad Gateway", "503 Unavailable", "504 Timeout"):
            server = self.serve(answer(status=status), answer(length=SIZE))
            await self.check(server)
            self.assertEqual(len(server.requests), 2, status)
            server = self.serve(answer(status=status), answer(HEALTH))
            await self.health(server)
            self.assertEqual(len(server.requests), 2, status)

    async def test_final_statuses(self) -> None:
        """Other 4xx, and 500, are failures at once, whose status is the reason."""
        for status in ("400 Bad", "401 Who", "403 No", "404 Gone", "410 Gone", "500 Oops"):
            server = self.serve(answer(status=status))
            self.assertIn(status[:3], await self.fails(self.check(server), ErrorResponse))
            self.assertEqual(len(server.requests), 1, status)
            server = self.serve(answer(b'{"detail": "because"}', status=status))
            self.assertEqual(await self.fails(self.health(server), ErrorResponse), "because")
            self.assertEqual(len(server.requests), 1, status)

    async def test_retry_after_seconds(self) -> None:
        """``Retry-After: 7`` is waited for, and a little longer."""
        busy = answer(status="503 Busy", Retry_After="7")
        server = self.serve(busy, answer(length=SIZE))
        await self.check(server)
        self.assertEqual([line.split()[0] for line in self.retried], ["7.25"])
        server = self.serve(busy, answer(HEALTH))
        await self.health(server)
        self.assertEqual([line.split()[0] for line in self.retried], ["7.25"])

    async def test_retry_after_date(self) -> None:
        """A date in ``Retry-After`` is waited for."""
        self.clock.advance(784111777.0 - 10)  # RFC 9110's example date, and ten seconds before
        busy = answer(status="429 Slow", Retry_After="Sun, 06 Nov 1994 08:49:37 GMT")
        server = self.serve(busy, answer(length=SIZE))
        await self.check(server)
        self.assertEqual([line.split()[0] for line in self.retried], ["10.25"])

    async def test_retry_after_too_long(self) -> None:
        """A server that asks for an hour is not asked again sooner: that is a failure."""
        server = self.serve(answer(status="503 Busy", Retry_After="3600"))
        await self.fails(self.check(server), ErrorResponse)
        await self.fails(self.health(server), ErrorResponse)
        self.assertEqual(len(server.requests), 2)


class Deadlines(FaultCase):
    async def late(self, server: FaultyServer, asked: Deferred[Any], seconds: float = 31) -> str:
        await server.heard
        self.clock.advance(seconds)
        return await self.fails(asked, TimedOut)

    async def test_stall(self) -> None:
        """No answer within the deadline is a failure, and the connection is closed."""
        server = self.serve(stall)
        self.assertIn("30 seconds", await self.late(server, self.check(server)))
        await server.all_closed()
        server = self.serve(stall)
        self.assertIn("30 seconds", await self.late(server, self.health(server)))
        await server.all_closed()

    async def test_stall_in_a_body(self) -> None:
        """A body that stops coming is a failure at the deadline."""
        head = answer(b"half", length=SIZE)
        server = self.serve(head)
        await self.late(server, self.check(server, method=b"GET"))
        await server.all_closed()
        server = self.serve(head)
        await self.late(server, self.health(server))
        await server.all_closed()

    async def test_a_large_body(self) -> None:
        """A body gets a second more for each megabyte that was announced."""
        server = self.serve(answer(b"half", length=50_000_000))
        asked = self.check(server, 50_000_000, b"GET")
        await server.heard
        self.clock.advance(79)
        self.assertNoResult(asked)
        self.clock.advance(2)
        await self.fails(asked, TimedOut)

    async def test_in_time(self) -> None:
        """Nothing fails before the deadline, and none is left behind after an answer."""
        server = self.serve(stall)
        asked = self.check(server)
        await server.heard
        self.clock.advance(29.9)
        self.assertNoResult(asked)
        self.clock.advance(0.2)
        await self.fails(asked, TimedOut)
        server = self.serve(answer(length=SIZE))
        await self.check(server)
        server = self.serve(answer(HEALTH))
        await self.health(server)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    async def test_cancelled(self) -> None:
        """What is called off ends as cancelled and is not tried again."""
        for ask in (self.check, self.health):
            server = self.serve(stall)
            asked: Deferred[Any] = ask(server)
            await server.heard
            asked.cancel()
            self.failureResultOf(asked, CancelledError)
            await server.all_closed()
            self.assertEqual(len(server.requests), 1)

    async def test_load_is_slow(self) -> None:
        """A load may take longer than other requests: its directory is counted first."""
        server = self.serve(stall)
        asked = client_of(self, server, self.clock).load("/data")
        await server.heard
        self.clock.advance(31)
        self.assertNoResult(asked)
        self.clock.advance(600)
        await self.fails(asked, TimedOut)
