"""Sorted names in little memory."""

from __future__ import annotations

import tracemalloc

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from imgd.core.name_index import NameIndex
from tests.core.test_natural_order import natural

# As os.fsdecode gives them: bytes that are not UTF-8 are lone surrogates.
any_text = st.binary(min_size=1, max_size=20).map(lambda b: b.decode("utf-8", "surrogateescape"))
file_names = any_text.filter(lambda name: "\0" not in name)


class NamesTests(SynchronousTestCase):
    """A sequence of names."""

    def test_empty(self) -> None:
        """An index may be empty."""
        for empty in (NameIndex(), NameIndex([]), NameIndex(iter(()))):
            self.assertEqual((len(empty), list(empty), empty.page(0, 10)), (0, [], []))
            self.assertEqual(empty.index_after(""), 0)
            self.assertEqual(empty.index_after("z"), 0)

    def test_same_names(self) -> None:
        """Two indexes of the same names are told from those of others."""
        index = NameIndex(["ab", "c"])
        self.assertTrue(index.has_names_of(NameIndex(["c", "ab"])))
        for others in ([], ["a", "bc"], ["ab", "d"], ["ab", "c", "d"]):
            self.assertFalse(index.has_names_of(NameIndex(others)))

    def test_order(self) -> None:
        """Names are in their natural order: no locale, no case, a prefix before what has it."""
        names = [
            "b.png",
            "é.png",
            "a/b.png",
            "a.png",
            "B.png",
            "a",
            "\udcff.png",
            "\U0001f600",
            "10",
        ]
        expected = ["10", "a", "a.png", "a/b.png", "B.png", "b.png", "é.png", "\U0001f600"]
        self.assertEqual(list(NameIndex(names)), [*expected, "\udcff.png"])

    def test_numbers(self) -> None:
        """Numbers sort by their value, those of folders too; the next page begins after a name."""
        names = NameIndex(f"run{r}/frame_{n}.png" for r in (10, 9) for n in (11, 2, 1))
        self.assertEqual(names.page(0, 4)[2:], ["run9/frame_11.png", "run10/frame_1.png"])
        self.assertEqual(names.index_after("run9/frame_11.png"), 3)
        self.assertEqual(names.index_after("run9/frame_9.png"), 2)

    def test_pages(self) -> None:
        """Pages are cut anywhere, end early at the end, and are empty after it."""
        names = NameIndex(f"{i:03}.png" for i in range(10))
        for start, limit, expected in [
            (0, 3, ["000.png", "001.png", "002.png"]),
            (8, 3, ["008.png", "009.png"]),
            (9, 1, ["009.png"]),
            (10, 5, []),
            (99, 5, []),
            (0, 0, []),
        ]:
            with self.subTest(start=start, limit=limit):
                self.assertEqual(names.page(start, limit), expected)

    def test_index_after(self) -> None:
        """The next page begins after a name, whether that name is in the index or not."""
        names = NameIndex(["b", "d", "f"])
        for name, index in [
            ("", 0),
            ("a", 0),
            ("b", 1),
            ("c", 1),
            ("f", 3),
            ("g", 3),
            ("\udcff", 3),
        ]:
            with self.subTest(name=name):
                self.assertEqual(names.index_after(name), index)

    @given(st.lists(file_names), st.integers(1, 7), any_text)
    def test_any(self, given_names: list[str], limit: int, other: str) -> None:
        """Any names come back unchanged and sorted; all pages together are the whole."""
        expected = sorted(given_names, key=natural)
        names = NameIndex(given_names)
        self.assertEqual((list(names), len(names)), (expected, len(expected)))
        pages = [names.page(start, limit) for start in range(0, len(names), limit)]
        self.assertEqual([name for page in pages for name in page], expected)
        index = names.index_after(other)
        bare = other.replace("\0", "")
        self.assertTrue(all(natural(name) <= natural(bare) for name in expected[:index]))
        self.assertTrue(all(natural(name) > natural(bare) for name in expected[index:]))

    def test_many(self) -> None:
        """Many chunks of names take the memory that the class documents."""
        count = 20_000
        tracemalloc.start()
        try:
            names = NameIndex(f"frame-{i:06}.jpg" for i in range(count))
            kept, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        self.assertLess(kept, count * 30)
        self.assertEqual(sum(1 for _ in names), count)
        self.assertEqual(names.page(count - 1, 5), [f"frame-{count - 1:06}.jpg"])
