"""On which URL a manifest's URLs are written: ``--server``, ``--base-url``, or as handed out."""

from __future__ import annotations

import json
import os
from typing import Any

from twisted.trial.unittest import SynchronousTestCase, TestCase
from twisted.web.server import Request

from imgd.client.base_urls import BaseUrls, link_on
from imgd.client.cli import guarded, perform
from imgd.client.errors import InvalidResponse
from imgd.client.options import parse
from tests.client.fake_imgd import TICKET, FakeImgd, TestContext, collection

HANDED_OUT = "https://localhost:8888"
FILE = "/images/i%200000.png"


class Table(SynchronousTestCase):
    def test_table(self) -> None:
        """The path stays, and whatever stands before it is replaced; nothing else is taken."""
        for listed, checked, written in (
            ("https://localhost:8888", "https://10.0.0.5:9000", "https://10.0.0.5:9000"),
            ("https://host/imgd", "http://[::1]:8888", "https://[2001:db8::1]:8888"),
            ("https://host", "https://host", "https://other/below"),
        ):
            loaded = collection()
            loaded.url = f"{listed}/collections/current/images"
            bases = BaseUrls.of(loaded, checked=checked, written=written)
            self.assertEqual(bases.to_check(f"{listed}{FILE}"), checked + FILE)
            self.assertEqual(bases.to_write(checked + FILE), written + FILE)
            for url in (f"{listed}x{FILE}", f"http://evil.example{FILE}", FILE, listed, ""):
                self.assertRaises(InvalidResponse, bases.to_check, url)
        for url in ("https://here/collections/other/images", "", "https://here"):
            loaded.url = url
            self.assertRaises(InvalidResponse, BaseUrls.of, loaded, checked="", written="")

    def test_link(self) -> None:
        """A signed link keeps its ticket and its path."""
        self.assertEqual(
            link_on("https://a/b", f"https://c{TICKET}{FILE}"), f"https://a/b{TICKET}{FILE}"
        )
        self.assertRaises(InvalidResponse, link_on, "https://a", f"https://c{FILE}")


class Commands(TestCase):
    """Against a server that hands out URLs on which nobody can reach it."""

    timeout = 60

    def setUp(self) -> None:
        self.imgd = FakeImgd(self)
        self.imgd.images("/data/frames", 3)
        self.server, self.imgd.url = self.imgd.url, HANDED_OUT
        self.folder = self.mktemp()
        self.context = TestContext(self)
        self.path = os.path.join(self.folder, "m.json")

    async def run_command(self, *words: str, status: int = 0, **environ: Any) -> str:
        self.context = TestContext(self)
        self.context.environ = {"IMGD_STATE_DIR": self.folder, **environ}
        done = await guarded(self.context, perform(self.context, parse(words)))
        self.assertEqual(done, status, self.context.remarked)
        return self.context.printed

    async def load(self, *words: str, status: int = 0, **environ: Any) -> Any:
        """The manifest of a load."""
        where = ("--output", self.path)
        await self.run_command("load", *words, *where, status=status, **environ)
        with open(self.path, encoding="utf-8") as file:
            return json.load(file)

    def urls(self, base: str) -> list[str]:
        return [f"{base}/images/i%20000{number}.png" for number in range(3)]

    async def test_server(self) -> None:
        """``--server``, or IMGD_SERVER, is what the URLs are written on, and said if it is another
        than the server hands out.
        """
        environ: Any
        for words, environ in (
            (["--server", self.server + "/"], {}),
            ([], {"IMGD_SERVER": self.server}),
        ):
            for how in ("head", "get", "none"):
                manifest = await self.load("/data/frames", "--verify", how, *words, **environ)
                self.assertEqual(manifest["image_urls"], self.urls(self.server))
                self.assertEqual(manifest["base_url"], self.server)
            self.assertIn(f"the server hands out {HANDED_OUT}\n", self.context.remarked)
        await self.load("/data/frames", "--quiet", "--server", self.server)
        self.assertEqual(self.context.remarked, "")
        self.imgd.url = self.server
        await self.load("/data/frames", "--server", self.server)
        self.assertNotIn("hands out", self.context.remarked)

    async def test_base_url(self) -> None:
        """``--base-url`` is written, and the same paths are checked on the server, which alone is
        asked; what fails is listed as it is written.
        """

        def fail(request: Request, _body: bytes) -> bytes:
            request.setResponseCode(404)
            return b""

        server = ("--server", self.server)
        for base in ("https://box.example:9000", "https://[2001:db8::1]:8888", "https://a/imgd"):
            manifest = await self.load("/data/frames", *server, "--base-url", f"{base}/")
            self.assertEqual(manifest["image_urls"], self.urls(base))
        self.assertEqual(len(self.imgd.checked), 9)
        self.imgd.hooks["i 0001.png"] = fail
        manifest = await self.load("/data/frames", *server, "--base-url", base, status=1)
        first, second, third = self.urls(base)
        self.assertEqual(manifest["image_urls"], [first, third])
        [failed] = manifest["failed"]
        self.assertEqual(failed["url"], second)
        self.assertIn("404", failed["reason"])
        self.assertIn(second, self.context.remarked)

    async def test_wrong(self) -> None:
        """What is no URL to build on is one sentence, and nothing is loaded."""
        for base in ("box.example", "ftp://box", "https://a?b", "https://", ""):
            words = ("load", "/data/frames", "--server", self.server, "--base-url", base)
            await self.run_command(*words, status=1)
            self.assertIn("Not a server's URL", self.context.remarked)
        self.assertEqual(self.imgd.log, [])

    async def test_resumed(self) -> None:
        """A resumed load goes on with the same base, without a word."""
        base = "https://box.example"
        manifest = await self.load("/data/frames", "--server", self.server, "--base-url", base)
        manifest["image_urls"].pop()
        with open(self.path, "w", encoding="utf-8") as file:
            json.dump(manifest, file)
        self.imgd.log.clear()
        await self.run_command("load", "--resume", self.path)
        with open(self.path, encoding="utf-8") as file:
            self.assertEqual(json.load(file)["image_urls"], self.urls(base))
        self.assertEqual(self.imgd.checked, ["i 0002.png"])
        await self.run_command("load", "--resume", self.path, "--base-url", "https://other")
        with open(self.path, encoding="utf-8") as file:
            self.assertEqual(json.load(file)["image_urls"], self.urls("https://other"))

    async def test_signed(self) -> None:
        """Signed URLs are written and checked in the same way, without the token."""
        self.imgd.token = "s3cret-s3cret-s3cret"
        words = ("/data/frames", "--server", self.server, "--token", self.imgd.token, "--signed")
        manifest = await self.load(*words, "--base-url", "https://box.example")
        self.assertEqual(manifest["image_urls"], self.urls(f"https://box.example{TICKET}"))
        self.assertEqual([s for s in self.imgd.shown if s is None], [None] * 3)

    async def test_public_url(self) -> None:
        """If a public URL is named as well, the URLs are those that are handed out."""
        self.imgd.url = other = FakeImgd(self).url
        environ: Any
        for words, environ in ((["--public-url", other], {}), ([], {"NGROK_URL": other})):
            manifest = await self.load(
                "/data/frames", "--verify", "none", "--server", self.server, *words, **environ
            )
            self.assertEqual(manifest["image_urls"], self.urls(other))
            self.assertNotIn("base_url", manifest)

    async def test_changed(self) -> None:
        """If the URLs begin with something else under way, the load is incomplete and says so."""
        page = self.imgd._page

        def elsewhere(name: str, query: dict[str, str]) -> Any:
            self.imgd.url = "http://169.254.169.254"
            return page(name, query)

        self.imgd._page = elsewhere  # type: ignore[method-assign]
        manifest = await self.load("/data/frames", "--server", self.server, status=1)
        self.assertEqual(manifest["image_urls"], [])
        self.assertIn(f"Not below {HANDED_OUT}", manifest["message"])

    async def test_link(self) -> None:
        """``imgd link`` prints its link on ``--server`` or ``--base-url``, and understands both."""
        for words, base in (
            (["--server", self.server], self.server),
            (["--server", self.server, "--base-url", "https://a/imgd/"], "https://a/imgd"),
        ):
            for target in ("/images/a.nii", f"{base}/images/a.nii"):
                self.assertEqual(
                    await self.run_command("link", target, *words), f"{base}{TICKET}/images/a.nii\n"
                )
