"""Files that pictures are made of, opened and known by their version."""

from __future__ import annotations

import os

from twisted.trial.unittest import SynchronousTestCase

from imgd.errors import NotFound, UnsupportedMediaType
from imgd.files.disk import Root
from imgd.pictures.picture_source import (
    Companions,
    LocatedFile,
    PictureSource,
    half_missing,
)
from imgd.pictures.views import View, ViewKind
from tests.fakes import write
from tests.host.this_machine import open_files


class LocatedFileTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.root = Root(os.path.realpath(self.mktemp()), follow_symlinks=True)
        self.path = write(os.path.join(self.root.path, "a.png"), b"first")

    def source(self, *names: str, version: bytes = b"1") -> PictureSource:
        files = tuple(LocatedFile.open(self.root, (name,)) for name in names)
        source = PictureSource.of(version, self.root.path, files)
        self.addCleanup(source.close)
        return source

    def test_open(self) -> None:
        """A file is open, judged, and known by where it really is."""
        os.symlink("a.png", os.path.join(self.root.path, "link.png"))
        file = LocatedFile.open(self.root, ("link.png",))
        self.addCleanup(file.close)
        self.assertEqual((file.real, file.read(0, 9)), (self.path, b"first"))
        self.assertEqual(file.version.size, 5)

    def test_missing(self) -> None:
        """What is not served is NotFound, and nothing stays open."""
        before = open_files()
        for names in (("none.png",), ("..", "a.png"), (".hidden",)):
            self.assertRaises(NotFound, LocatedFile.open, self.root, names)
        self.assertEqual(open_files(), before)

    def test_keys(self) -> None:
        """Sources have one key if and only if they are the same versions of the same files, in one
        order, for the same code.
        """
        write(os.path.join(self.root.path, "b.png"))
        sources = [
            self.source("a.png"),
            self.source("b.png"),
            self.source("a.png", "b.png"),
            self.source("b.png", "a.png"),
            self.source("a.png", version=b"2"),
        ]
        self.assertEqual(len({source.key for source in sources}), 5)
        self.assertEqual(self.source("a.png").key, sources[0].key)
        write(self.path, b"later")
        os.utime(self.path, (1, 1))
        self.assertNotEqual(self.source("a.png").key, sources[0].key)
        thumb, info = View(ViewKind.THUMB, 256), View(ViewKind.INFO)
        self.assertNotEqual(sources[0].etag(thumb), sources[0].etag(info))

    def test_unchanged(self) -> None:
        """A write to any of the files shows; so does one that was closed."""
        write(os.path.join(self.root.path, "b.png"))
        source = self.source("a.png", "b.png")
        self.assertTrue(source.is_unchanged())
        write(os.path.join(self.root.path, "b.png"), b"longer than before")
        self.assertFalse(source.is_unchanged())
        source.close()
        self.assertFalse(source.is_unchanged())


class CompanionTests(SynchronousTestCase):
    def test_parse(self) -> None:
        """Names as a worker gives them; from one that gives anything else, nothing is taken."""
        self.assertEqual(Companions.parse(b'{"names": ["a.img"]}').names, ["a.img"])
        many = b'{"names": ["a", "a", "a", "a", "a"]}'
        long = b'{"names": ["' + b"a" * 300 + b'"]}'
        for body in (b"", b"[]", b'{"names": 5}', b'{"names": [5]}', b"\xff", many, long):
            self.assertRaises(UnsupportedMediaType, Companions.parse, body)

    def test_alternatives(self) -> None:
        """Every file of voxels is needed; of headers, one is."""
        self.assertEqual(Companions(["a", "b"]).alternatives(), [["a"], ["b"]])
        self.assertEqual(Companions(["a", "b"], are_headers=True).alternatives(), [["a", "b"]])
        self.assertEqual(Companions([], are_headers=True).alternatives(), [])

    def test_half_missing(self) -> None:
        """The sentence says which half it is."""
        for name, word in (("a.hdr", "header"), ("a.hdr.gz", "header"), ("a.img", "data")):
            self.assertIn(f"its {word}, {name}, is not here", half_missing(name).detail)
