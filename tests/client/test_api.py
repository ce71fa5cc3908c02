"""The API in memory: what is asked, and what comes out."""

from __future__ import annotations

from typing import Any

from treq.testing import StubTreq
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.resource import Resource
from twisted.web.server import Request

from imgd.client.api import Client
from imgd.client.errors import ClientError, ErrorResponse, InvalidResponse, Retrier
from imgd.core import messages
from imgd.core.messages import (
    CollectionList,
    Health,
    Image,
    ImagePage,
    LinkResult,
    LoadResult,
    PublicUrlResult,
    RevokeResult,
    StatusInfo,
    TimeoutInfo,
    TimeoutResult,
    UnloadResult,
)
from imgd.errors import BadRequest
from tests.client.fake_imgd import collection, content_of

TOKEN = "a-token-of-the-tests"


def image(name: str, url: str | None = None) -> Image:
    return Image(
        name=name,
        url=url or f"https://here/images/{name}",
        size=5,
        modified="2025-01-01T00:00:00Z",
        media_type="image/png",
    )


class Scripted(Resource):
    """Answers what it is told to, by method and URI, and notes what it was asked."""

    isLeaf = True

    def __init__(self) -> None:
        super().__init__()
        self.answers: dict[str, object] = {}
        self.asked: list[tuple[str, bytes]] = []
        self.requests: list[Request] = []

    def render(self, request: Request) -> bytes:
        line = f"{request.method.decode()} {request.uri.decode()}"
        self.asked.append((line, content_of(request)))
        self.requests.append(request)
        answer = self.answers.get(line)
        if answer is None:
            request.setResponseCode(404)
            return b'{"detail": "no such thing"}'
        return answer if isinstance(answer, bytes) else messages.encode(answer)


class Api(SynchronousTestCase):
    def setUp(self) -> None:
        self.script = Scripted()
        self.clock = Clock()
        self.client = self.made()

    def made(self, base: str = "https://here", token: str | None = TOKEN) -> Client:
        return Client(StubTreq(self.script), base, Retrier(self.clock), token=token)

    def test_reading(self) -> None:
        """Each thing that can be read comes out as its message."""
        page = ImagePage(images=[image("a")], count=1, next=None)
        status = StatusInfo(
            current_directory=None,
            image_count=0,
            image_list=[],
            image_list_truncated=False,
            load_time=None,
            auto_unload_at=None,
            timeout_minutes=None,
            time_remaining=None,
            collections=[],
            version="1",
        )
        health = Health(version="1", uptime_seconds=2.0)
        timeout = TimeoutInfo(timeout_minutes=30, timeout_enabled=True)
        for line, answer, asked in (
            ("GET /", status, self.client.status),
            ("GET /health", health, self.client.health),
            ("GET /timeout", timeout, self.client.timeout),
            ("GET /collections", CollectionList(collections=[]), self.client.collections),
            ("GET /collections/current", collection(), self.client.collection),
            ("GET /collections/current/images?limit=1000", page, self.client.images_page),
        ):
            self.script.answers[line] = answer
            asking: Deferred[Any] = asked()
            self.assertEqual(self.successResultOf(asking), answer)
            self.assertEqual(self.script.asked[-1], (line, b""))

    def test_controlling(self) -> None:
        """Each thing that can be done is sent as the contract has it."""
        loaded = LoadResult(
            directory="/data",
            image_count=2,
            message="LoadResult",
            timeout="No",
            collection=collection("ct"),
        )
        set_to = TimeoutResult(timeout_minutes=5, timeout_enabled=True, message="set")
        public = PublicUrlResult(public_url="https://x", message="so")
        made = LinkResult(url="https://x/-/s/5.ME/a", expires_at="2025-01-01T00:00:00Z")
        for line, answer, asked, body in (
            (
                "POST /load-directory",
                loaded,
                lambda c: c.load("/d", name="ct", recursive=True, timeout_minutes=0),
                b'{"directory":"/d","timeout_minutes":0,"name":"ct","recursive":true,'
                b'"all_files":false}',
            ),
            ("POST /unload", UnloadResult(), lambda c: c.unload("ct"), b'{"name":"ct"}'),
            ("POST /timeout/5", set_to, lambda c: c.set_timeout(5), b""),
            (
                "POST /public-url",
                public,
                lambda c: c.set_public_url("https://x"),
                b'{"url":"https://x"}',
            ),
            ("POST /public-url", public, lambda c: c.set_public_url(None), b'{"url":null}'),
            (
                "POST /links",
                made,
                lambda c: c.link("/a b.nii"),
                b'{"path":"/a b.nii","expires":3600,"prefix":false}',
            ),
            (
                "POST /links",
                made,
                lambda c: c.link("https://x/\udcff?q", expires=60, prefix=True),
                b'{"url":"https://x/%FF?q","expires":60,"prefix":true}',
            ),
            ("POST /links/revoke", RevokeResult(), lambda c: c.revoke_links(), b""),
        ):
            self.script.answers[line] = answer
            self.assertEqual(self.successResultOf(asked(self.client)), answer)
            self.assertEqual(self.script.asked[-1], (line, body))
            if body:
                kind = self.script.requests[-1].getHeader(b"content-type")
                self.assertEqual(kind, b"application/json")

    def test_minutes(self) -> None:
        """Minutes that make no sense are not even asked for."""
        self.assertRaises(BadRequest, self.client.set_timeout, -1)

    def test_the_token(self) -> None:
        """The token goes along with every request, and without one there is no such header."""
        for token, sent in ((TOKEN, f"Bearer {TOKEN}".encode()), (None, None)):
            self.failureResultOf(self.made(token=token).health(), ErrorResponse)
            self.failureResultOf(self.made(token=token).unload(), ErrorResponse)
            for request in self.script.requests[-2:]:
                self.assertEqual(request.getHeader(b"authorization"), sent)

    def test_refusals(self) -> None:
        """What the server says stands in the error, with its status."""
        error = self.failureResultOf(self.client.collection("x y/ü"), ErrorResponse).value
        self.assertEqual((error.status, error.detail), (404, "no such thing"))
        self.assertEqual(self.script.asked[-1][0], "GET /collections/x%20y%2F%C3%BC")

    def test_relative_pages(self) -> None:
        """A next page is relative to the page that was asked, below a path of the server, too."""
        first = "/collections/current/images?limit=1"
        for base, below in (("https://here", ""), ("https://here/imgd", "/imgd")):
            for following in ("?limit=1&after=a", f"{first}&after=a"):
                self.script.answers = {
                    f"GET {below}{first}": ImagePage(images=[], count=3, next=following),
                    f"GET {below}{first}&after=a": ImagePage(images=[], count=3, next=None),
                }
                client = self.made(base)
                page = self.successResultOf(client.images_page(limit=1))
                self.assertIsNone(self.successResultOf(client.next_page(page.next or "")).next)

    def test_pages(self) -> None:
        """Images come page by page, in order, and only as far as they are wanted."""
        first = "/collections/current/images?limit=2"
        second = f"{first}&after=b"
        self.script.answers = {
            f"GET {first}": ImagePage(images=[image("a"), image("b")], count=3, next=second),
            f"GET {second}": ImagePage(images=[image("c")], count=3, next=None),
        }

        async def names(at_most: int) -> list[str]:
            found = []
            async for one in self.client.images(limit=2):
                found.append(one.name)
                if len(found) == at_most:
                    break
            return found

        asked: Deferred[list[str]] = Deferred.fromCoroutine(names(9))
        self.assertEqual(self.successResultOf(asked), ["a", "b", "c"])
        self.script.asked.clear()
        self.assertEqual(self.successResultOf(Deferred.fromCoroutine(names(2))), ["a", "b"])
        self.assertEqual(len(self.script.asked), 1)

    def test_pages_elsewhere(self) -> None:
        """A next page on another server is not asked for: the token would go there."""
        for where in ("https://there/collections", "//there/collections", "collections"):
            self.failureResultOf(self.client.next_page(where), InvalidResponse)
        self.assertEqual(self.script.asked, [])

    def test_relative_urls(self) -> None:
        """URLs come out absolute, whatever the server writes; below a path, too."""
        page = ImagePage(
            images=[image("a", "/images/a"), image("b", "https://cdn/b")], count=2, next=None
        )
        self.script.answers["GET /below/collections/current/images?limit=1000"] = page
        found = self.successResultOf(self.made("https://here:81/below/").images_page())
        self.assertEqual(
            [one.url for one in found.images], ["https://here:81/images/a", "https://cdn/b"]
        )

    def test_streaming(self) -> None:
        """``?format=ndjson`` gives every image, and their number."""
        lines = [messages.encode(image(name)) for name in "abc"]
        self.script.answers["GET /collections/ct/images?format=ndjson"] = b"\n".join(lines)
        seen: list[Image] = []
        self.assertEqual(self.successResultOf(self.client.stream("ct", seen.append)), 3)
        self.assertEqual([one.name for one in seen], ["a", "b", "c"])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_broken_streams(self) -> None:
        """A line that is no image, and an error in the caller's own function, end a stream."""
        self.script.answers["GET /collections/ct/images?format=ndjson"] = b'{"name":1}\n'
        self.failureResultOf(self.client.stream("ct", lambda _: None), InvalidResponse)
        self.failureResultOf(self.client.stream("gone", lambda _: None), ErrorResponse)
        line = messages.encode(image("a"))
        self.script.answers["GET /collections/ct/images?format=ndjson"] = line

        def refuse(_: Image) -> None:
            raise ZeroDivisionError

        self.failureResultOf(self.client.stream("ct", refuse), ZeroDivisionError)

    def test_awaiting(self) -> None:
        """Methods can be awaited, and callbacks added to what they return."""
        self.script.answers["GET /health"] = Health(version="1", uptime_seconds=2.0)

        async def version() -> str:
            return (await self.client.health()).version

        self.assertEqual(self.successResultOf(Deferred.fromCoroutine(version())), "1")
        chained: Any = self.client.health().addCallback(lambda health: health.version)
        self.assertEqual(self.successResultOf(chained), "1")

    def test_bases(self) -> None:
        """A server that is no URL is refused at once, with an example of one."""
        for given in ("localhost:8888", "ftp://a", "https://", "https://a b", "https://u:p@a", ""):
            with self.assertRaises(ClientError) as caught:
                self.made(given)
            self.assertIn("https://localhost:8888", caught.exception.detail)
        self.assertRaises(ClientError, self.made, "https://here/?x=1")
