"""The choice that Accept makes between representations."""

from __future__ import annotations

from typing import NamedTuple

from twisted.trial.unittest import SynchronousTestCase

from imgd.dicom import accept
from imgd.dicom.accept import MAX_RANGES, Offer
from imgd.errors import ImgdError

JP2 = "1.2.840.10008.1.2.4.90"
IMAGE, BYTES = Offer("image/jp2", JP2), Offer("application/octet-stream", JP2)
ONE_IMAGE, ONE_BYTES = IMAGE._replace(is_multipart=False), BYTES._replace(is_multipart=False)
OFFERS = (IMAGE, BYTES, ONE_IMAGE, ONE_BYTES)
OHIF = "multipart/related; type=application/octet-stream; transfer-syntax=*"


class Case(NamedTuple):
    accepts: tuple[str, ...]
    chosen: Offer | None


CASES = (
    Case((), IMAGE),
    Case(("",), IMAGE),
    Case(("*/*",), IMAGE),
    Case(("*/*;q=0.1",), IMAGE),
    Case(("*/*;q=0",), None),
    Case(("text/html,application/xhtml+xml,*/*;q=0.8",), IMAGE),
    Case((OHIF,), BYTES),
    Case((OHIF.replace("; ", ";"),), BYTES),
    Case((OHIF.upper().replace("TRANSFER-SYNTAX", "Transfer-Syntax"),), BYTES),
    Case(('multipart/related; type="application/octet-stream"',), BYTES),
    Case(('multipart/related; type="application\\/octet-stream"',), BYTES),
    Case((f'multipart/related; type="image/jp2"; transfer-syntax="{JP2}"',), IMAGE),
    Case((f'multipart/related; transfer-syntax={JP2} ;type="image/jp2"',), IMAGE),
    Case((f'multipart/related; type="image/jp2"; transfer-syntax={JP2}.1',), None),
    Case((f'multipart/related; type="image/jp2"; transfer-syntax={JP2[:-1]}',), None),
    Case(('multipart/related; type="image/jpeg"',), None),
    Case(('multipart/related; type="image/*"',), IMAGE),
    Case(("multipart/related",), IMAGE),
    Case(("multipart/*",), IMAGE),
    Case(("multipart/mixed",), None),
    Case(("image/jp2",), ONE_IMAGE),
    Case(("image/*",), ONE_IMAGE),
    Case(("application/octet-stream",), ONE_BYTES),
    Case(("application/*",), ONE_BYTES),
    Case(("application/octet-stream; transfer-syntax=*",), ONE_BYTES),
    Case(("application/octet-stream; transfer-syntax=1.2.840.10008.1.2.1",), None),
    Case(("application/octet-stream", "image/jp2"), ONE_IMAGE),
    Case(("application/octet-stream;q=0.9, image/jp2;q=0.8",), ONE_BYTES),
    Case(("image/jp2, */*;q=0.5",), ONE_IMAGE),
    Case(("image/jp2, */*",), ONE_IMAGE),
    Case(("*/*, multipart/related;q=0",), ONE_IMAGE),
    Case(('*/*;q=0.5, multipart/related;type="image/jp2";q=0',), BYTES),
    Case(('multipart/related;type="a,b;q=0", image/jp2',), ONE_IMAGE),
    Case(("image/jp2;q=2", "*/*;q=0.2"), ONE_IMAGE),
    Case(("image/jp2;q=", "*/*;q=nan"), ONE_IMAGE),
    Case(("nonsense",), IMAGE),
    Case(("nonsense, text/plain",), None),
    Case(('"',), IMAGE),
    Case(('multipart/related; type="image/jp2',), None),
    Case((",,;,=,image/jp2;;;x",), ONE_IMAGE),
)


class AcceptTests(SynchronousTestCase):
    def test_choices(self) -> None:
        """What each Accept leads to; None is a 406."""
        for accepts, chosen in CASES:
            try:
                found: Offer | None = accept.choose(accepts, OFFERS)
            except ImgdError as error:
                self.assertEqual(error.status, 406)
                found = None
            self.assertEqual(found, chosen, accepts)

    def test_sentence(self) -> None:
        """A refusal says in one sentence what can be had."""
        error = self.assertRaises(ImgdError, accept.choose, ["text/html"], OFFERS)
        self.assertEqual(
            error.detail,
            'Nothing is converted here: this can be had as multipart/related; type="image/jp2" or '
            'multipart/related; type="application/octet-stream" or image/jp2 or '
            f"application/octet-stream, in transfer-syntax={JP2} or *.",
        )
        error = self.assertRaises(
            ImgdError, accept.choose, ["text/html"], [Offer("application/dicom", "")]
        )
        self.assertEqual(
            error.detail,
            "Nothing is converted here: this can be had as multipart/related; "
            'type="application/dicom".',
        )

    def test_content_type(self) -> None:
        """The type of a part names its transfer syntax, if there is one."""
        self.assertEqual(IMAGE.content_type, f"image/jp2; transfer-syntax={JP2}")
        self.assertEqual(Offer("application/dicom", "").content_type, "application/dicom")

    def test_bounded(self) -> None:
        """However long and strange it is, it is read once, and so many ranges of it."""
        for text in ('"\\"' * 50_000, '"\\' * 50_000, ";" * 200_000, "a/b;x=" + '"\\' * 50_000):
            self.assertLessEqual(len(accept.parse((text,))), 1)  # at once, or not for minutes
        self.assertEqual(len(accept.parse(("a/b," * 1000,))), MAX_RANGES)
