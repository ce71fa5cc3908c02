"""Manifests on the disk."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Iterator

from twisted.trial.unittest import SynchronousTestCase

from imgd.client.manifest import Manifest, failure
from imgd.errors import BadRequest
from imgd.host.manifest_file import Done, SortedLines, read_manifest, read_small, write_chunks


class Lines(SynchronousTestCase):
    def test_sorted(self) -> None:
        """Lines come back sorted, whether they fit in memory or not, as often as is wanted."""
        words = [f"https://here/{random.Random(n).random()}" for n in range(100)]
        for in_memory in (1, 7, 100, 1000):
            lines = SortedLines(in_memory)
            self.addCleanup(lines.close)
            for word in words:
                lines.add(word)
            self.assertEqual(len(lines), 100)
            for _ in range(2):
                self.assertEqual(list(lines), sorted(words))
            lines.add("https://after")
            self.assertEqual(len(list(lines)), 101)

    def test_closed(self) -> None:
        """What is closed is empty."""
        lines = SortedLines(1)
        lines.add("a")
        lines.close()
        self.assertEqual((len(lines), list(lines)), (0, []))


class Writing(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = self.mktemp()
        self.path = os.path.join(self.folder, "deep", "m.json")

    def read(self) -> bytes:
        with open(self.path, "rb") as file:
            return file.read()

    def test_whole(self) -> None:
        """Chunks are put together, in folders that are made, over what was there."""
        for chunks in ([b"a", b"bc"], [b"d"]):
            write_chunks(self.path, iter(chunks))
            self.assertEqual(self.read(), b"".join(chunks))
            self.assertEqual(os.listdir(os.path.dirname(self.path)), ["m.json"])

    def test_broken_off(self) -> None:
        """Chunks that break off leave what was there, and no temporary file."""

        def broken() -> Iterator[bytes]:
            yield b"half"
            raise KeyboardInterrupt

        write_chunks(self.path, [b"whole"])
        self.assertRaises(KeyboardInterrupt, write_chunks, self.path, broken())
        self.assertEqual(self.read(), b"whole")
        self.assertEqual(os.listdir(os.path.dirname(self.path)), ["m.json"])


class Reading(SynchronousTestCase):
    def setUp(self) -> None:
        self.path = os.path.join(self.mktemp(), "m.json")
        self.urls = [f"https://here/images/{n}.png" for n in range(50)]

    def write(self) -> None:
        manifest = Manifest(
            success=False,
            directory="/data/ü",
            timestamp="2025-01-01 00:00:00",
            message="Generated",
            collection="current",
            server="https://here",
        )
        failed = [failure("https://here/images/x.png", 'because "of"\tthis\nthing')]
        write_chunks(self.path, manifest.chunks(50, self.urls, failed))

    def test_resumable(self) -> None:
        """A manifest that was written is read back, with the URLs that it holds."""
        self.write()
        found, done = read_manifest(self.path)
        self.assertEqual(
            (found.directory, found.collection, found.server),
            ("/data/ü", "current", "https://here"),
        )
        self.assertEqual(len(done), 50)
        self.assertTrue(all(url in done for url in self.urls))
        self.assertNotIn("https://here/images/x.png", done)

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

    def test_what_failed(self) -> None:
        """Reasons are JSON, on one line, whatever stands in them."""
        self.write()
        with open(self.path, encoding="utf-8") as file:
            failed = json.load(file)["failed"]
        self.assertEqual(failed[0]["reason"], 'because "of" this thing')

    def test_no_manifest(self) -> None:
        """What is no manifest, or is not there, is refused with its path."""
        for content in (b"", b"{}", b"[1]", b'{"directory":"a","collection":"b","server":"c"'):
            write_chunks(self.path, [content])
            with self.assertRaises(BadRequest) as caught:
                read_manifest(self.path)
            self.assertIn(self.path, caught.exception.detail)
        self.assertRaises(BadRequest, read_manifest, self.path + "x")
        self.assertRaises(BadRequest, read_small, self.path + "x")

    def test_empty(self) -> None:
        """Nothing is in an empty set of URLs."""
        self.assertNotIn("https://here", Done([]))
