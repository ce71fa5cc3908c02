"""Which media type is chosen, by what clients send."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from imgd.dicom.media_ranges import choose

JPEG, PNG = "image/jpeg", "image/png"


class ChooseTests(SynchronousTestCase):
    def test_table(self) -> None:
        """The best quality wins, then the order of what there is; the closest name counts."""
        for accept, expected in (
            ((), JPEG),
            (("",), JPEG),
            (("*/*",), JPEG),
            (("image/png",), PNG),
            (("IMAGE/PNG",), PNG),
            (("image/*",), JPEG),
            (("image/png, image/jpeg",), JPEG),
            (("image/png", "image/gif"), PNG),
            (("image/png,*/*;q=0.8",), PNG),
            (("image/jpeg;q=0.5, image/png;q=0.6",), PNG),
            (("image/jpeg;q=0, */*",), PNG),
            (("image/jpeg ; Q=0.1 , image/*",), PNG),
            (("image/png;q=0",), None),
            (("text/html",), None),
            (("*",), None),
            (("image/png;q=x",), PNG),
            (('multipart/related; type="image/png, image/jpeg"',), None),
            (('multipart/related; type="a', "image/png"), PNG),
            (("text/html,application/xhtml+xml,*/*;q=0.8",), JPEG),
        ):
            with self.subTest(accept=accept):
                self.assertEqual(choose(accept, (JPEG, PNG)), expected)
