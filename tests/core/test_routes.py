"""What each path means, beside its nasty neighbours."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from imgd.core import routes
from imgd.core.catalog import CURRENT
from imgd.core.routes import Route, RouteKind, route

PROPERTY = settings(deadline=None, database=None, max_examples=300)
NAMES = st.text(st.characters(codec="utf-8"), min_size=1, max_size=8)


class RouteTests(SynchronousTestCase):
    def test_table(self) -> None:
        """Names of imgd's own come first, escaped or not; the document root has every other."""
        for path, expected in (
            (b"/", Route(RouteKind.STATUS, b"", base="/")),
            (b"//", Route(RouteKind.UNKNOWN)),
            (b"//health", Route(RouteKind.UNKNOWN)),
            (b"*", Route(RouteKind.UNKNOWN)),
            (b"", Route(RouteKind.UNKNOWN)),
            (b"/health", Route(RouteKind.HEALTH)),
            (b"/%68ealth", Route(RouteKind.HEALTH)),
            (b"/health/", Route(RouteKind.HEALTH, b"")),
            (b"/health/x", Route(RouteKind.HEALTH, b"x")),
            (b"/healthy", Route(RouteKind.DOCUMENTS, b"healthy", base="/")),
            (b"/Health", Route(RouteKind.DOCUMENTS, b"Health", base="/")),
            (b"/a/health", Route(RouteKind.DOCUMENTS, b"a/health", base="/")),
            (b"/health%2f", Route(RouteKind.DOCUMENTS, b"health%2f", base="/")),
            (b"/timeout", Route(RouteKind.TIMEOUT)),
            (b"/timeout/", Route(RouteKind.TIMEOUT, b"")),
            (b"/timeout//5", Route(RouteKind.TIMEOUT, b"/5")),
            (b"/timeout/5", Route(RouteKind.SET_TIMEOUT, b"5")),
            (b"/timeout/5/6", Route(RouteKind.SET_TIMEOUT, b"5/6")),
            (b"/load-directory", Route(RouteKind.LOAD)),
            (b"/unload", Route(RouteKind.UNLOAD)),
            (b"/public-url", Route(RouteKind.PUBLIC_URL)),
            (b"/links", Route(RouteKind.LINKS)),
            (b"/links/x", Route(RouteKind.LINKS, b"x")),
            (b"/links/%72evoke", Route(RouteKind.REVOKE_LINKS, b"")),
            (b"/links/revoke/x", Route(RouteKind.REVOKE_LINKS, b"x")),
            (b"/-", Route(RouteKind.ASSETS)),
            (b"/-/ca.pem", Route(RouteKind.ASSETS, b"ca.pem")),
            (b"/-/s", Route(RouteKind.ASSETS, b"s")),
            (b"/-/sx/y", Route(RouteKind.ASSETS, b"sx/y")),
            (b"/-/token", Route(RouteKind.FORM)),
            (b"/-/token/", Route(RouteKind.ASSETS, b"token/")),
            (b"/-/files", Route(RouteKind.INDEX, None, base="/-/files/")),
            (b"/-/files/", Route(RouteKind.INDEX, b"", base="/-/files/")),
            (b"/-/files/a/b", Route(RouteKind.INDEX, b"a/b", base="/-/files/")),
            (b"/%2d/%66iles//a", Route(RouteKind.INDEX, b"/a", base="/-/files/")),
            (b"/-/filesx/a", Route(RouteKind.ASSETS, b"filesx/a")),
            (b"/-/files%2fa", Route(RouteKind.ASSETS, b"files%2fa")),
            (b"/-/view", Route(RouteKind.ASSETS, b"view")),
            (b"/-/view/", Route(RouteKind.VIEW, b"")),
            (b"/-/view/images/a", Route(RouteKind.VIEW, b"images/a")),
            (b"/-/view/-/view/a", Route(RouteKind.VIEW, b"-/view/a")),
            (b"/-/views/a", Route(RouteKind.ASSETS, b"views/a")),
            (b"/-/vie%77/a", Route(RouteKind.ASSETS, b"vie%77/a")),
            (b"/-/s/T/images/a", Route(RouteKind.SIGNED, b"T/images/a")),
            (b"/-/%73/T/images/a", Route(RouteKind.ASSETS, b"%73/T/images/a")),
            (b"/%2d/s/T/images/a", Route(RouteKind.ASSETS, b"s/T/images/a")),
        ):
            self.assertEqual(route(path), expected, path)

    def test_collections(self) -> None:
        """A collection, its images and its files; everything else below is unknown."""
        named = (None, "a b")
        base = "/collections/a%20b/files/"
        for path, expected in (
            (b"", Route(RouteKind.COLLECTIONS)),
            (b"/", Route(RouteKind.COLLECTIONS)),
            (b"//", Route(RouteKind.COLLECTION)),
            (b"/a%20b", Route(RouteKind.COLLECTION, *named)),
            (b"/a%20b/", Route(RouteKind.COLLECTION, *named)),
            (b"/a%20b/images", Route(RouteKind.IMAGES, *named)),
            (b"/a%20b/im%61ges/", Route(RouteKind.IMAGES, *named)),
            (b"/a%20b/images/x", Route(RouteKind.UNKNOWN)),
            (b"/a%20b//", Route(RouteKind.UNKNOWN)),
            (b"/a%20b/x", Route(RouteKind.UNKNOWN)),
            (b"/a%20b/files", Route(RouteKind.COLLECTION_FILES, *named, base)),
            (b"/a%20b/files/", Route(RouteKind.COLLECTION_FILES, b"", "a b", base)),
            (b"/a%20b/%66iles/x%2fy/z", Route(RouteKind.COLLECTION_FILES, b"x%2fy/z", "a b", base)),
            (b"/a%20b/filesx", Route(RouteKind.UNKNOWN)),
            (b"/a%20b/dicom", Route(RouteKind.DICOM, *named)),
            (b"/a%20b/dicom/", Route(RouteKind.DICOM, b"", "a b")),
            (b"/a%20b/dic%6Fm/1.2.nii", Route(RouteKind.DICOM, b"1.2.nii", "a b")),
            (b"/a%20b/dicom.json", Route(RouteKind.DICOM_JSON, *named)),
            (b"/a%20b/dicom.json/", Route(RouteKind.UNKNOWN)),
            (b"/a%20b/dicomweb", Route(RouteKind.UNKNOWN)),
            (b"/a%20b/dicomweb/", Route(RouteKind.DICOMWEB, b"", "a b")),
            (b"/a%20b/dicomweb/studies/1", Route(RouteKind.DICOMWEB, b"studies/1", "a b")),
        ):
            self.assertEqual(route(b"/collections" + path), expected, path)

    def test_current(self) -> None:
        """The current collection is below /images/, and by its name as well."""
        for path, below, base in (
            (b"/images", None, "/images/"),
            (b"/images/", b"", "/images/"),
            (b"/%69mages/a/b", b"a/b", "/images/"),
        ):
            expected = Route(RouteKind.CURRENT_FILES, below, CURRENT, base)
            self.assertEqual(route(path), expected, path)
        named = route(b"/collections/current/files/a")
        self.assertEqual((named.collection, named.base), (CURRENT, "/collections/current/files/"))

    def test_files(self) -> None:
        """Only paths of files count as files: no folder, and nothing of the API."""
        for path in (
            b"/a",
            b"/a/b",
            b"/-/files/a",
            b"/images/a",
            b"/collections/a/files/b",
            b"/-/s/T/a",
        ):
            self.assertTrue(route(path).is_file, path)
            self.assertFalse(route(path + b"/").is_file, path)
        for path in (
            b"/",
            b"/images",
            b"/collections/a/files",
            b"/collections/a",
            b"/health",
            b"/-/x",
        ):
            self.assertFalse(route(path).is_file, path)

    def test_dicom(self) -> None:
        """What one must know a UID for counts as a file; a search and a list do not."""
        for path, is_file in (
            (b"dicom", False),
            (b"dicom/", False),
            (b"dicom/1.2.nii", True),
            (b"dicom.json", False),
            (b"dicomweb/", False),
            (b"dicomweb/studies", False),
            (b"dicomweb/studies/1.2/series", False),
            (b"dicomweb/studies/1.2", True),
            (b"dicomweb/studies/1.2/metadata", True),
            (b"dicomweb/studies/1.2/x", False),
        ):
            with self.subTest(path=path):
                self.assertIs(route(b"/collections/a/" + path).is_file, is_file)

    def test_exact(self) -> None:
        """Slashes at the end do not matter to the API, anything else does."""
        for path in (b"/health", b"/health/", b"/health//"):
            self.assertTrue(route(path).is_exact, path)
        self.assertFalse(route(b"/health//x").is_exact)

    @PROPERTY
    @given(
        st.binary(max_size=30), st.sampled_from((b"", b"/", b"/collections/", b"/-/s/", b"/images"))
    )
    def test_anything(self, path: bytes, start: bytes) -> None:
        """Nothing raises, and a file has a base and something below it."""
        found = route(start + path)
        if found.is_file:
            self.assertTrue(found.below)


class PathTests(SynchronousTestCase):
    def test_table(self) -> None:
        """Paths are written in one way, with every name escaped."""
        for written, expected in (
            (routes.collection_path("a b"), "/collections/a%20b"),
            (routes.images_path("a"), "/collections/a/images"),
            (routes.dicom_path("a b"), "/collections/a%20b/dicom/"),
            (routes.dicomweb_path("a b"), "/collections/a%20b/dicomweb"),
            (routes.images_page_path("a", 5), "/collections/a/images?limit=5"),
            (routes.images_page_path("a", 5, "b/c"), "/collections/a/images?limit=5&after=b%2Fc"),
            (routes.files_base(None), "/"),
            (routes.files_base(CURRENT), "/images/"),
            (routes.files_base("a"), "/collections/a/files/"),
            (routes.file_path(None, ("a", "b c")), "/a/b%20c"),
            (routes.file_path(CURRENT, ("a",)), "/images/a"),
            (routes.timeout_path(5), "/timeout/5"),
        ):
            self.assertEqual(written, expected)

    @PROPERTY
    @given(NAMES | st.just(CURRENT), st.lists(NAMES, min_size=1, max_size=3))
    def test_round_trip(self, name: str, names: list[str]) -> None:
        """What is written means what it was written for."""
        self.assertEqual(route(routes.collection_path(name).encode()).collection, name)
        self.assertIs(route(routes.images_path(name).encode()).kind, RouteKind.IMAGES)
        found = route(routes.file_path(name, names).encode())
        self.assertEqual((found.collection, found.is_file), (name, True))
        self.assertEqual((found.below or b"").decode(), routes.file_path(None, names)[1:])


class SignedTests(SynchronousTestCase):
    def test_redact(self) -> None:
        """A link in a log cannot be used by who reads the log."""
        ticket = "1800000000." + "A" * 43
        for written, shown in (
            (
                f"https://a:8888/-/s/{ticket}/images/a.nii?download",
                "/-/s/1800000000..../images/a.nii",
            ),
            (f"/-/s/1800000000-2.{'A' * 43}/images/", "/-/s/1800000000-2..../images/"),
            ("/images/a.nii", "/images/a.nii"),
        ):
            redacted = routes.redact_text(written)
            self.assertIn(shown, redacted)
            self.assertNotIn("AA", redacted)

    def test_signed(self) -> None:
        """A signed link is told by how its path begins, in one spelling."""
        for path, is_signed in ((b"/-/s/T/a", True), (b"/-/s", False), (b"/%2d/s/T/a", False)):
            self.assertEqual(routes.is_signed(path), is_signed, path)

    def test_split_view(self) -> None:
        """The page that shows a file has the file's own path behind it."""
        for path, expected in (
            (b"/-/view/a/b", (b"/-/view", b"/a/b")),
            (b"/-/view/", (b"/-/view", b"/")),
            (b"/-/view", (b"", b"/-/view")),
            (b"/-/view%2fa", (b"", b"/-/view%2fa")),
            (b"/a/-/view/b", (b"", b"/a/-/view/b")),
        ):
            self.assertEqual(routes.split_view(path), expected)

    def test_open(self) -> None:
        """Where reading is private, only what tells of no file is open, in one spelling alone."""
        for path in (b"/health", b"/-/", b"/-/ca.pem", b"/-/s/T/a"):
            self.assertTrue(routes.is_open(path), path)
        for path in (b"/", b"/health/", b"/%68ealth", b"/%2d/ca.pem", b"/-", b"/-x", b"/images/a"):
            self.assertFalse(routes.is_open(path), path)
        for path in (b"/-/view/", b"/-/view/a", b"/-/view/-/ca.pem"):
            self.assertFalse(routes.is_open(path), path)
        for path in (b"/-/files", b"/-/files/", b"/-/files/a", b"/-/%66iles/a", b"/-/fil%65s"):
            self.assertFalse(routes.is_open(path), path)
