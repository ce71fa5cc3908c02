"""Multipart messages made of pieces."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from imgd.core.conditional import FileFacts
from imgd.core.joined_file import FileSlice
from imgd.core.ranges import Slice
from imgd.dicom import multipart

PIECE = FileSlice(("a",), FileFacts(9, 1, 1, 1), Slice(2, 5))


class MultipartTests(SynchronousTestCase):
    def test_message(self) -> None:
        """Each part has its type, and nothing is before the first boundary."""
        pieces = list(multipart.message([("image/a", [PIECE, PIECE]), ("image/b", [b"b"])], "x-1"))
        self.assertEqual(
            pieces,
            [
                b"--x-1\r\nContent-Type: image/a\r\n\r\n",
                PIECE,
                PIECE,
                b"\r\n--x-1\r\nContent-Type: image/b\r\n\r\n",
                b"b",
                b"\r\n--x-1--\r\n",
            ],
        )

    def test_content_type(self) -> None:
        """The type of the parts is quoted, for it has a slash (RFC 2387 section 3.1)."""
        self.assertEqual(
            multipart.content_type("application/dicom", "x-1"),
            'multipart/related; type="application/dicom"; boundary=x-1',
        )
