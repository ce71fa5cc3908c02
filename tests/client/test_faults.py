"""What a server can do wrong, over real sockets, and what the client makes of it."""

from __future__ import annotations

import gzip
from collections.abc import Awaitable
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import TestCase

from imgd.client.bodies import MAX_BODY
from imgd.client.errors import ClientError, Misbehaved, Refused, TimedOut, Unreachable
from imgd.core import messages
from imgd.core.messages import Health
from tests.client.faulty import (
    Deed,
    Server,
    answer,
    checker_of,
    client_of,
    endless,
    hurried,
    image,
    raw,
    reset,
    stall,
    then_close,
)

HEALTH = messages.encode(Health(version="1", uptime_seconds=1.0))
SIZE = 20


class Faults(TestCase):
    """A server with its deeds, and both ways of asking it."""

    timeout = 60

    def setUp(self) -> None:
        self.clock = Clock()

    def serve(self, *deeds: Deed) -> Server:
        server = Server(*deeds)
        self.addCleanup(lambda: Deferred.fromCoroutine(server.stop()))
        return server

    def check(self, server: Server, size: int = SIZE, method: bytes = b"HEAD") -> Deferred[None]:
        self.patience, self.told = hurried(self.clock)
        checker = checker_of(self, server, self.clock, method, self.patience)
        return Deferred.fromCoroutine(checker.check(image(server, size)))

    def health(self, server: Server) -> Deferred[Health]:
        self.patience, self.told = hurried(self.clock)
        return client_of(self, server, self.clock, self.patience).health()

    async def fails(self, asked: Awaitable[Any], kind: type[ClientError]) -> str:
        """The detail of the error, which must be of this kind."""
        try:
            await asked
        except ClientError as error:
            self.assertIsInstance(error, kind, error.detail)
            return error.detail
        raise AssertionError("nothing failed")


class Retries(Faults):
    async def test_resets_are_retried(self) -> None:
        """A connection that is reset is tried again, for checks and for the API."""
        server = self.serve(reset, reset, answer(length=SIZE))
        await self.check(server)
        self.assertEqual(len(server.requests), 3)
        self.assertEqual(len(self.told), 2)
        server = self.serve(reset, reset, answer(HEALTH))
        self.assertEqual((await self.health(server)).version, "1")
        self.assertEqual(len(server.requests), 3)

    async def test_resets_without_end(self) -> None:
        """A server that always resets fails after four tries, each a longer time apart."""
        server = self.serve(reset)
        await self.fails(self.check(server), Unreachable)
        self.assertEqual([line.split()[0] for line in self.told], ["0.25", "0.5", "1"])
        self.assertEqual(len(server.requests), 4)
        server = self.serve(reset)
        await self.fails(self.health(server), Unreachable)
        self.assertEqual(len(server.requests), 4)

    async def test_nobody_listens(self) -> None:
        """A port where nothing listens is tried again too, and the reason is told."""
        server = self.serve(stall)
        await server.stop()
        self.assertIn("Nothing answers there", await self.fails(self.check(server), Unreachable))
        self.assertEqual(len(self.told), 3)
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
            self.assertIn(status[:3], await self.fails(self.check(server), Refused))
            self.assertEqual(len(server.requests), 1, status)
            server = self.serve(answer(b'{"detail": "because"}', status=status))
            self.assertEqual(await self.fails(self.health(server), Refused), "because")
            self.assertEqual(len(server.requests), 1, status)

    async def test_retry_after_seconds(self) -> None:
        """``Retry-After: 7`` is waited for, and a little longer."""
        busy = answer(status="503 Busy", Retry_After="7")
        server = self.serve(busy, answer(length=SIZE))
        await self.check(server)
        self.assertEqual([line.split()[0] for line in self.told], ["7.25"])
        server = self.serve(busy, answer(HEALTH))
        await self.health(server)
        self.assertEqual([line.split()[0] for line in self.told], ["7.25"])

    async def test_retry_after_date(self) -> None:
        """A date in ``Retry-After`` is waited for."""
        self.clock.advance(784111777.0 - 10)  # RFC 9110's example date, and ten seconds before
        busy = answer(status="429 Slow", Retry_After="Sun, 06 Nov 1994 08:49:37 GMT")
        server = self.serve(busy, answer(length=SIZE))
        await self.check(server)
        self.assertEqual([line.split()[0] for line in self.told], ["10.25"])

    async def test_retry_after_too_long(self) -> None:
        """A server that asks for an hour is not asked again sooner: that is a failure."""
        server = self.serve(answer(status="503 Busy", Retry_After="3600"))
        await self.fails(self.check(server), Refused)
        await self.fails(self.health(server), Refused)
        self.assertEqual(len(server.requests), 2)

    async def test_idle_connection_closed(self) -> None:
        """A kept connection that was closed while idle is no failure: a new one is opened."""
        server = self.serve(answer(length=SIZE), reset, answer(length=SIZE))
        patience, told = hurried(self.clock)
        checker = checker_of(self, server, self.clock, patience=patience)
        await checker.check(image(server, SIZE))
        await checker.check(image(server, SIZE))
        self.assertEqual((len(server.requests), told), (3, []))

    async def test_connections_are_kept(self) -> None:
        """Checks go over one connection, one after the other."""
        server = self.serve(answer(length=SIZE))
        checker = checker_of(self, server, self.clock)
        for _ in range(5):
            await checker.check(image(server, SIZE))
        self.assertEqual((len(server.requests), len(server.open)), (5, 1))


class Deadlines(Faults):
    async def late(self, server: Server, asked: Deferred[Any], seconds: float = 31) -> str:
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


class Lengths(Faults):
    async def test_as_announced(self) -> None:
        """A HEAD and a GET of the announced length are good, framed in any of three ways."""
        await self.check(self.serve(answer(length=SIZE)))
        body = b"x" * SIZE
        chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n14\r\n%b\r\n0\r\n\r\n"
        for deed in (answer(body), raw(chunked % body), then_close(answer(body, length=-1))):
            await self.check(self.serve(deed), method=b"GET")

    async def test_empty(self) -> None:
        """A file of no bytes is good when none were announced."""
        await self.check(self.serve(answer()), size=0)
        await self.check(self.serve(answer()), size=0, method=b"GET")

    async def test_wrong_length(self) -> None:
        """Another Content-Length than announced is a failure, in HEAD and in GET."""
        for length in (SIZE - 1, SIZE + 1, 0):
            server = self.serve(answer(length=length))
            detail = await self.fails(self.check(server), Misbehaved)
            self.assertIn(f"Content-Length is {length}, but {SIZE} bytes were announced", detail)
            server = self.serve(answer(b"x" * length))
            await self.fails(self.check(server, method=b"GET"), Misbehaved)

    async def test_no_length(self) -> None:
        """A HEAD that promises nothing proves nothing."""
        server = self.serve(then_close(answer(length=-1)))
        self.assertIn("no Content-Length", await self.fails(self.check(server), Misbehaved))

    async def test_short_body(self) -> None:
        """A body that ends early is tried again, and then a failure that says how early."""
        server = self.serve(then_close(answer(b"x" * 5, length=SIZE)))
        detail = await self.fails(self.check(server, method=b"GET"), Unreachable)
        self.assertIn(f"after 5 of {SIZE} bytes", detail)
        self.assertEqual(len(server.requests), 4)

    async def test_short_chunked_body(self) -> None:
        """A chunked body that is cut off is not taken for a whole one."""
        cut = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n14\r\n" + b"x" * SIZE
        for closing in ("", "Connection: close\r\n"):
            head = cut.replace(b"OK\r\n", b"OK\r\n" + closing.encode())
            server = self.serve(then_close(raw(head)))
            await self.fails(self.check(server, method=b"GET"), Unreachable)

    async def test_endless_body(self) -> None:
        """A body without end is cut off as soon as it is longer than announced."""
        for framing, frame in ((b"", b"x" * 65536), (b"Transfer-Encoding: chunked\r\n", CHUNK)):
            head = b"HTTP/1.1 200 OK\r\n" + framing + b"\r\n"
            server = self.serve(endless(head, frame))
            detail = await self.fails(self.check(server, method=b"GET"), Misbehaved)
            self.assertIn(f"after the {SIZE} bytes", detail)
            await server.all_closed()

    async def test_body_after_head(self) -> None:
        """Bytes after the answer to a HEAD close the connection, so that none is mistaken."""
        server = self.serve(answer(b"x" * SIZE), answer(length=SIZE))
        checker = checker_of(self, server, self.clock)
        await checker.check(image(server, SIZE))
        await checker.check(image(server, SIZE))
        self.assertEqual(len(server.requests), 2)

    async def test_endless_headers(self) -> None:
        """Headers without end are cut off, for checks and for the API."""
        deed = endless(b"HTTP/1.1 200 OK\r\n", b"X-More: and more\r\n" * 500)
        for ask in (self.check, self.health):
            server = self.serve(deed)
            asked: Deferred[Any] = ask(server)
            self.assertIn("headers", await self.fails(asked, Misbehaved))
            await server.all_closed()
            self.assertEqual(len(server.requests), 1)

    async def test_endless_json(self) -> None:
        """An answer of the API without end is cut off at a cap, and its connection closed."""
        server = self.serve(endless(b"HTTP/1.1 200 OK\r\n\r\n", b" " * (1 << 20)))
        detail = await self.fails(self.health(server), Misbehaved)
        self.assertIn(str(MAX_BODY), detail)
        await server.all_closed()

    async def test_not_http(self) -> None:
        """Something else than HTTP is a failure, and not tried again."""
        server = self.serve(raw(b"220 mail.example ESMTP\r\n"))
        self.assertIn("not HTTP", await self.fails(self.check(server), Misbehaved))
        self.assertEqual(len(server.requests), 1)

    async def test_not_imgd(self) -> None:
        """JSON of another shape is a failure that says so."""
        for body in (b"<html>", b"[]", b'{"version": 5}', b"[" * 100_000):
            detail = await self.fails(self.health(self.serve(answer(body))), Misbehaved)
            self.assertIn("not what an imgd would say", detail)

    async def test_interim_answers(self) -> None:
        """100 and 103 are passed over."""
        interim = b"HTTP/1.1 103 Early Hints\r\nContent-Length: 3\r\nLink: <a>\r\n\r\n"
        final = b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n"
        interim = interim.replace(b"Content-Length: 3\r\n", b"")
        await self.check(self.serve(raw(interim + final)))


CHUNK = b"10000\r\n" + b"x" * 65536 + b"\r\n"


class GzipBombs(Faults):
    async def test_nothing_is_inflated(self) -> None:
        """A gzip bomb is refused unread: every request asks for ``identity``, and means it."""
        bomb = gzip.compress(bytes(64 << 20))
        deed = answer(bomb, Content_Encoding="gzip")
        checks, api = self.serve(deed), self.serve(deed)
        for method in (b"HEAD", b"GET"):
            detail = await self.fails(self.check(checks, len(bomb), method), Misbehaved)
            self.assertIn("Content-Encoding gzip", detail)
        detail = await self.fails(self.health(api), Misbehaved)
        self.assertIn("compressed its answer", detail)
        await api.all_closed()
        for head in [*checks.heads, *api.heads]:
            self.assertEqual(head.lower().count("accept-encoding: identity"), 1)
            self.assertNotIn("gzip", head)


class Redirects(Faults):
    async def test_same_origin(self) -> None:
        """A redirect on the same origin is followed."""
        for location in ("/images/b.png", "b.png"):
            moved = answer(status="308 Moved", Location=location)
            server = self.serve(moved, answer(length=SIZE))
            await self.check(server)
            self.assertEqual(server.requests[-1], "HEAD /images/b.png")
        server = self.serve(answer(status="302 Found", Location="/healthy"), answer(HEALTH))
        await self.health(server)
        self.assertEqual(server.requests[-1], "GET /healthy")

    async def test_other_origin(self) -> None:
        """A redirect to another origin is refused, and nothing is asked there."""
        other = self.serve(answer(length=SIZE))
        for location in (f"{other.url}/x", "//127.0.0.2/x", "https://127.0.0.1/", "ftp://a/b"):
            server = self.serve(answer(status="302 Found", Location=location))
            await self.fails(self.check(server), Misbehaved)
            await self.fails(self.health(server), Misbehaved)
        self.assertEqual(other.requests, [])

    async def test_loop(self) -> None:
        """A circle of redirects is left after five."""
        server = self.serve(answer(status="302 Found", Location="/images/a.png"))
        self.assertIn("circle", await self.fails(self.check(server), Misbehaved))
        self.assertEqual(len(server.requests), 6)
        self.assertIn("circle", await self.fails(self.health(server), Misbehaved))
        self.assertEqual(len(server.requests), 12)

    async def test_posts_are_not_redirected(self) -> None:
        """A POST is not sent anywhere else."""
        server = self.serve(answer(status="307 Temporary", Location="/elsewhere"))
        await self.fails(client_of(self, server, self.clock).unload(), Refused)
        self.assertEqual(server.requests, ["POST /unload"])


class Streams(Faults):
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
        self.assertIn("line", await self.fails(reading, Misbehaved))
        await server.all_closed()
