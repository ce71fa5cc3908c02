"""Which view the query of a URL asks for."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from imgd.errors import BadRequest
from imgd.pictures.views import Plane, View, ViewKind, parse

THUMB, SLICE, MOSAIC = ViewKind.THUMB, ViewKind.SLICE, ViewKind.MOSAIC
PROPERTY = settings(deadline=None, database=None, max_examples=300)

GOOD = (
    (b"", None),
    (b"download", None),
    (b"thumbs=1&slices", None),
    (b"x=thumb", None),
    (b"companion", None),
    (b"Thumb", None),
    (b"thumb", View(THUMB, 256)),
    (b"thumb=", View(THUMB, 256)),
    (b"thumb=256", View(THUMB, 256)),
    (b"thumb=0", View(THUMB, 256)),
    (b"thumb=257&x=1", View(THUMB, 512)),
    (b"thumb=9999999", View(THUMB, 2048)),
    (b"thumb=256&thumb=1024", View(THUMB, 1024)),
    (b"thumb&size=1024&window=x", View(THUMB, 256)),
    (b"slice", View(SLICE)),
    (b"slice=", View(SLICE)),
    (b"slice=axial", View(SLICE)),
    (b"slice=axial:mid", View(SLICE)),
    (b"slice=:7", View(SLICE, index=7)),
    (b"slice=axial%3A7", View(SLICE, index=7)),
    (b"slice=sagittal:0", View(SLICE, plane=Plane.SAGITTAL, index=0)),
    (b"slice=coronal:1000000", View(SLICE, plane=Plane.CORONAL, index=1_000_000)),
    (b"slice=axial:007&t=3", View(SLICE, index=7, t=3)),
    (b"slice=axial&t=", View(SLICE)),
    (b"slice=axial&size=600", View(SLICE, size=1024)),
    (b"slice=axial&depth=16", View(SLICE, depth=16)),
    (b"slice=axial&convention=neuro", View(SLICE, is_neurological=True)),
    (b"slice=axial&convention=radio&depth=8", View(SLICE)),
    (b"slice=axial&window=p2-98", View(SLICE, window="p2-98")),
    (b"slice=axial&window=40,400", View(SLICE, window="40,400")),
    (b"slice=axial&window=40.0%2C400.50", View(SLICE, window="40,400.5")),
    (b"slice=axial&window=-0,1", View(SLICE, window="0,1")),
    (b"slice=axial&window=12345678.25,1", View(SLICE, window="12345678.25,1")),
    (b"mosaic", View(MOSAIC, 1024, columns=5, rows=5)),
    (b"mosaic=10x1", View(MOSAIC, 1024, columns=10, rows=1)),
    (
        b"mosaic=2x3&axis=coronal&size=512&t=1&window=min-max&convention=neuro",
        View(MOSAIC, 512, Plane.CORONAL, None, 1, "min-max", 8, 2, 3, True),
    ),
    (b"info", View(ViewKind.INFO)),
    (b"info=1&size=7", View(ViewKind.INFO)),
)
BAD = (
    (b"thumb=big", "'thumb' must be a size in pixels: 256, 512, 1024, 2048."),
    (b"thumb=-1", "'thumb'"),
    (b"thumb=99999999", "'thumb'"),
    (b"thumb=%D9%A3", "'thumb'"),
    (b"thumb=1.5", "'thumb'"),
    (b"slice=top", "'slice' must be one of axial, coronal, sagittal, and then :INDEX or :mid"),
    (b"slice=7", "'slice' must be one of"),
    (b"slice=axial:", "'slice' must be a whole number from 0 to 1000000."),
    (b"slice=axial:-1", "'slice'"),
    (b"slice=axial:1000001", "'slice'"),
    (b"slice=axial:1:2", "'slice'"),
    (b"slice=axial&t=-1", "'t' must be a whole number"),
    (b"slice=axial&depth=12", "'depth' must be 8 or 16."),
    (b"slice=axial&window=40", "'window' must be CENTER,WIDTH (as 40,400), p2-98 or min-max."),
    (b"slice=axial&window=40,0", "'window'"),
    (b"slice=axial&window=40,-1", "'window'"),
    (b"slice=axial&window=nan,1", "'window'"),
    (b"slice=axial&window=1e9,1", "'window'"),
    (b"slice=axial&window=" + b"9" * 50 + b",1", "'window'"),
    (b"slice=axial&convention=left", "'convention' must be radio or neuro."),
    (b"slice=axial&size=x", "'size' must be a size in pixels"),
    (b"mosaic=0x5", "'mosaic' must be COLUMNSxROWS, each from 1 to 10."),
    (b"mosaic=11x1", "'mosaic'"),
    (b"mosaic=5", "'mosaic'"),
    (b"mosaic=5x5&axis=z", "'axis' must be one of axial, coronal, sagittal."),
    (b"thumb&slice", "Ask for one of thumb and slice, not for both."),
)


class ParseTests(SynchronousTestCase):
    def test_good(self) -> None:
        """Each view in every spelling; what is no view's is ignored."""
        for query, view in GOOD:
            with self.subTest(query=query):
                self.assertEqual(parse(query), view)

    def test_bad(self) -> None:
        """A wrong value is refused in a sentence that names its key and what it may be."""
        for query, words in BAD:
            with self.subTest(query=query):
                error = self.assertRaises(BadRequest, parse, query)
                self.assertIn(words, error.detail)

    @PROPERTY
    @given(st.lists(st.sampled_from([*GOOD, *BAD])), st.binary(max_size=20))
    def test_any(self, queries: list[tuple[bytes, object]], more: bytes) -> None:
        """Any query is a view, none, or refused."""
        try:
            view = parse(b"&".join([*(query for query, _ in queries), more]))
        except BadRequest as error:
            self.assertNotIn("\n", error.detail)
        else:
            self.assertTrue(view is None or view.kind is not ViewKind.COMPANION)

    def test_keys(self) -> None:
        """Two views have one key if and only if they are the same."""
        views = [view for _, view in GOOD if view is not None]
        self.assertEqual(len({view.key() for view in views}), len(set(views)))
