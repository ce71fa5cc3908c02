"""SignedUrls URLs: of the real URL map in memory, and as a load writes and checks them."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any
from urllib.parse import unquote

from treq.testing import StubTreq
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.resource import Resource
from twisted.web.server import Request

from imgd.client.api import Client
from imgd.client.errors import ErrorResponse, InvalidResponse, Retrier
from imgd.client.load_command import LoadCommand
from imgd.client.load_targets import resumed
from imgd.client.manifest import read_manifest
from imgd.client.options import CliOptions
from imgd.client.signed_urls import SHORTEST, WITHOUT_TIMER, SignedUrls, lifetime, sign
from imgd.core import links, messages
from imgd.core.messages import LinkResult
from imgd.core.routes import redact_text
from tests.client.fake_imgd import TICKET, FakeImgd, collection, content_of
from tests.client.load_case import TOKEN as FAKE_TOKEN
from tests.client.load_case import LoadCase
from tests.fakes import TOKEN, WALL, MemorySite, write
from tests.samples import HOSTILE_NAMES

FAR = "203.0.113.9"  # RFC 5737: documentation
BASE = "https://localhost:8888"


class Relay(Resource):
    """Hands requests on to a site in memory."""

    isLeaf = True

    def __init__(self, memory_site: MemorySite) -> None:
        super().__init__()
        self._house = memory_site

    def render(self, request: Request) -> bytes:
        headers = {"Content-Type": "application/json"}
        headers["Authorization"] = request.getHeader("Authorization") or ""
        answer = self._house.ask(
            request.uri, request.method.decode(), headers, content_of(request), FAR
        )
        request.setResponseCode(answer.status)
        return answer.body


class InMemory(SynchronousTestCase):
    """A private imgd, asked by the client from afar with the token, and by models without."""

    def setUp(self) -> None:
        self.folder = os.path.realpath(self.mktemp())
        self.memory_site = MemorySite(self.folder, private=True)
        self.frames = os.path.join(self.folder, "frames")
        for name in ("a.nii.gz", os.path.join("deep down", "b.nii.gz"), *HOSTILE_NAMES):
            write(os.path.join(self.frames, name), os.fsencode(name))
        self.client = Client(StubTreq(Relay(self.memory_site)), BASE, Retrier(Clock()), token=TOKEN)

    def status(self, url: str) -> int:
        """What a model gets that has nothing but the URL."""
        return self.memory_site.ask(url.removeprefix(BASE), peer=FAR).status

    def result(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        return self.successResultOf(Deferred.fromCoroutine(coroutine))

    def signed(self, name: str, seconds: int = 3600) -> tuple[SignedUrls, list[str]]:
        """A collection's link, and its images' URLs."""
        page = self.successResultOf(self.client.images_page(name))
        return self.result(sign(self.client, name, seconds)), [image.url for image in page.images]

    def test_every_image(self) -> None:
        """Of one link every image's URL is made: each reads its own file, and ends in its name."""
        self.memory_site.load(self.frames, recursive=True)
        self.memory_site.load(self.frames, recursive=True, name="ct.1")
        for name in ("current", "ct.1"):
            signed, urls = self.signed(name)
            self.assertEqual(len(urls), 2 + sum(n.endswith(".png") for n in HOSTILE_NAMES))
            self.assertEqual(signed.expires_at, messages.utc(WALL + 3600))
            for url in urls:
                made = signed.url(url)
                self.assertTrue(made.endswith(url.removeprefix(BASE)), made)
                answer = self.memory_site.ask(made.removeprefix(BASE), peer=FAR)
                self.assertEqual(answer.status, 200, made)
                place = url.partition("/images/" if name == "current" else "/files/")[2]
                file = os.fsencode(unquote(place, errors="surrogateescape"))
                self.assertEqual(answer.body, file)
                self.assertEqual(self.status(url), 401)

    def test_expired_and_revoked(self) -> None:
        """A signed URL that has expired is a 410; one that was revoked a 403."""
        self.memory_site.load(self.frames)
        signed, _ = self.signed("current", 60)
        url = signed.url(f"{BASE}/images/a.nii.gz")
        self.memory_site.clock.advance(59)
        self.assertEqual(self.status(url), 200)
        self.memory_site.clock.advance(1)
        self.assertEqual(self.status(url), 410)
        signed, _ = self.signed("current", 60)
        url = signed.url(f"{BASE}/images/a.nii.gz")
        self.assertEqual(self.status(url), 200)
        self.successResultOf(self.client.revoke_links())
        self.assertEqual(self.status(url), 403)

    def test_one_file(self) -> None:
        """``link`` takes a path as it is written anywhere, or a URL, and ends as the file does."""
        self.memory_site.load(self.frames, recursive=True)
        for place in (
            "/images/deep down/b.nii.gz",
            "/images/deep%20down/b.nii.gz",
            f"{BASE}/images/deep%20down/b.nii.gz",
            "HTTPS://elsewhere.example/images/deep%20down/b.nii.gz",
        ):
            made = self.successResultOf(self.client.link(place, expires=5))
            self.assertTrue(made.url.endswith("/images/deep%20down/b.nii.gz"), made.url)
            self.assertEqual(self.status(made.url), 200)
        for image in self.successResultOf(self.client.images_page("current")).images:
            made = self.successResultOf(self.client.link(image.url))
            self.assertEqual(self.status(made.url), 200, made.url)
        made = self.successResultOf(self.client.link("/images/bytes-\udcff\udcfe-not-utf8.png"))
        self.assertEqual(self.status(made.url), 200)
        refused = self.failureResultOf(self.client.link("images/a.nii.gz"), ErrorResponse)
        self.assertIn("/images/a.nii", refused.value.detail)

    def test_public(self) -> None:
        """Behind a public URL with a path of its own, signed URLs are below it too."""
        self.memory_site.urls.public = "https://demo.example/-/s/imgd"
        self.memory_site.load(self.frames)
        signed, urls = self.signed("current")
        self.assertEqual(signed.plain, "https://demo.example/-/s/imgd/images/")
        for url in urls:
            self.assertTrue(signed.url(url).startswith("https://demo.example/-/s/imgd/-/s/"))
        self.memory_site.urls.public = None
        _, urls = self.signed("current")
        self.assertRaises(InvalidResponse, signed.url, urls[0])


class Small(SynchronousTestCase):
    def test_lifetime(self) -> None:
        """Links live as long as their collection stays loaded, else a day."""
        loaded = collection()
        self.assertEqual(lifetime(loaded, WALL), WITHOUT_TIMER)
        for left, wanted in (
            (1800.0, 1800),
            (1799.5, 1800),
            (3, SHORTEST),
            (-900, SHORTEST),
            (links.MAX_SECONDS + 900, links.MAX_SECONDS),
        ):
            loaded.expires_at = messages.utc(WALL)
            self.assertEqual(lifetime(loaded, WALL - left), wanted)

    def test_shown(self) -> None:
        """What is shown of a signed URL opens nothing."""
        self.assertEqual(
            redact_text("https://a/-/s/5-1.SIGNATURE/images/b"), "https://a/-/s/5-1..../images/b"
        )
        self.assertEqual(redact_text("https://a/\udcffb"), "https://a/?b")

    def test_wrong_links(self) -> None:
        """A link for something else than was asked for is not taken."""

        def client(url: str) -> Any:
            made = LinkResult(url=url, expires_at="2025-01-01T00:00:00Z")
            render: Callable[..., bytes] = lambda _: messages.encode(made)  # noqa: E731
            resource = Resource()
            resource.isLeaf = True
            resource.render = render  # type: ignore[method-assign]
            return Client(StubTreq(resource), BASE, Retrier(Clock()))

        for url in (
            f"{BASE}/images/",
            f"{BASE}/-/s/5.ME/images",
            f"{BASE}/-/s/5.ME/",
            f"{BASE}/-/s/",
            f"{BASE}/-/s/5.ME/collections/ct/files/",
            "",
        ):
            signing = Deferred.fromCoroutine(sign(client(url), "current", 5))
            self.failureResultOf(signing, InvalidResponse)


class SignedLoads(LoadCase):
    def setUp(self) -> None:
        super().setUp()
        self.imgd.images("/data/frames", 30)
        self.imgd.token = FAKE_TOKEN
        self.options = CliOptions(signed=True)

    def asked(self, kind: str) -> list[str | None]:
        """What was shown with each request of this kind."""
        return [
            shown
            for line, shown in zip(self.imgd.log, self.imgd.shown, strict=True)
            if line.startswith(kind)
        ]

    async def test_manifest(self) -> None:
        """Every URL is signed by one link, and checked as a model fetches it: without a token."""
        for how in ("head", "get"):
            self.options = CliOptions(signed=True, verify=how)
            manifest = await self.loaded("/data/frames", name="ct")
            self.assertEqual(
                manifest["image_urls"],
                [f"{self.imgd.url}{TICKET}/collections/ct/files/i%20{n:04}.png" for n in range(30)],
            )
            self.assertEqual(manifest["links_expire_at"], "2099-01-01T00:00:00Z")
            checked = self.asked(f"{how.upper()} {TICKET}")
            self.assertEqual(checked, [None] * 30)
        asked = [body for path, body in self.imgd.posts if path == "/links"]
        place = "/collections/ct/files/"
        self.assertEqual(asked, [{"path": place, "expires": WITHOUT_TIMER, "prefix": True}] * 2)

    async def test_who_may_read_it(self) -> None:
        """A manifest of signed URLs is for its owner's eyes; others are as they were."""
        for signed, mode in ((True, 0o600), (False, 0o644)):
            self.options = CliOptions(signed=signed)
            await self.loaded("/data/frames", name="ct")
            path = self.context.printed.splitlines()[-1]
            self.assertEqual(stat.S_IMODE(os.stat(path).st_mode) & ~0o077, mode & ~0o077)
            self.assertEqual(bool(stat.S_IMODE(os.stat(path).st_mode) & 0o077), not signed)

    async def test_expires(self) -> None:
        """``--expires`` is for how long; without it, as long as the collection stays."""
        self.imgd.expires_at = messages.utc(self.context.clock.seconds() + 5000)
        for expires in (77, None):
            self.options.expires = expires
            await self.loaded("/data/frames")
        given, own = (body["expires"] for path, body in self.imgd.posts if path == "/links")
        self.assertEqual(given, 77)
        self.assertTrue(4000 < own <= 5000, own)

    async def test_failures(self) -> None:
        """What fails is told without its signature, and resumed with new signatures for all."""
        del self.imgd.directories["/data/frames"]
        self.imgd.images("/data/frames", 3)

        def deny(request: Request, body: bytes) -> bytes:
            request.setResponseCode(403)
            return b""

        self.imgd.hooks = {"i 0001.png": deny}
        self.options = CliOptions(signed=True, verbose=True)
        self.assertEqual(await self.load("/data/frames"), 1)
        self.assertNotIn("5-1.ME", self.context.remarked)
        self.assertIn("/-/s/5-1..../images/i%200001.png", self.context.remarked)
        self.assertRegex(self.context.remarked, r"imgd load --resume \S+ --signed\n")
        path = self.context.printed.strip()
        self.imgd.hooks = {}
        job = resumed(*read_manifest(path), path)
        loading = LoadCommand(self.context, self.server, self.options)
        self.assertEqual(await loading.run([job]), 0, self.context.remarked)
        with open(path, encoding="ascii") as file:
            self.assertEqual(len(json.load(file)["image_urls"]), 3)

    async def test_no_link(self) -> None:
        """Where no link is made, nothing is written, and the server's reason is told."""
        post = self.imgd._post

        def without_links(request: Request, path: str) -> bytes:
            return post(request, "/nothing" if path == "/links" else path)

        self.imgd._post = without_links  # type: ignore[method-assign]
        self.assertEqual(await self.load("/data/frames"), 1)
        self.assertEqual(self.context.printed, "")
        self.assertEqual(self.context.remarked, "imgd: /data/frames: no /links here\n")

    async def test_public_url_changed(self) -> None:
        """Where the server's public URL changes under way, the load is incomplete and says so."""
        page = self.imgd._page

        def elsewhere(name: str, query: dict[str, str]) -> Any:
            made = page(name, query)
            for image in made["images"]:
                image["url"] = image["url"].replace(self.imgd.url, "https://demo.example")
            return made

        self.imgd._page = elsewhere  # type: ignore[method-assign]
        self.assertEqual(await self.load("/data/frames"), 1)
        self.assertIn("public URL changed", self.manifests()[0]["message"])


class UnsignedLoads(LoadCase):
    def setUp(self) -> None:
        super().setUp()
        self.imgd.images("/data/frames", 30)
        self.imgd.token = FAKE_TOKEN

    async def test_private(self) -> None:
        """Without ``--signed`` the token is shown to the server itself with every check."""
        for how in ("head", "get"):
            self.options = CliOptions(verify=how)
            manifest = await self.loaded("/data/frames")
            self.assertEqual(manifest["count"], 30)
            self.assertNotIn("links_expire_at", manifest)

    async def test_without_a_token(self) -> None:
        """Where the token is missing, the server's reason is told."""
        self.server = replace(self.server, token=None)
        self.assertEqual(await self.load("/data/frames"), 1)
        self.assertIn("Reading is private here", self.context.remarked)

    async def test_other_origins(self) -> None:
        """The token goes to no public URL, though it answers 401."""
        other = FakeImgd(self)
        other.directories, other.loaded = self.imgd.directories, self.imgd.loaded
        other.token = FAKE_TOKEN
        page = self.imgd._page

        def elsewhere(name: str, query: dict[str, str]) -> Any:
            made = page(name, query)
            for image in made["images"]:
                image["url"] = image["url"].replace(self.imgd.url, other.url)
            return made

        self.imgd._page = elsewhere  # type: ignore[method-assign]
        self.server = self.server.with_public(other.url)
        for how in ("head", "get"):
            self.options = CliOptions(verify=how)
            self.assertEqual(await self.load("/data/frames"), 1)
        self.assertEqual(other.shown, [None] * 60)
        [reason] = {failed["reason"] for failed in self.manifests()[-1]["failed"]}
        self.assertIn("--signed makes URLs that need no token", reason)
        self.server = replace(self.server, also=(other.url,))
        await self.loaded("/data/frames")
