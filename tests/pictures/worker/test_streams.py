from __future__ import annotations

import gzip
import os
import tempfile
import zlib
from pathlib import Path

import numpy as np
from twisted.trial.unittest import SynchronousTestCase

from imgd.pictures.worker.source import NotAPicture, SourceFile
from imgd.pictures.worker.streams import Plain, Stream, is_gzip, uncompressed
from tests.pictures.worker.asking import source

DATA = np.random.default_rng(3).integers(0, 50, 3_000_000, np.uint8).tobytes()


class StreamTests(SynchronousTestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = Path(folder.name, "a")

    def file(self, content: bytes) -> SourceFile:
        self.path.write_bytes(content)
        file = source(self.path)
        self.addCleanup(os.close, file.fd)
        return file

    def check(self, stream: Stream | Plain) -> None:
        """Pieces of it, forward, are those of DATA."""
        for offset, length in ((0, 10), (10, 0), (11, 1000), (700_000, 1_500_000), (2_999_999, 1)):
            self.assertEqual(stream.read(offset, length), DATA[offset : offset + length])

    def test_plain(self) -> None:
        """A file as it is, from any byte on."""
        self.check(Plain(self.file(b"before" + DATA), 6))
        self.assertRaises(NotAPicture, Plain(self.file(DATA)).read, 2_999_999, 2)

    def test_compressed(self) -> None:
        """gzip and zlib, after other bytes, and with others after them."""
        self.check(Stream(self.file(b"before" + zlib.compress(DATA) + b"after"), 6, "zlib"))
        for rest in (b"", b"after", b"\0" * 1000, b"\x1f\x8b\x08", b"\x1f\x8b\x08" + b"\xff" * 50):
            self.check(Stream(self.file(b"before" + gzip.compress(DATA) + rest), 6, "gzip"))

    def test_members(self) -> None:
        """The members of a gzip file are one stream, empty ones and many of them too."""
        members = [gzip.compress(DATA[start : start + 9973]) for start in range(0, len(DATA), 9973)]
        members[3:3] = [gzip.compress(b"")] * 3
        self.check(Stream(self.file(b"".join(members)), 0, "gzip"))

    def test_over(self) -> None:
        """What is read past the end is cut off; what comes before it is not."""
        for content, kind in ((gzip.compress(DATA), "gzip"), (zlib.compress(DATA), "zlib")):
            stream = Stream(self.file(content), 0, kind)  # type: ignore[arg-type]
            self.assertEqual(stream.read(2_999_990, 10), DATA[-10:])
            error = self.assertRaises(NotAPicture, stream.read, 3_000_000, 1)
            self.assertIn("cut off", error.detail)
            stream = Stream(self.file(content[: len(content) // 2]), 0, kind)  # type: ignore[arg-type]
            self.assertEqual(stream.read(0, 1_000_000), DATA[:1_000_000])
            error = self.assertRaises(NotAPicture, stream.read, 2_999_999, 1)
            self.assertIn("cut off", error.detail)

    def test_broken(self) -> None:
        """Data that is broken is refused, at the latest by its checksum."""
        blocks = bytearray(gzip.compress(DATA, 0))  # blocks of at most 65535 bytes as they are
        blocks[10 + 20 * (5 + 65535) + 3] ^= 0xFF  # the complement of a block's length
        checksum = bytearray(gzip.compress(DATA))
        checksum[-8] ^= 1
        for content in (blocks, checksum):
            stream = Stream(self.file(bytes(content)), 0, "gzip")
            self.assertEqual(stream.read(0, 100_000), DATA[:100_000])
            error = self.assertRaises(NotAPicture, stream.read, 3_000_000, 1)
            self.assertIn("broken", error.detail)
        for junk in (b"", b"\x1f\x8b\x08" + b"\xff" * 50, b"junk" * 10):
            self.assertRaises(NotAPicture, Stream(self.file(junk), 0, "gzip").read, 0, 1)
            self.assertRaises(NotAPicture, Stream(self.file(junk), 0, "zlib").read, 0, 1)

    def test_head(self) -> None:
        """The first bytes are got of a file that breaks after them, too."""
        content = gzip.compress(DATA)
        self.assertEqual(uncompressed(self.file(content), 99), DATA[:99])
        self.assertEqual(uncompressed(self.file(content[:900]), 99), DATA[:99])
        self.assertEqual(uncompressed(self.file(gzip.compress(b"short")), 99), b"short")
        self.assertEqual(uncompressed(self.file(content[:10] + b"\xff" * 50), 99), b"")

    def test_is_gzip(self) -> None:
        """Two bytes that happen to be gzip's are not enough."""
        self.assertTrue(is_gzip(gzip.compress(b"")))
        self.assertFalse(is_gzip(b"\x1f\x8b" + bytes(16)))
        self.assertFalse(is_gzip(b"\x1f\x8b\x08\xff" + bytes(14)))
        self.assertFalse(is_gzip(gzip.compress(b"")[:17]))
