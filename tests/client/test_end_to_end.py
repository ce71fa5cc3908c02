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
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.client.certificates import Authority
from tests.daemons import CHECKOUT, PATIENCE, Daemon, curl, environment
from tests.samples import HOSTILE_NAMES, digest, frames, studies


class RealDaemon(SynchronousTestCase):
    options: tuple[str, ...] = ()

    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).absolute()
        self.daemon = Daemon(self.folder, *self.options)
        self.addCleanup(self.daemon.stop)

    def python(self, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-W", "error::DeprecationWarning", *words],
            cwd=self.folder,
            env=environment(self.folder, {"IMGD_STATE_DIR": str(self.folder / "state"), **env}),
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    def imgd(self, *words: str, status: int = 0, **env: str) -> subprocess.CompletedProcess[str]:
        done = self.python("-m", "imgd.client.cli", *words, **env)
        self.assertEqual(done.returncode, status, done.stderr)
        return done

    def manifest(self, *words: str, status: int = 0, **env: str) -> Any:
        done = self.imgd("load", *words, "--output", "-", status=status, **env)
        return json.loads(done.stdout)

    def fetch(self, url: str) -> bytes:
        with urllib.request.urlopen(url, context=self.daemon.tls()) as response:
            return bytes(response.read())


class EndToEnd(RealDaemon):
    def test_every_byte(self) -> None:
        """Frames are loaded and checked, and every URL in the manifest gives its file's bytes."""
        folder = frames(self.folder / "video frames")
        for name in HOSTILE_NAMES:
            (folder / os.fsencode(name).decode("utf-8", "surrogateescape")).write_bytes(
                name.encode("utf-8", "surrogateescape")
            )
        for how in ("head", "get"):
            manifest = self.manifest(str(folder), "--verify", how)
            self.assertEqual((manifest["success"], manifest["failed"]), (True, []))
            self.assertEqual(manifest["directory"], str(folder))
            urls = manifest["image_urls"]
            self.assertEqual(urls, sorted(urls))
            self.assertEqual(manifest["timeout_minutes"], 30)
        wanted = [p.read_bytes() for p in folder.iterdir() if p.suffix in {".jpg", ".png"}]
        found = {digest(self.fetch(url)) for url in urls}
        self.assertEqual(len(urls), len(wanted))
        self.assertEqual(found, {digest(data) for data in wanted})

    def test_several_and_below(self) -> None:
        """Several directories, one with folders below it, each with its manifest."""
        one, two = frames(self.folder / "day 1", 3), studies(self.folder / "studies")
        done = self.imgd("load", "day 1", "studies", "--recursive", "--timeout", "0")
        paths = [self.folder / line for line in done.stdout.splitlines()]
        found = [json.loads(path.read_text()) for path in paths]
        self.assertEqual([m["collection"] for m in found], ["day-1", "studies"])
        self.assertEqual([m["directory"] for m in found], [str(one), str(two)])
        self.assertTrue(any("/patient%201/CT_small.dcm" in url for url in found[1]["image_urls"]))
        self.assertNotIn("timeout_minutes", found[0])
        table = self.imgd("status").stdout
        for part in ("day-1", "studies", "never", str(two)):
            self.assertIn(part, table)
        self.imgd("unload", "studies")
        self.assertEqual(len(json.loads(self.imgd("status", "--json").stdout)["collections"]), 1)
        self.imgd("unload", "studies", status=1)
        self.assertEqual(self.imgd("timeout", "7").stdout, "Timeout set to 7 minutes\n")

    def test_resumed(self) -> None:
        """A manifest that lacks a URL is made whole."""
        folder = frames(self.folder / "frames", 3)
        whole = self.manifest(str(folder), "--verify", "none")
        saved = self.folder / "saved.json"
        saved.write_text(json.dumps({**whole, "image_urls": whole["image_urls"][1:]}))
        again = self.imgd("load", "--resume", str(saved), "--verbose")
        self.assertEqual(again.stdout.strip(), str(saved))
        self.assertEqual(json.loads(saved.read_text())["image_urls"], whole["image_urls"])

    def test_trust(self) -> None:
        """Neither another CA nor the system's store is good for the local daemon."""
        other = self.folder / "other.pem"
        other.write_bytes(Authority().pem)
        done = self.imgd("status", "--ca", str(other), status=1)
        self.assertIn("--ca FILE", done.stderr)
        url = self.daemon.url
        done = self.imgd(
            "status", "--server", url, status=1, IMGD_STATE_DIR=str(self.folder / "elsewhere")
        )
        self.assertIn("--ca FILE", done.stderr)
        self.imgd("status", "--server", url.replace("localhost", "127.0.0.1"))
        self.imgd("status", "--server", url, "--ca", str(self.daemon.ca))

    def test_token(self) -> None:
        """A wrong token is refused, and none is ever printed."""
        done = self.imgd("unload", "--token", "wrong-wrong-wrong-wrong", status=1)
        said = done.stdout + done.stderr
        self.assertNotIn("wrong-wrong", said)
        self.assertNotIn(self.daemon.token, said)

    def test_public_url(self) -> None:
        """What the tunnel's URL is set to stands in manifests, and checks go there."""
        folder = frames(self.folder / "frames", 1)
        plain = self.manifest(str(folder))
        base = self.daemon.url.rstrip("/")
        self.assertTrue(plain["image_urls"][0].startswith(base))
        public = base.replace("localhost", "127.0.0.1")
        code = (
            "from twisted.internet.defer import Deferred\n"
            "from twisted.internet.task import react\n"
            "from imgd.client import connect\n"
            f"react(lambda r: connect(r).set_public_url({public!r}))\n"
        )
        done = self.python("-c", code)
        self.assertEqual(done.returncode, 0, done.stderr)
        found = self.manifest(str(folder), "--ca", str(self.daemon.ca))
        self.assertTrue(all(url.startswith(public) for url in found["image_urls"]), found)
        self.imgd("tunnel", "--clear")
        self.assertEqual(self.manifest(str(folder))["image_urls"], plain["image_urls"])

    def test_the_example(self) -> None:
        """The documented example of the library runs as it stands."""
        folder = frames(self.folder / "frames", 2)
        done = self.python(str(CHECKOUT / "examples" / "load_and_list.py"), str(folder))
        self.assertEqual(done.returncode, 0, done.stderr)
        first, *images, last = done.stdout.splitlines()
        self.assertEqual(first, f"Loaded 3 images from {folder}")
        self.assertEqual(len(images), 3)
        self.assertIn("/collections/example/files/cover%20page.png", images[0])
        self.assertEqual(last, "Directory unloaded successfully")


class Private(RealDaemon):
    options = ("--private", "--http-port", "0")

    def status(self, url: str) -> int:
        """What a model gets that trusts the CA and has nothing but the URL."""
        try:
            with urllib.request.urlopen(url, context=self.daemon.tls()) as response:
                return int(response.status)
        except urllib.error.HTTPError as error:
            return error.code

    def test_signed(self) -> None:
        """Signed URLs end as files do, and give their bytes to who has the CA alone, until revoked.

        Plain ones do not.
        """
        folder = studies(self.folder / "studies")
        for words in (("--name", "ct"), ()):
            manifest = self.manifest(
                "studies", "--recursive", "--signed", "--verify", "get", *words
            )
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
            body = curl("--cacert", str(self.daemon.ca), "--fail", volume)
            self.assertEqual(body, (folder / "example4d.nii.gz").read_bytes())
            plain = re.sub("/-/s/[^/]+", "", volume)
            self.assertEqual((self.status(volume), self.status(plain)), (200, 401))
        self.imgd("link", "--revoke-all")
        self.assertEqual(self.status(volume), 403)
        again = self.manifest("studies", "--recursive", "--signed")["image_urls"]
        self.assertEqual(self.status(again[0]), 200)

    def test_link(self) -> None:
        """``imgd link`` prints a URL that curl can fetch with the CA alone."""
        (self.folder / "output" / "a b.nii.gz").write_bytes(b"a volume")
        base = self.daemon.url.rstrip("/")
        for place in ("/a b.nii.gz", f"{base}/a%20b.nii.gz"):
            done = self.imgd("link", place, "--expires", "7d")
            self.assertRegex(done.stdout, rf"^{base}/-/s/[^/]+/a%20b\.nii\.gz\n$")
            self.assertIn("good until 20", done.stderr)
            url = done.stdout.strip()
            self.assertEqual(curl("--cacert", str(self.daemon.ca), url), b"a volume")
        folder = self.imgd("link", "/", "--prefix").stdout.strip()
        self.assertEqual(self.fetch(folder + "a%20b.nii.gz"), b"a volume")
        self.assertEqual(self.status(url.replace("/a%20b", "/c")), 403)
        said = self.imgd("link", "a b.nii.gz", status=1).stderr
        self.assertIn("/images/a.nii", said)

    def test_unsigned(self) -> None:
        """Every command works with the token, by each name of the daemon, and none without."""
        frames(self.folder / "frames", 3)
        for url in (
            self.daemon.url,
            self.daemon.url.replace("localhost", "127.0.0.1"),
            self.daemon.http_url,
        ):
            for how in ("head", "get"):
                manifest = self.manifest("frames", "--server", url, "--verify", how)
                self.assertEqual((manifest["count"], manifest["failed"]), (4, []))
                self.assertTrue(manifest["image_urls"][0].startswith(self.daemon.url))
        self.assertIn(str(self.folder / "frames"), self.imgd("status").stdout)
        self.assertEqual(self.imgd("timeout", "7").stdout, "Timeout set to 7 minutes\n")
        where = ("--server", self.daemon.url, "--ca", str(self.daemon.ca))
        elsewhere = {"IMGD_STATE_DIR": str(self.folder / "elsewhere")}
        self.assertIn("private", self.imgd("status", *where, status=1, **elsewhere).stderr)
        self.imgd("status", *where, **elsewhere, IMGD_TOKEN=self.daemon.token)
        self.manifest("frames", *where, **elsewhere, IMGD_TOKEN=self.daemon.token)
        self.imgd("unload")
