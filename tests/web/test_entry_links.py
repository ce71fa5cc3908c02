"""Where a click on an entry leads."""

from __future__ import annotations

from urllib.parse import urljoin

from twisted.trial.unittest import SynchronousTestCase

from imgd.core.listing import Entry, Layout, Query
from imgd.web.entry_links import EntryLinks
from tests.core.test_listing import file, folder

HERE = "https://tunnel.example"
AUTO = Query()


class LinkTests(SynchronousTestCase):
    def test_viewer(self) -> None:
        """What can be shown leads to the viewer at the file's own path, from any folder of the
        document root, of a collection, and below a signed link.
        """
        for prefix in ("", "/-/s/1800000000-1.abc"):
            for base, names, top in (
                ("/", (), "./"),
                ("/", ("a b", "c"), "../../"),
                ("/images/", (), "../"),
                ("/collections/ct/files/", ("a b",), "../../../../"),
            ):
                links = EntryLinks.of(top, base, names, AUTO, has_pictures=True)
                page = f"{HERE}{prefix}{base}{''.join(f'{name}/' for name in names)}"
                for name, encoded in (
                    ("x.nii.gz", "x.nii.gz"),
                    ("javascript:1?.png", "javascript%3A1%3F.png"),
                ):
                    path = (page + encoded).removeprefix(HERE + prefix).replace(" ", "%20")
                    target = urljoin(page, links.target(file(name)))
                    self.assertEqual(target, f"{HERE}{prefix}/-/view{path}")

    def test_files(self) -> None:
        """Other files lead to themselves, as does every file if imgd makes no pictures."""
        links = EntryLinks.of("./", "/", (), AUTO, has_pictures=True)
        self.assertEqual(links.target(file("http.txt")), "./http.txt")
        self.assertEqual(links.viewed(file("http.txt")), "")
        links = EntryLinks.of("./", "/", (), AUTO, has_pictures=False)
        self.assertEqual(links.target(file("a.png")), "a.png")
        self.assertEqual(links.viewed(file("a.png")), "")

    def test_stack(self) -> None:
        """A folder with two frames or more can be leafed through as a stack."""
        links = EntryLinks.of("../", "/", ("a",), AUTO, has_pictures=True)
        for names, expected in (
            (("a.png", "b.dcm"), "../-/view/a/"),
            (("a.png",), ""),
            (("a.nii", "b.nii.gz", "c.hdr"), ""),
            (("a.svg", "b.txt"), ""),
        ):
            self.assertEqual(links.stack(map(file, names)), expected)
        links = EntryLinks.of("../", "/", ("a",), AUTO, has_pictures=False)
        self.assertEqual(links.stack([file("a.png"), file("b.png")]), "")

    def test_folders(self) -> None:
        """Folders keep the layout if one was chosen; else each is shown as suits it."""
        for query, kept in (
            (AUTO, ""),
            (Query(layout=Layout.LIST), "?view=list"),
            (Query(layout=Layout.GALLERY, contains="x"), "?view=gallery"),
        ):
            links = EntryLinks.of("./", "/", (), query, has_pictures=True)
            self.assertEqual(links.target(folder("a.png")), f"a.png/{kept}")
            self.assertEqual(links.kept, kept)

    def test_dicom(self) -> None:
        """A file that is DICOM by its bytes leads to the viewer."""
        links = EntryLinks("-/view/")
        self.assertEqual(links.target(Entry("IM1", False, 1, 0, True)), "-/view/IM1")
