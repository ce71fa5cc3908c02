"""Manifests on the disk."""

from __future__ import annotations

import json
import random

from twisted.trial.unittest import SynchronousTestCase

from imgd.client.manifest import Manifest, failure_line
from imgd.client.manifest_lines import SortedLines, UrlSet, read_manifest, read_small
from imgd.errors import BadRequest
from imgd.host.atomic_files import write_chunks
from tests.client.fake_imgd import collection


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
        failed = [failure_line("https://here/images/x.png", 'because "of"\tthis\nthing')]
        write_chunks(self.path, manifest.chunks(50, self.urls, failed))

    def test_resumable(self) -> None:
        """A manifest that was written is read back, with the URLs that it holds."""
        self.write()
        found, done = read_manifest(self.path)
        self.assertEqual(
            (found.directory, found.collection, found.server),
            ("/data/ü", "current", "https://here"),
        )
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
        self.assertNotIn("https://here", UrlSet([]))
