"""Connections that are kept, redirects, and answers that are none, over real sockets."""

from __future__ import annotations

import gzip
from typing import Any

from twisted.internet.defer import Deferred, gatherResults

from imgd.client.errors import (
    ErrorResponse,
    InvalidResponse,
)
from tests.client.fake_imgd import turn
from tests.client.faulty import (
    HEALTH,
    SIZE,
    FaultCase,
    answer,
    checker_of,
    client_of,
    endless,
    hurried,
    image,
    raw,
    reset,
)


class Connections(FaultCase):
    async def test_idle_connection_closed(self) -> None:
        """A kept connection that was closed while idle is no failure: a new one is opened."""
        server = self.serve(answer(length=SIZE), reset, answer(length=SIZE))
        retrier, retried = hurried(self.clock)
        checker = checker_of(self, server, self.clock, retrier=retrier)
        await checker.check(image(server, SIZE))
        await checker.check(image(server, SIZE))
        self.assertEqual((len(server.requests), retried), (3, []))

    async def test_spare_connections(self) -> None:
        """Of the connections that were needed at once, two are kept."""
        server = self.serve(answer(HEALTH))
        client = client_of(self, server, self.clock)
        await gatherResults([client.health() for _ in range(5)])
        self.assertEqual(len(server.open), 5)
        await client.health()
        while len(server.open) > 2:
            await turn()
        await client.health()
        self.assertEqual((len(server.requests), len(server.open)), (7, 2))

    async def test_connections_are_kept(self) -> None:
        """Checks go over one connection, one after the other."""
        server = self.serve(answer(length=SIZE))
        checker = checker_of(self, server, self.clock)
        for _ in range(5):
            await checker.check(image(server, SIZE))
        self.assertEqual((len(server.requests), len(server.open)), (5, 1))

    async def test_endless_headers(self) -> None:
        """Headers without end are cut off, for checks and for the API."""
        deed = endless(b"HTTP/1.1 200 OK\r\n", b"X-More: and more\r\n" * 500)
        for ask in (self.check, self.health):
            server = self.serve(deed)
            asked: Deferred[Any] = ask(server)
            self.assertIn("headers", await self.fails(asked, InvalidResponse))
            await server.all_closed()
            self.assertEqual(len(server.requests), 1)

    async def test_not_http(self) -> None:
        """Something else than HTTP is a failure, and not tried again."""
        server = self.serve(raw(b"220 mail.example ESMTP\r\n"))
        self.assertIn("not HTTP", await self.fails(self.check(server), InvalidResponse))
        self.assertEqual(len(server.requests), 1)

    async def test_interim_answers(self) -> None:
        """100 and 103 are passed over."""
        interim = b"HTTP/1.1 103 Early Hints\r\nContent-Length: 3\r\nLink: <a>\r\n\r\n"
        final = b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n"
        interim = interim.replace(b"Content-Length: 3\r\n", b"")
        await self.check(self.serve(raw(interim + final)))

    async def test_body_after_head(self) -> None:
        """Bytes after the answer to a HEAD close the connection, so that none is mistaken."""
        server = self.serve(answer(b"x" * SIZE), answer(length=SIZE))
        checker = checker_of(self, server, self.clock)
        await checker.check(image(server, SIZE))
        await checker.check(image(server, SIZE))
        self.assertEqual(len(server.requests), 2)


class GzipBombs(FaultCase):
    async def test_nothing_is_inflated(self) -> None:
        """A gzip bomb is refused unread: every request asks for ``identity``, and means it."""
        bomb = gzip.compress(bytes(64 << 20))
        deed = answer(bomb, Content_Encoding="gzip")
        checks, api = self.serve(deed), self.serve(deed)
        for method in (b"HEAD", b"GET"):
            detail = await self.fails(self.check(checks, len(bomb), method), InvalidResponse)
            self.assertIn("Content-Encoding gzip", detail)
        detail = await self.fails(self.health(api), InvalidResponse)
        self.assertIn("compressed its answer", detail)
        await api.all_closed()
        for head in [*checks.heads, *api.heads]:
            self.assertEqual(head.lower().count("accept-encoding: identity"), 1)
            self.assertNotIn("gzip", head)


class Redirects(FaultCase):
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
            await self.fails(self.check(server), InvalidResponse)
            await self.fails(self.health(server), InvalidResponse)
        self.assertEqual(other.requests, [])

    async def test_loop(self) -> None:
        """A circle of redirects is left after five."""
        server = self.serve(answer(status="302 Found", Location="/images/a.png"))
        self.assertIn("circle", await self.fails(self.check(server), InvalidResponse))
        self.assertEqual(len(server.requests), 6)
        self.assertIn("circle", await self.fails(self.health(server), InvalidResponse))
        self.assertEqual(len(server.requests), 12)

    async def test_posts_are_not_redirected(self) -> None:
        """A POST is not sent anywhere else."""
        server = self.serve(answer(status="307 Temporary", Location="/elsewhere"))
        await self.fails(client_of(self, server, self.clock).unload(), ErrorResponse)
        self.assertEqual(server.requests, ["POST /unload"])
