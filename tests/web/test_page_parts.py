"""The parts of a folder's page."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from imgd.core.listing import Entry, Query, Sort
from imgd.core.messages import CollectionInfo
from imgd.web.page_parts import (
    Breadcrumb,
    CollectionCard,
    TableColumn,
    TableRow,
    breadcrumbs,
    href,
    parent_href,
    root_name,
)


def info(name: str, *, available: bool = True, expires_at: str | None = None) -> CollectionInfo:
    return CollectionInfo(
        name=name,
        directory="somewhere",
        recursive=False,
        image_count=2,
        loaded_at="2026-03-01T12:00:00Z",
        expires_at=expires_at,
        url="",
        current=name == "current",
        available=available,
    )


class PartTests(SynchronousTestCase):
    def test_row(self) -> None:
        """A row has escaped names, a relative URL, and size and time for people."""
        row = TableRow.of(Entry("<\u202e>.png", False, 1_500, 0))
        self.assertEqual(row.name, '&lt;<span class="unseen">\\u202e</span>&gt;.png')
        self.assertEqual((row.plain, row.href), ("<\\u202e>.png", "%3C%E2%80%AE%3E.png"))
        self.assertEqual((row.size, row.bytes, row.icon), ("1.5 kB", "1,500 bytes", "image"))
        self.assertEqual((row.modified, row.minute), ("1970-01-01T00:00:00Z", "1970-01-01 00:00"))

    def test_folder_row(self) -> None:
        """A folder's row has no size, and a URL with a slash at its end."""
        row = TableRow.of(Entry("a", True, 7, 0))
        self.assertEqual((row.href, row.size, row.icon), ("a/", "", "folder"))

    def test_column(self) -> None:
        """The sorted column names its order and reverses it, others start ascending."""
        query = Query(Sort.SIZE)
        self.assertEqual(
            TableColumn.of(query, Sort.SIZE, "Size"),
            TableColumn("size", "Size", "?sort=size&order=desc", "ascending"),
        )
        self.assertEqual(
            TableColumn.of(query, Sort.NAME, "Name"), TableColumn("name", "Name", "./", "")
        )

    def test_ways(self) -> None:
        """Breadcrumbs and the parent's URL are relative to the folder."""
        root = [Breadcrumb("ct", "../../")]
        crumbs = [("imgd", "../../../"), ("ct", "../../"), ("a", "../"), ("b", "./")]
        self.assertEqual(breadcrumbs(("a", "b"), root, "../../../"), crumbs)
        self.assertEqual(parent_href(("a",), "/", "../"), "../")
        self.assertEqual(
            (parent_href((), "/", "./"), parent_href((), "/images/", "../")), ("", "../")
        )
        self.assertEqual((href(Query()), href(Query(limit=7))), ("./", "?limit=7"))

    def test_card(self) -> None:
        """A card leads to the files of its collection, if the directory is available."""
        self.assertEqual(CollectionCard.of(info("current"), "./").href, "./images/")
        card = CollectionCard.of(info("ct", expires_at="2026-03-01T12:34:56Z"), "./")
        self.assertEqual(card.href, "./collections/ct/files/")
        self.assertEqual(card.minute, "2026-03-01 12:34")
        self.assertEqual(CollectionCard.of(info("ct", available=False), "./").href, "")

    def test_root_names(self) -> None:
        """The document root has one name wherever it is mounted; a collection has its own."""
        for base, name in (
            ("/", "Files"),
            ("/-/files/", "Files"),
            ("/images/", "images"),
            ("/collections/ct/files/", "ct"),
            ("/collections/-/files/", "-"),
        ):
            self.assertEqual(root_name(base), name)
