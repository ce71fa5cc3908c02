"""A folder's entries in any order, in little memory."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from imgd.core import listing
from imgd.core.folder_index import MAX_FILTERED, FolderIndex
from imgd.core.listing import Entry, Query, Sort, at
from imgd.core.natural_order import CHUNK
from imgd.errors import Unavailable
from tests.core.test_listing import cheap, entries, file, folder, named, queries

MANY = 2 * CHUNK + 10


def many(count: int = MANY) -> Iterator[Entry]:
    """Files in no order, of four sizes, after two folders."""
    yield folder("f0")
    yield folder("f1")
    for number in range(count):
        yield file(f"frame-{number * 7919 % count:06}.jpg", number % 4, number)


class Stopped(Exception):
    """Raised by a pause that gives up."""


class IndexTests(SynchronousTestCase):
    @given(entries, st.lists(queries, min_size=1, max_size=12))
    @cheap
    def test_asked_again(self, contents: list[Entry], earlier: list[Query]) -> None:
        """Whatever pages came before, a page is the same as that of a new index."""
        index = FolderIndex(contents)
        for query in earlier:
            self.assertEqual(index.page(query), FolderIndex(contents).page(query))

    def test_many(self) -> None:
        """A folder of many chunks is sorted as a whole, by every column, filtered or not."""
        contents = list(many())
        index = FolderIndex(contents)
        columns: dict[Sort, Callable[[Entry], object]] = {
            Sort.NAME: lambda entry: 0,
            Sort.SIZE: lambda entry: entry.size,
            Sort.MODIFIED: lambda entry: entry.mtime_ns,
            Sort.KIND: listing.kind,
        }
        for sort, column in columns.items():
            for contains in ("", "77"):
                matching = [entry for entry in contents if contains in entry.name]
                query = Query(sort=sort, contains=contains, limit=10_000)
                page = index.page(query)
                behind = index.page(at(query, after=page.next)).entries if page.next else []
                rest = index.page(replace(query, descending=True)).entries
                expected = sorted(matching, key=lambda e: (not e.is_folder, column(e), e.name))
                self.assertEqual(page.entries + behind, expected)
                files = [entry for entry in rest if not entry.is_folder]
                self.assertEqual(files, expected[::-1][: len(files)])

    def test_memory(self) -> None:
        """The bytes of the names and their slashes, and some 30 an entry with one order."""
        tracemalloc.start()
        try:
            index = FolderIndex(many(50_000))
            index.page(Query(limit=1))
            kept, most = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        expected = 50_000 * (len("frame-000000.jpg/") + 26)
        self.assertLess(abs(index.bytes_kept - expected), expected / 50)
        self.assertLess(kept, 1.25 * expected)
        self.assertLess(most, 2.5 * expected)

    def test_look(self) -> None:
        """With ``look`` entries are as they are now, in the order of the index."""
        index = FolderIndex([file("a", 1), file("b", 2), file("c", 3)])
        now = {"a": file("a", 9), "c": file("c", 8)}
        page = index.page(Query(sort=Sort.SIZE, limit=2), now.get)
        self.assertEqual(page.entries, [file("a", 9)])
        self.assertEqual((page.matching, page.next), (3, "f2.b"))
        behind = index.page(Query(sort=Sort.SIZE, after=page.next), now.get)
        self.assertEqual((behind.entries, behind.start), ([file("c", 8)], 2))
        self.assertEqual(index.page(Query(), with_size=False).size, 0)

    def test_refresh(self) -> None:
        """Sizes and times are read again; those of an entry that is gone are zero."""
        index = FolderIndex([file("a", 1), file("b", 2), file("c", 3)])
        by_size = Query(sort=Sort.SIZE)
        self.assertEqual((named(index.page(by_size)), index.page(by_size).size), ([*"abc"], 6))
        index.refresh({"a": file("a", 9), "b": file("b", 2)}.get)
        self.assertEqual((named(index.page(by_size)), index.page(by_size).size), ([*"cba"], 11))
        self.assertEqual(named(index.page(Query())), [*"abc"])

    def test_filters_are_bounded(self) -> None:
        """However many filters are used, few orders are kept, and fewer if they are long."""
        index = FolderIndex(many(2_000))
        index.page(Query())
        without = index.bytes_kept
        for number in range(3 * MAX_FILTERED):
            index.page(Query(contains=f"{number:02}"))
        self.assertLess(index.bytes_kept, without + MAX_FILTERED * 4 * 300)
        for number in range(MAX_FILTERED):
            index.page(Query(contains="f" + "*" * number))
        self.assertLess(index.bytes_kept, without + 6 * 4 * 2_000)

    def test_given_up(self) -> None:
        """Every kind of long work calls ``pause``, so that it can be given up."""
        index = FolderIndex(many())
        index.page(Query())

        def stop() -> None:
            raise Stopped

        for work in (
            lambda: FolderIndex(many(), stop),
            lambda: index.page(Query(sort=Sort.SIZE), None, stop),
            lambda: index.page(Query(sort=Sort.KIND), None, stop),
            lambda: index.page(Query(contains="a"), None, stop),
            lambda: index.refresh(lambda name: None, stop),
        ):
            self.assertRaises(Stopped, work)
        self.assertEqual(index.page(Query(sort=Sort.SIZE)).matching, MANY + 2)

    def test_too_many(self) -> None:
        """A folder whose names are too long together is Unavailable."""
        self.assertRaises(Unavailable, FolderIndex, many(10), most=50)
