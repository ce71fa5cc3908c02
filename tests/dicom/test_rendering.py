"""Pictures as the query of a rendered resource asks for them."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from imgd.dicom.rendering import OFFERS, QUALITY, view
from imgd.errors import BadRequest
from imgd.pictures.views import View, ViewKind

JPEG, PNG = OFFERS


class ViewTests(SynchronousTestCase):
    def test_table(self) -> None:
        """Type, frame, viewport and window; the plain thumbnail is that of galleries."""
        for query, media_type, frame, is_thumbnail, expected in (
            ({}, JPEG, 1, False, View(ViewKind.SLICE, index=0, quality=QUALITY)),
            ({"quality": "50"}, JPEG, None, True, View(ViewKind.SLICE, 256, quality=50)),
            ({"quality": "50"}, PNG, 1, False, View(ViewKind.SLICE, index=0)),
            ({}, PNG, 3, False, View(ViewKind.SLICE, index=2)),
            ({}, JPEG, None, True, View(ViewKind.THUMB, 256)),
            ({}, PNG, None, True, View(ViewKind.SLICE, 256)),
            ({}, JPEG, 2, True, View(ViewKind.SLICE, 256, index=1, quality=QUALITY)),
            (
                {"viewport": "100,50", "accept": "image/png"},
                *(PNG, 1, False),
                View(ViewKind.SLICE, 100, index=0, height=50),
            ),
            (
                {"window": "40,400,linear", "viewport": "", "charset": "utf-8"},
                *(PNG, 1, False),
                View(ViewKind.SLICE, index=0, window="39.5,399"),
            ),
            (
                {"window": "-0.0,1.5,LINEAR-EXACT"},
                *(PNG, 1, False),
                View(ViewKind.SLICE, index=0, window="0,1.5"),
            ),
            (
                {"window": "1,1,linear"},
                *(PNG, 1, False),
                View(ViewKind.SLICE, index=0, window="0.5,0.001"),
            ),
        ):
            with self.subTest(query=query, media_type=media_type, frame=frame):
                self.assertEqual(
                    view(query, media_type, frame, is_thumbnail=is_thumbnail), expected
                )

    def test_bad_queries(self) -> None:
        """What imgd cannot do is refused, and not left out."""
        for query, sentence in (
            ({"viewport": "100"}, "'viewport' must be WIDTH,HEIGHT in pixels"),
            ({"viewport": "0,5"}, "'viewport' must be WIDTH,HEIGHT in pixels"),
            ({"viewport": "9000,5"}, "'viewport' must be WIDTH,HEIGHT in pixels"),
            ({"viewport": "100,100,0,0,5,5"}, "'viewport' must be WIDTH,HEIGHT in pixels"),
            ({"window": "40,400"}, "'window' must be CENTER,WIDTH,linear"),
            ({"window": "40,400,sigmoid"}, "'window' must be CENTER,WIDTH,linear"),
            ({"window": "nan,400,linear"}, "'window' must be CENTER,WIDTH,linear"),
            ({"window": "40,0.5,linear"}, "The width of a linear 'window' must be 1 or more."),
            ({"window": "40,0,linear-exact"}, "The width of a 'window' must be more than 0."),
            ({"quality": "0"}, "'quality' must be a number from 1 to 100."),
            ({"quality": "high"}, "'quality' must be a number from 1 to 100."),
            (
                {"annotation": "patient"},
                "imgd renders with the keys viewport, window, quality alone.",
            ),
        ):
            with self.subTest(query=query):
                error = self.assertRaises(BadRequest, view, query, JPEG, 1, is_thumbnail=False)
                self.assertTrue(error.detail.startswith(sentence), error.detail)
