"""The command against a real imgd over TLS."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.client.certificates import Authority
from tests.daemons import CHECKOUT, PATIENCE, Daemon, environment
from tests.samples import HOSTILE_NAMES, digest, frames, studies


class EndToEnd(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).absolute()
        self.daemon = Daemon(self.folder)
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
