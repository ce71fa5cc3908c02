"""Every image is checked once, by any number of workers, and only what is as announced is good."""

from __future__ import annotations

from collections import Counter
from typing import Any

from twisted.internet.defer import Deferred

from imgd.client.errors import ClientError, InvalidResponse, TimedOut, Unreachable
from imgd.client.options import CliOptions
from tests.client.fake_imgd import turn
from tests.client.faulty import (
    SIZE,
    FaultCase,
    FaultyServer,
    answer,
    checker_of,
    endless,
    image,
    raw,
    stall,
    then_close,
)
from tests.client.load_case import LoadCase

IMAGES = 7000
CHUNK = b"10000\r\n" + b"x" * 65536 + b"\r\n"
NONE = type(None)


class Runs(FaultCase):
    async def test_stall_in_a_run(self) -> None:
        """In a run of images over one connection each has the deadline; what is late fails, is not
        asked again, and the others are checked.
        """
        good = answer(length=SIZE)
        server = self.serve(good, good, stall, good)
        checker = checker_of(self, server, self.clock)
        problems: list[ClientError | None] = []
        images = [image(server, SIZE, f"/images/{number}.png") for number in range(4)]
        checking = Deferred.fromCoroutine(
            checker.check_all(images, lambda _, problem: problems.append(problem))
        )
        for count in (1, 2, 3):
            while len(server.requests) < count:
                await turn()
            self.clock.advance(20)
        self.assertEqual(problems, [None, None])
        self.clock.advance(11)
        await checking
        self.assertEqual([type(problem) for problem in problems], [NONE, NONE, TimedOut, NONE])
        self.assertEqual(len(server.requests), 4)


class Lengths(FaultCase):
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
            detail = await self.fails(self.check(server), InvalidResponse)
            self.assertIn(f"Content-Length is {length}, but {SIZE} bytes were announced", detail)
            server = self.serve(answer(b"x" * length))
            await self.fails(self.check(server, method=b"GET"), InvalidResponse)

    async def test_no_length(self) -> None:
        """A HEAD that promises nothing proves nothing."""
        server = self.serve(then_close(answer(length=-1)))
        self.assertIn("no Content-Length", await self.fails(self.check(server), InvalidResponse))

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
            detail = await self.fails(self.check(server, method=b"GET"), InvalidResponse)
            self.assertIn(f"after the {SIZE} bytes", detail)
            await server.all_closed()


class ManyWorkers(LoadCase):
    def setUp(self) -> None:
        super().setUp()
        self.images = FaultyServer(answer(length=10))
        self.addCleanup(self.images.stop)
        self.imgd.images("/data/frames", IMAGES)
        self.server = self.server.with_public(self.images.url)
        page = self.imgd._page

        def elsewhere(name: str, query: dict[str, str]) -> Any:
            made = page(name, query)
            for one in made["images"]:
                one["url"] = one["url"].replace(self.imgd.url, self.images.url)
            return made

        self.imgd._page = elsewhere  # type: ignore[method-assign]

    async def test_many(self) -> None:
        """However many workers there are, a load ends, and each image is checked once."""
        for workers in (250, 10_000):
            self.images.requests.clear()
            self.options = CliOptions(workers=workers)
            manifest = await self.loaded("/data/frames")
            self.assertEqual((manifest["count"], manifest["failed"]), (IMAGES, []))
            asked = Counter(self.images.requests)
            self.assertEqual((len(asked), set(asked.values())), (IMAGES, {1}))
