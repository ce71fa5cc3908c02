"""Bodies in pieces, from one version of their file."""

from __future__ import annotations

import os

from twisted.trial.unittest import SynchronousTestCase

from imgd.core.ranges import Slice
from imgd.files import disk
from imgd.files.disk import Root
from imgd.web.bodies import CHUNK, LAST, FileBody, FileChanged
from tests.fakes import write

CONTENT = os.urandom(CHUNK + LAST + 100)


class FileBodyTests(SynchronousTestCase):
    def setUp(self) -> None:
        folder = os.path.realpath(self.mktemp())
        self.path = write(os.path.join(folder, "a.nii"), CONTENT)
        self.root = Root(folder)

    def body(self, *parts: bytes | Slice) -> FileBody:
        file = disk.open_file(self.root, ("a.nii",))
        self.addCleanup(file.close)
        return FileBody(parts, file)

    def test_parts(self) -> None:
        """Literal bytes and slices come in order; what is empty is left out."""
        whole = Slice(0, len(CONTENT))
        body = self.body(b"head", whole, b"", Slice(5, 0), b"tail", Slice(7, 3))
        self.assertEqual(body.read_all(), b"head" + CONTENT + b"tail" + CONTENT[7:10])

    def test_chunks(self) -> None:
        """A large slice comes in chunks."""
        body = self.body(Slice(0, len(CONTENT)))
        self.assertEqual(body.next_chunk(), CONTENT[:CHUNK])
        self.assertEqual(body.next_chunk(), CONTENT[CHUNK:])
        self.assertEqual(body.next_chunk(), b"")

    def test_last_bytes(self) -> None:
        """The kernel may send a slice but for its last bytes; literal bytes it never sends."""
        body = self.body(b"head", Slice(10, LAST + 5))
        self.assertIsNone(body.slice_to_send())
        body.next_chunk()
        self.assertEqual(body.slice_to_send(), Slice(10, 5))
        body.skip(5)
        self.assertIsNone(body.slice_to_send())
        body.skip(LAST)
        self.assertIsNone(body.slice_to_send())

    def test_changed(self) -> None:
        """A file that is written to, cut or fails gives no bytes any more."""
        body = self.body(Slice(0, len(CONTENT)))
        body.next_chunk()
        os.utime(self.path, ns=(1, 1))
        self.assertRaises(FileChanged, body.next_chunk)
        self.assertRaises(FileChanged, body.check)
        cut = self.body(Slice(0, len(CONTENT)))
        os.truncate(self.path, 0)
        self.assertRaises(FileChanged, cut.next_chunk)
        cut.close()
        self.assertRaises(FileChanged, cut.next_chunk)
        self.assertRaises(FileChanged, cut.check)
