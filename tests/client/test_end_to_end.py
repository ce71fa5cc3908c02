"""The command against a real imgd over TLS."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any, ClassVar

from twisted.internet import reactor
from twisted.trial.unittest import SkipTest, TestCase

from imgd.client import connect
from imgd.client.cli import guarded, perform
from imgd.client.options import parse
from tests.client.certificates import Authority
from tests.client.fake_imgd import TestContext
from tests.daemons import CHECKOUT, PATIENCE, curl, environment, shared_daemon
from tests.net.tls_case import has_ipv6
from tests.samples import HOSTILE_NAMES, digest, frames, studies


class DaemonCase(TestCase):
    """One real imgd for all tests of a class in a process; the command runs in this process.

    It does not end with the reactor's shutdown, which ``trial -j`` fires after each test.
    """

    timeout = 120
    daemon: ClassVar[tuple[str, ...]] = ("client",)

    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir(parents=True)
        self.real = shared_daemon(*self.daemon)
        self.base = self.real.url.rstrip("/")

    async def imgd(self, *words: str, status: int = 0, **env: Any) -> TestContext:
        """What a command printed."""
        context = TestContext(self)
        context.environ = {"IMGD_STATE_DIR": str(self.real.folder / "state"), **env}
        done = await guarded(context, perform(context, parse(words)))
        self.assertEqual(done, status, context.remarked)
        return context

    async def manifest(self, *words: str, **env: Any) -> Any:
        return json.loads((await self.imgd("load", *words, "--output", "-", **env)).printed)

    def fetch(self, url: str) -> bytes:
        with urllib.request.urlopen(url, context=self.real.tls()) as response:
            return bytes(response.read())


class EndToEnd(DaemonCase):
    async def test_every_byte(self) -> None:
        """Frames are loaded and checked, and every URL in the manifest gives its file's bytes."""
        folder = frames(self.folder / "video frames")
        for name in HOSTILE_NAMES:
            (folder / os.fsencode(name).decode("utf-8", "surrogateescape")).write_bytes(
                name.encode("utf-8", "surrogateescape")
            )
        for how in ("head", "get"):
            manifest = await self.manifest(str(folder), "--verify", how)
            self.assertEqual((manifest["success"], manifest["failed"]), (True, []))
            self.assertEqual(manifest["directory"], str(folder))
            urls = manifest["image_urls"]
            self.assertEqual(urls, sorted(urls))
            self.assertEqual(manifest["timeout_minutes"], 30)
        files = [p.read_bytes() for p in folder.iterdir() if p.suffix in {".jpg", ".png"}]
        self.assertEqual(len(urls), len(files))
        self.assertEqual({digest(self.fetch(url)) for url in urls}, set(map(digest, files)))

    async def test_several_and_below(self) -> None:
        """Several directories, one with folders below it, each with its manifest."""
        one, two = frames(self.folder / "day 1", 3), studies(self.folder / "studies")
        words = ("--recursive", "--timeout", "0", "--output", str(self.folder))
        loaded = await self.imgd("load", str(one), str(two), *words)
        manifests = [json.loads(Path(line).read_text()) for line in loaded.printed.splitlines()]
        self.assertEqual([m["collection"] for m in manifests], ["day-1", "studies"])
        self.assertEqual([m["directory"] for m in manifests], [str(one), str(two)])
        urls = manifests[1]["image_urls"]
        self.assertTrue(any("/patient%201/CT_small.dcm" in url for url in urls))
        self.assertNotIn("timeout_minutes", manifests[0])
        table = (await self.imgd("status")).printed
        for part in ("day-1", "studies", "never", str(two)):
            self.assertIn(part, table)
        await self.imgd("unload", "studies")
        status = json.loads((await self.imgd("status", "--json")).printed)
        self.assertIn("day-1", [one["name"] for one in status["collections"]])
        self.assertNotIn("studies", [one["name"] for one in status["collections"]])
        await self.imgd("unload", "studies", status=1)
        for minutes in ("7", "30"):
            answer = (await self.imgd("timeout", minutes)).printed
            self.assertEqual(answer, f"Timeout set to {minutes} minutes\n")

    async def test_resumed(self) -> None:
        """A manifest that lacks a URL is made whole."""
        folder = frames(self.folder / "frames", 3)
        whole = await self.manifest(str(folder), "--verify", "none")
        saved = self.folder / "saved.json"
        saved.write_text(json.dumps({**whole, "image_urls": whole["image_urls"][1:]}))
        again = await self.imgd("load", "--resume", str(saved), "--verbose")
        self.assertEqual(again.printed.strip(), str(saved))
        self.assertEqual(json.loads(saved.read_text())["image_urls"], whole["image_urls"])

    async def test_trust(self) -> None:
        """Neither another CA nor the system's store is good for the local daemon."""
        other = self.folder / "other.pem"
        other.write_bytes(Authority().pem)
        refused = await self.imgd("status", "--ca", str(other), status=1)
        self.assertIn("--ca FILE", refused.remarked)
        elsewhere = str(self.folder / "elsewhere")
        server = ("status", "--server", self.base)
        refused = await self.imgd(*server, status=1, IMGD_STATE_DIR=elsewhere)
        self.assertIn("--ca FILE", refused.remarked)
        await self.imgd("status", "--server", self.base.replace("localhost", "127.0.0.1"))
        await self.imgd(*server, "--ca", str(self.real.ca))

    async def test_token(self) -> None:
        """A wrong token is refused, and none is ever printed."""
        refused = await self.imgd("unload", "--token", "wrong-wrong-wrong-wrong", status=1)
        said = refused.printed + refused.remarked
        self.assertNotIn("wrong-wrong", said)
        self.assertNotIn(self.real.token, said)

    async def test_public_url(self) -> None:
        """What the tunnel's URL is set to stands in manifests, and checks go there."""
        folder = str(frames(self.folder / "frames", 1))
        plain = await self.manifest(folder)
        self.assertTrue(plain["image_urls"][0].startswith(self.base))
        public = self.base.replace("localhost", "127.0.0.1")
        client = connect(reactor, state_dir=str(self.real.folder / "state"), environ={})
        self.addCleanup(client.close)
        await client.set_public_url(public)
        found = await self.manifest(folder, "--ca", str(self.real.ca))
        self.assertTrue(all(url.startswith(public) for url in found["image_urls"]), found)
        await self.imgd("tunnel", "--clear")
        self.assertEqual((await self.manifest(folder))["image_urls"], plain["image_urls"])

    async def test_base_urls(self) -> None:
        """``--server`` is what URLs are written on, whatever the public URL, and ``--base-url``
        what nobody here can reach; the same paths are checked on the server.
        """
        folder = str(frames(self.folder / "frames", 1))
        near = self.base.replace("localhost", "127.0.0.1")
        client = connect(reactor, state_dir=str(self.real.folder / "state"), environ={})
        self.addCleanup(client.close)
        for public in (None, "https://demo.example/imgd"):
            await client.set_public_url(public)
            for words, base in (
                (("--server", near), near),
                (("--base-url", "https://box.example/x"), "https://box.example/x"),
                (("--base-url", "https://[2001:db8::1]:9000", "--server", near),
                 "https://[2001:db8::1]:9000"),
            ):  # fmt: skip
                found = await self.manifest(folder, *words, "--verify", "get")
                self.assertEqual((found["count"], found["failed"]), (2, []))
                self.assertEqual(
                    {url.partition("/images/")[0] for url in found["image_urls"]}, {base}
                )
        await client.set_public_url(None)

    async def test_the_example(self) -> None:
        """The documented example of the library runs as it stands, in a process of its own."""
        folder = frames(self.folder / "frames", 2)
        state = {"IMGD_STATE_DIR": str(self.real.folder / "state")}
        done = subprocess.run(
            [sys.executable, str(CHECKOUT / "examples" / "load_and_list.py"), str(folder)],
            env=environment(self.folder, state),
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        self.assertEqual(done.returncode, 0, done.stderr)
        first, *images, last = done.stdout.splitlines()
        self.assertEqual(first, f"Loaded 3 images from {folder}")
        self.assertEqual(len(images), 3)
        self.assertIn("/collections/example/files/cover%20page.png", images[0])
        self.assertEqual(last, "Directory unloaded successfully")


class Private(DaemonCase):
    daemon = ("client-private", "--private", "--http-port", "0")

    def status(self, url: str) -> int:
        """What a model gets that trusts the CA and has nothing but the URL."""
        try:
            with urllib.request.urlopen(url, context=self.real.tls()) as response:
                return int(response.status)
        except urllib.error.HTTPError as error:
            return error.code

    async def test_signed(self) -> None:
        """Signed URLs end as files do, and give their bytes to who has the CA alone, until they
        are revoked. Plain ones do not.
        """
        folder = studies(self.folder / "studies")
        load = (str(folder), "--recursive", "--signed")
        for words in (("--name", "ct"), ()):
            manifest = await self.manifest(*load, "--verify", "get", *words)
            urls = manifest["image_urls"]
            self.assertEqual(len(urls), 6)
            self.assertEqual(urls, sorted(urls))
            self.assertRegex(manifest["links_expire_at"], r"^20\d\d-.*Z$")
            for url in urls:
                self.assertIn("/-/s/", url)
                place = url.partition("/files/" if words else "/images/")[2]
                file = folder / urllib.parse.unquote(place)
                self.assertEqual(self.fetch(url), file.read_bytes())
            [volume] = [url for url in urls if url.endswith("/example4d.nii.gz")]
            body = curl("--cacert", str(self.real.ca), "--fail", volume)
            self.assertEqual(body, (folder / "example4d.nii.gz").read_bytes())
            plain = re.sub("/-/s/[^/]+", "", volume)
            self.assertEqual((self.status(volume), self.status(plain)), (200, 401))
        await self.imgd("link", "--revoke-all")
        self.assertEqual(self.status(volume), 403)
        again = (await self.manifest(*load))["image_urls"]
        self.assertEqual(self.status(again[0]), 200)

    async def test_signed_elsewhere(self) -> None:
        """Signed URLs are written on ``--server`` and ``--base-url`` too, and are good there."""
        folder = str(frames(self.folder / "frames", 1))
        plain = self.real.http_url.rstrip("/")
        bases = [self.base, plain, plain.replace("localhost", "127.0.0.1")]
        if "::1" in {address for _, address in self.real.listening}:
            bases += [base.replace("localhost", "[::1]") for base in (self.base, plain)]
        for base in bases:
            manifest = await self.manifest(folder, "--signed", "--server", base)
            self.assertEqual((manifest["count"], manifest["failed"]), (2, []))
            for url in manifest["image_urls"]:
                self.assertTrue(url.startswith(f"{base}/-/s/"), url)
                self.assertEqual(self.status(url), 200)
        manifest = await self.manifest(folder, "--signed", "--base-url", "https://box.example")
        for url in manifest["image_urls"]:
            self.assertEqual(self.status(url.replace("https://box.example", self.base)), 200)

    async def test_link(self) -> None:
        """``imgd link`` prints a URL that curl can fetch with the CA alone."""
        (self.real.folder / "output" / "a b.nii.gz").write_bytes(b"a volume")
        for place in ("/a b.nii.gz", f"{self.base}/a%20b.nii.gz"):
            made = await self.imgd("link", place, "--expires", "7d")
            self.assertRegex(made.printed, rf"^{self.base}/-/s/[^/]+/a%20b\.nii\.gz\n$")
            self.assertIn("good until 20", made.remarked)
            url = made.printed.strip()
            self.assertEqual(curl("--cacert", str(self.real.ca), url), b"a volume")
        folder = (await self.imgd("link", "/", "--prefix")).printed.strip()
        self.assertEqual(self.fetch(folder + "a%20b.nii.gz"), b"a volume")
        self.assertEqual(self.status(url.replace("/a%20b", "/c")), 403)
        refused = await self.imgd("link", "a b.nii.gz", status=1)
        self.assertIn("/images/a.nii", refused.remarked)

    async def test_unsigned(self) -> None:
        """Every command works with the token, by each name of the daemon, and none without."""
        folder = str(frames(self.folder / "frames", 3))
        for url in (self.base, self.base.replace("localhost", "127.0.0.1"), self.real.http_url):
            for how in ("head", "get"):
                manifest = await self.manifest(folder, "--server", url, "--verify", how)
                self.assertEqual((manifest["count"], manifest["failed"]), (4, []))
                self.assertTrue(manifest["image_urls"][0].startswith(url.rstrip("/")))
        self.assertIn(folder, (await self.imgd("status")).printed)
        self.assertEqual((await self.imgd("timeout", "7")).printed, "Timeout set to 7 minutes\n")
        where = ("--server", self.base, "--ca", str(self.real.ca))
        elsewhere: Any = {"IMGD_STATE_DIR": str(self.folder / "elsewhere")}
        refused = await self.imgd("status", *where, status=1, **elsewhere)
        self.assertIn("private", refused.remarked)
        token: Any = {"IMGD_TOKEN": self.real.token}
        await self.imgd("status", *where, **elsewhere, **token)
        await self.manifest(folder, *where, **elsewhere, **token)
        await self.imgd("unload")


class AddressTests(DaemonCase):
    """A daemon on an IPv6 address, and one that is asked in plain HTTP on its HTTPS port."""

    daemon = ("client-ipv6", "--host", "::1", "--http-port", "0")

    def setUp(self) -> None:
        if not has_ipv6():
            raise SkipTest("no ::1 here")
        super().setUp()

    async def test_commands(self) -> None:
        """Every command reaches the address, found by the state folder or named by --server."""
        source = self.folder / "six"
        frames(source, 3)
        for server in ((), ("--server", self.base), ("--server", self.real.http_url)):
            self.assertIn("[::1]", (await self.imgd("status", *server)).printed)
            manifest = await self.manifest(str(source), *server)
            self.assertEqual((manifest["success"], manifest["failed"]), (True, []))
            await self.imgd("link", manifest["image_urls"][0], *server)
            await self.imgd("timeout", "7", *server)
            await self.imgd("unload", *server)

    async def test_plain_on_tls(self) -> None:
        """The error names the https URL."""
        plain = self.base.replace("https:", "http:")
        context = await self.imgd("status", "--server", plain, status=1)
        self.assertIn(f"speaks HTTPS alone: ask for {self.base}/", context.remarked)
