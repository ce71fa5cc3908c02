"""The manifest as JSON, and read back; ``test_load_command`` has it as a load writes it."""

from __future__ import annotations

import json
import os
import random
from array import array
from unittest import skipUnless

from twisted.trial.unittest import SynchronousTestCase

from imgd.client import manifest
from imgd.client.manifest import (
    IN_MEMORY,
    Manifest,
    UrlHashes,
    UrlTable,
    file_name,
    read_manifest,
)
from imgd.errors import BadRequest
from imgd.host.atomic_files import write_chunks
from tests.client.fake_imgd import collection


def table(case: SynchronousTestCase, *rows: tuple[str, str]) -> UrlTable:
    """A table of URLs and reasons, closed after the test."""
    urls = UrlTable()
    case.addCleanup(urls.close)
    for url, reason in rows:
        urls.add(url, reason)
    return urls


class Manifests(SynchronousTestCase):
    def test_fields(self) -> None:
        """The file is JSON, one URL a line, whatever stands in directories and reasons."""
        loaded = collection('/data/"ü"\n')
        loaded.expires_at = "2025-01-01T00:30:00Z"
        manifest = Manifest(
            success=False,
            message="Generated",
            collection=loaded,
            server="https://here",
            now=1735689600.0,
            minutes=30,
            links_expire_at="2025-01-02T00:00:00Z",
        )
        urls = table(self, ("https://here/b", ""), ("https://here/a", ""))
        failed = table(self, ("https://here/x.png", 'because "of" this thing'))
        text = b"".join(manifest.chunks(urls, failed)).decode()
        self.assertIn('[\n    "https://here/a",\n    "https://here/b"\n  ],\n', text)
        content = json.loads(text)
        times = ["timeout_minutes", "auto_unload_at", "time_remaining", "links_expire_at"]
        self.assertEqual(
            list(content),
            [
                *("success", "directory", "timestamp", "message", "count", "image_urls"),
                *(*times, "collection", "server", "verify", "recursive", "failed"),
            ],
        )
        self.assertEqual(content["directory"], '/data/"ü"\n')
        self.assertEqual(content["time_remaining"], "30m 0s")
        reason = 'because "of" this thing'
        self.assertEqual(content["failed"], [{"url": "https://here/x.png", "reason": reason}])

    def test_file_names(self) -> None:
        """What no file system takes, or what turns text around on a terminal, is replaced."""
        for stem, name in (
            ("a b", "a b.json"),
            ("a/b:c\u202e", "a_b_c_.json"),
            ("", "images.json"),
        ):
            self.assertEqual(file_name(stem), name)
        self.assertRegex(file_name("a", 0.0), r"^a_\d{8}_\d{6}\.json$")


class Tables(SynchronousTestCase):
    def test_sorted(self) -> None:
        """URLs come back sorted, however many they are and as often as is wanted."""
        for count in (0, 1, IN_MEMORY, 2 * IN_MEMORY + 1):
            rows = [(f"https://here/{random.Random(n).random()}", str(n)) for n in range(count)]
            urls = table(self, *rows)
            self.assertEqual(len(urls), count)
            for _ in range(2):
                self.assertEqual(list(urls), sorted(rows))
            urls.add("https://after")
            self.assertEqual(len(list(urls)), count + 1)

    @skipUnless(os.path.exists("/dev/full"), "no /dev/full here")
    def test_full_disk(self) -> None:
        """A disk that is full is an OSError, which ends a load with a sentence."""
        full = open("/dev/full", "w", encoding="utf-8")  # noqa: SIM115 - the table's
        self.patch(manifest, "TemporaryFile", lambda *_args, **_options: full)
        urls = table(self)
        with self.assertRaisesRegex(OSError, "No space left"):
            for number in range(IN_MEMORY):
                urls.add(f"https://here/{number}")


class Hashes(SynchronousTestCase):
    def test_members(self) -> None:
        """What was given is found, once or twice, first or last, and nothing else."""
        urls = [f"https://here/{number}" for number in (2, 1, 2, 3)]
        hashes = UrlHashes(array("q", map(hash, urls)))
        for url in urls:
            self.assertIn(url, hashes)
        for other in ("https://here/", "https://here/4", ""):
            self.assertNotIn(other, hashes)
            self.assertNotIn(other, UrlHashes(array("q")))


class Reading(SynchronousTestCase):
    def setUp(self) -> None:
        self.path = self.mktemp()
        self.urls = [f"https://here/images/{n}.png" for n in range(50)]

    def write(self) -> None:
        manifest = Manifest(
            success=False,
            message="Generated",
            collection=collection("/data/ü"),
            server="https://here",
            now=0.0,
        )
        urls = table(self, *((url, "") for url in self.urls))
        failed = table(self, ("https://here/images/x.png", 'because "of"\tthis\nthing'))
        write_chunks(self.path, manifest.chunks(urls, failed))

    def test_resumable(self) -> None:
        """A manifest that was written is read back, with the URLs that it holds."""
        self.write()
        manifest, done = read_manifest(self.path)
        self.assertEqual(
            (manifest.directory, manifest.collection, manifest.server),
            ("/data/ü", "current", "https://here"),
        )
        self.assertTrue(all(url in done for url in self.urls))
        self.assertNotIn("https://here/images/x.png", done)

    def test_older(self) -> None:
        """A manifest of an older version is read, with defaults for what it does not say."""
        self.write()
        with open(self.path, encoding="utf-8") as file:
            content = json.load(file)
        del content["verify"], content["recursive"]
        with open(self.path, "w", encoding="utf-8") as file:
            json.dump(content, file)
        manifest, _ = read_manifest(self.path)
        self.assertEqual((manifest.verify, manifest.recursive), ("head", False))

    def test_any_layout(self) -> None:
        """A manifest that another program wrote anew is read as well."""
        self.write()
        for indent in (None, 4):
            with open(self.path, encoding="utf-8") as file:
                content = json.load(file)
            with open(self.path, "w", encoding="utf-8") as file:
                json.dump(content, file, indent=indent)
            _, done = read_manifest(self.path)
            self.assertEqual(sum(url in done for url in self.urls), 50)

    def test_no_manifest(self) -> None:
        """What is no manifest, or is not there, is refused with its path."""
        for content in (
            b"",
            b"{}",
            b"[1]",
            b'{"directory":"a","collection":"b","server":"c","image_urls":["\xed\xa0\x80"]}',
            b'{"directory":"a","collection":"b","server":"c"',
            b'{"directory":"a","collection":"b","server":"c","image_urls":[],"verify":"all"}',
        ):
            write_chunks(self.path, [content])
            with self.assertRaises(BadRequest) as caught:
                read_manifest(self.path)
            self.assertIn(self.path, caught.exception.detail)
        self.assertRaises(BadRequest, read_manifest, self.path + "x")
