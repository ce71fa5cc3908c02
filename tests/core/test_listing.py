"""The listing's model: order, filter, pages, and the JSON view."""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import parse_qsl

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from imgd.core import listing
from imgd.core.folder_index import select
from imgd.core.listing import Entry, Layout, Page, Query, Sort, parse_query, query_string
from imgd.errors import BadRequest
from tests.core.test_natural_order import natural

# Names as os.fsdecode gives them: any bytes but NUL and the slash.
names = (
    st.one_of(
        st.binary(min_size=1, max_size=12).map(lambda raw: raw.decode("utf-8", "surrogateescape")),
        st.text("aAbBß.*[?10", min_size=1, max_size=6),
        st.sampled_from(
            ["a.nii.gz", "b.NII", "c.png", "d.\udcff", "\u017f.dcm", "c.PNG", "c", "d&e=f#g%h+i j"]
        ),
    )
    .map(lambda name: name.replace("\0", "0").replace("/", "1"))
    .filter(lambda name: name not in {"", ".", ".."})
)
entries = st.lists(
    st.builds(
        Entry,
        name=names,
        is_folder=st.booleans(),
        size=st.integers(0, 3) | st.integers(0, 2**63),
        mtime_ns=st.integers(-2, 2) | st.integers(-(2**63), 2**63),
    ),
    max_size=30,
    unique_by=lambda entry: entry.name,
)
queries = st.builds(
    Query,
    sort=st.sampled_from(Sort),
    descending=st.booleans(),
    contains=st.sampled_from(["", "a", "B", "*", "?", "*.n*", "c.*", "[", "[a]*", ".", "ß"]),
    limit=st.integers(1, 12),
)
cheap = settings(deadline=None, max_examples=150)


def over_the_wire(query: Query) -> Query:
    """A query as it comes back from a URL."""
    pairs = parse_qsl(query_string(query), encoding="utf-8", errors="surrogateescape")
    return parse_query(dict(pairs))


def in_order(contents: list[Entry], query: Query) -> list[Entry]:
    """All entries that match, in order, made by three stable sorts."""
    column = {
        Sort.NAME: lambda e: 0,
        Sort.SIZE: lambda e: e.size,
        Sort.MODIFIED: lambda e: e.mtime_ns,
        Sort.KIND: listing.kind,
    }[query.sort]
    everything = select(contents, Query(contains=query.contains, limit=1_000)).entries
    by_name = sorted(everything, key=lambda e: natural(e.name))
    if query.descending:
        by_name.reverse()
    by_column = sorted(by_name, key=column, reverse=query.descending)
    return sorted(by_column, key=lambda e: not e.is_folder)


def file(name: str, size: int = 1, mtime_ns: int = 0) -> Entry:
    return Entry(name, False, size, mtime_ns)


def folder(name: str) -> Entry:
    return Entry(name, True, 0, 0)


def named(page: Page) -> list[str]:
    return [entry.name for entry in page.entries]


class PagingTests(SynchronousTestCase):
    @given(entries, queries)
    @cheap
    def test_forward(self, contents: list[Entry], query: Query) -> None:
        """From the first page on, ``next`` leads through everything that matches, in order."""
        expected = in_order(contents, query)
        seen: list[Entry] = []
        while True:
            page = select(iter(contents), query)
            self.assertEqual(page.start, len(seen))
            self.assertEqual((page.matching, page.total), (len(expected), len(contents)))
            self.assertEqual(page.size, sum(entry.size for entry in expected))
            self.assertEqual(bool(page.previous), bool(seen))
            seen += page.entries
            self.assertEqual(bool(page.next), len(seen) < len(expected))
            if not page.next:
                break
            self.assertEqual(len(page.entries), query.limit)
            query = over_the_wire(listing.at(query, after=page.next))
        self.assertEqual(seen, expected)

    @given(entries, queries)
    @cheap
    def test_backward(self, contents: list[Entry], query: Query) -> None:
        """From the last entry back, ``previous`` leads through everything before it, in order."""
        expected = in_order(contents, query)
        if len(expected) < 2:
            return
        ahead = select(contents, replace(query, limit=len(expected) - 1))
        last = select(contents, replace(query, after=ahead.next))
        seen, cursor = last.entries, last.previous
        while cursor:
            page = select(iter(contents), over_the_wire(listing.at(query, before=cursor)))
            self.assertEqual(page.matching, len(expected))
            self.assertTrue(page.next)
            seen, cursor = page.entries + seen, page.previous
            self.assertEqual(page.start, len(expected) - len(seen))
        self.assertEqual(seen, expected)

    def test_the_entry_of_a_cursor_may_go(self) -> None:
        """A page begins after its cursor, whether or not the cursor's entry is still there."""
        contents = [file(name) for name in "abcdef"]
        first = select(contents, Query(limit=2))
        del contents[1]
        contents.insert(0, file("aa"))
        second = select(contents, Query(limit=2, after=first.next))
        self.assertEqual((named(first), named(second)), (["a", "b"], ["c", "d"]))
        self.assertEqual(second.start, 2)

    def test_everything_after_a_cursor_may_go(self) -> None:
        """A page after the last entry is empty, and has no next page."""
        after = select([file("a"), file("b")], Query(limit=1)).next
        page = select([file("a")], Query(after=after))
        self.assertEqual((page.entries, page.start, page.next, page.previous), ([], 1, "", ""))

    def test_everything_before_a_cursor_may_go(self) -> None:
        """A page before the first entry is empty, and has no previous page."""
        before = select([file("a"), file("b")], Query(limit=1, after="f0.a")).previous
        page = select([file("b"), file("c")], Query(before=before))
        self.assertEqual((page.entries, page.start, page.next, page.previous), ([], 0, "", ""))


class OrderTests(SynchronousTestCase):
    contents = (
        file("b.png", 3, 20),
        file("A.nii", 1, 30),
        file("c.dcm", 2, 10),
        folder("z"),
        folder("Y"),
    )

    def test_each_column_both_ways(self) -> None:
        """Folders come first in every order; names ignore case; equal values are sorted by name."""
        for sort, descending, expected in [
            (Sort.NAME, False, "Y z A.nii b.png c.dcm"),
            (Sort.NAME, True, "z Y c.dcm b.png A.nii"),
            (Sort.SIZE, False, "Y z A.nii c.dcm b.png"),
            (Sort.SIZE, True, "z Y b.png c.dcm A.nii"),
            (Sort.MODIFIED, False, "Y z c.dcm b.png A.nii"),
            (Sort.MODIFIED, True, "z Y A.nii b.png c.dcm"),
            (Sort.KIND, False, "Y z c.dcm A.nii b.png"),
            (Sort.KIND, True, "z Y b.png A.nii c.dcm"),
        ]:
            page = select(self.contents, Query(sort=sort, descending=descending))
            self.assertEqual(" ".join(named(page)), expected, (sort, descending))

    def test_numbers_in_names(self) -> None:
        """Numbers sort by their value, in every order and from page to page."""
        contents = [file(f"frame_{n}.png") for n in (10, 9, 100, 2, 1)]
        contents += [folder(f"run{n}") for n in (12, 3)]
        expected = "run3 run12 frame_1.png frame_2.png frame_9.png frame_10.png frame_100.png"
        for sort in (Sort.NAME, Sort.SIZE, Sort.KIND):
            page = select(contents, Query(sort=sort, limit=4))
            rest = select(contents, Query(sort=sort, after=page.next))
            self.assertEqual(" ".join(named(page) + named(rest)), expected)

    def test_names_that_differ_in_case_alone(self) -> None:
        """Names that differ only in case stand side by side, each once, on any page."""
        contents = [file(name) for name in ("a", "A", "b", "B")]
        self.assertEqual(named(select(contents, Query(limit=3))), ["A", "a", "B"])
        self.assertEqual(
            named(select(contents, Query(after=select(contents, Query(limit=3)).next))), ["b"]
        )


class FilterTests(SynchronousTestCase):
    contents = (
        file("Brain.nii.gz"),
        file("brain[1].NII"),
        file("line\nbreak.nii"),
        file("notes.txt"),
        folder("brains"),
    )

    def test_filter(self) -> None:
        """Plain text is looked for anywhere; ``*`` and ``?`` make a glob of the whole name."""
        for contains, expected in [
            ("", 5),
            ("BRAIN", 3),
            (".nii", 3),
            ("*.nii", 2),
            ("*.NII*", 3),
            ("brain", 3),
            ("brain?", 1),
            ("brain*", 3),
            ("brain[1]", 1),
            ("brain[1]*", 1),
            ("*[!1]*", 0),
            ("nothing", 0),
            (".*", 0),
        ]:
            self.assertEqual(
                select(self.contents, Query(contains=contains)).matching, expected, contains
            )

    def test_a_costly_glob_is_cheap(self) -> None:
        """A glob that would make a naive matcher backtrack is matched at once."""
        page = select([file("a" * 250)], Query(contains="*a" * 120 + "*b"))
        self.assertEqual(page.matching, 0)


class QueryTests(SynchronousTestCase):
    def test_defaults(self) -> None:
        """No query, empty values and unknown keys are the first 1,000 by name."""
        for args in ({}, {"sort": "", "after": "", "limit": "", "filter": " "}, {"format": "json"}):
            self.assertEqual(parse_query(args), Query())
        self.assertEqual(Query().limit, 1_000)

    def test_all_keys(self) -> None:
        """Every key is read."""
        args = {"sort": "size", "order": "desc", "filter": " x ", "after": "f1.a", "limit": "10000"}
        self.assertEqual(
            parse_query(args),
            Query(Sort.SIZE, descending=True, contains="x", after="f1.a", limit=10_000),
        )
        self.assertEqual(parse_query({"before": "d-5.a"}).before, "d-5.a")
        self.assertIs(parse_query({"view": "list"}).layout, Layout.LIST)
        self.assertIs(parse_query({"view": "gallery"}).layout, Layout.GALLERY)

    def test_wrong_values(self) -> None:
        """A wrong value is a BadRequest that names its key."""
        for key, value in [
            ("sort", "colour"),
            ("sort", "NAME"),
            ("order", "up"),
            ("limit", "0"),
            ("limit", "10001"),
            ("limit", "-1"),
            ("limit", "1.5"),
            ("limit", "\u0661"),
            ("limit", "9" * 5_000),
            ("after", "frame.png"),
            ("after", "f.png"),
            ("after", "f1."),
            ("before", "x1.a"),
            ("before", f"f{'9' * 5_000}.a"),
            ("filter", "x" * 256),
            ("view", "Gallery"),
        ]:
            error = self.assertRaises(BadRequest, parse_query, {key: value})
            self.assertIn(f"'{key}'", error.detail)

    def test_two_cursors(self) -> None:
        """A page cannot be after one cursor and before another."""
        error = self.assertRaises(BadRequest, parse_query, {"after": "f0.a", "before": "f0.b"})
        self.assertIn("'after' or 'before'", error.detail)

    @given(
        st.builds(
            Query,
            sort=st.sampled_from(Sort),
            descending=st.booleans(),
            contains=names.map(str.strip),
            limit=st.integers(1, 10_000),
            layout=st.sampled_from((None, *Layout)),
        )
    )
    @cheap
    def test_survives_a_url(self, query: Query) -> None:
        """A query is the same after it has been in a URL, and the URL is plain ASCII."""
        self.assertEqual(over_the_wire(query), query)
        self.assertRegex(query_string(query), r"\A[A-Za-z0-9%&=._~-]*\Z")

    @given(names, names, st.sampled_from(Sort))
    @cheap
    def test_cursors_survive_a_url(self, one: str, other: str, sort: Sort) -> None:
        """A cursor is ASCII, whatever the name, and the next page begins right after it."""
        if one == other:
            return
        query = Query(sort, limit=1)
        contents = [Entry(one, True, 0, 0), file(other)]
        page = select(contents, query)
        self.assertTrue(page.next.isascii())
        following = select(contents, over_the_wire(listing.at(query, after=page.next)))
        self.assertEqual(named(page) + named(following), [one, other])

    def test_gallery(self) -> None:
        """A page of a gallery has at most 200 entries, however many are asked for."""
        contents = [file(f"{number:03}.png") for number in range(500)]
        for limit, size in ((1_000, 200), (10_000, 200), (3, 3)):
            query = Query(limit=limit, layout=Layout.GALLERY)
            page = select(contents, query)
            self.assertEqual((len(page.entries), page.layout), (size, Layout.GALLERY))
            rest = select(contents, listing.at(query, after=page.next))
            self.assertEqual(len(rest.entries), size)
            self.assertEqual(
                select(contents, listing.at(query, before=rest.previous)).entries, page.entries
            )
        self.assertIs(select(contents, Query()).layout, Layout.LIST)

    def test_default_query_string(self) -> None:
        """Defaults are not written; more keys may follow."""
        self.assertEqual(query_string(Query()), "")
        self.assertEqual(
            query_string(Query(Sort.KIND, contains="a b&c", limit=5), format="json"),
            "sort=kind&filter=a%20b%26c&limit=5&format=json",
        )

    def test_a_column_turns_round(self) -> None:
        """The sorted column is reversed, another starts ascending, both at page one."""
        query = Query(contains="x", after="f0.a", limit=7)
        turned = listing.sorted_by(query, Sort.NAME)
        self.assertEqual(turned, Query(descending=True, contains="x", limit=7))
        self.assertEqual(listing.sorted_by(turned, Sort.NAME), Query(contains="x", limit=7))
        self.assertEqual(
            listing.sorted_by(turned, Sort.SIZE), Query(Sort.SIZE, contains="x", limit=7)
        )


class EntryTests(SynchronousTestCase):
    def test_any_suffix(self) -> None:
        """A suffix is a kind of its own only if it is printable."""
        for name, expected in [("a.xyz", "XYZ"), ("a.\udcff", "File"), ("a.\u202e", "File")]:
            self.assertEqual(listing.kind(file(name)), expected)

    def test_href(self) -> None:
        """A link is the URL, with ``./`` before names that begin as absolute URLs do."""
        for entry, expected in (
            (file("a b.png"), "a%20b.png"),
            (file("a:b.png"), "a%3Ab.png"),
            (folder("x"), "x/"),
            (file("http_notes.txt"), "./http_notes.txt"),
            (folder("https:"), "./https%3A/"),
        ):
            self.assertEqual(listing.href(entry), expected)

    def test_any_time(self) -> None:
        """A time that no date can say becomes the nearest one that a date can."""
        for nanoseconds, expected in [
            (-1, "1969-12-31T23:59:59Z"),
            (-(2**80), "0001-01-01T00:00:00Z"),
            (2**80, "9999-12-31T23:59:59Z"),
        ]:
            self.assertEqual(listing.modified(file("a", 1, nanoseconds)), expected)
