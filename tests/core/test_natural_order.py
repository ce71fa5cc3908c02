"""Names in the order in which people read them."""

from __future__ import annotations

import random
import re

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from imgd.core import natural_order
from imgd.core.natural_order import CHUNK


def natural(name: str) -> tuple[list[tuple[int, int, int]], bytes]:
    """The same order said slowly: character by character, a run of digits as one number."""
    parts = re.split(rb"([0-9]+)", raw(name.casefold()))
    order: list[tuple[int, int, int]] = []
    for number, part in enumerate(parts):
        if number % 2:
            order.append((ord("0"), 1, int(part)))
        else:
            order += [(byte if byte < ord("0") else byte + 1, 0, 0) for byte in part]
    return order, raw(name)


def raw(name: str) -> bytes:
    return name.encode("utf-8", "surrogateescape")


any_name = st.one_of(
    st.binary(min_size=1, max_size=12).map(lambda b: b.decode("utf-8", "surrogateescape")),
    st.text("0019aAbß./_:\u0661", min_size=1, max_size=10),
).filter(lambda name: "\0" not in name)


class KeyTests(SynchronousTestCase):
    def test_table(self) -> None:
        """Each name sorts before the next one."""
        names = [
            *("", ".", "0", "00", "001", "01", "1", "1a", "1b", "2", "10", "1000000000"),
            *("99999999999", "100000000000", "a", "a-1", "a.1", "a/1", "a0", "a1", "A2", "a2"),
            *("a10", "aB1", "ab2", "frame_2.png", "frame_10.png", "IM9", "im10", "x" * 300),
            *("x" * 300 + "1" * 300, "x" * 300 + "2" * 300, "x" * 300 + "1" * 301, "é", "\udcff"),
        ]
        keys = [natural_order.key(raw(name)) for name in names]
        self.assertEqual(keys, sorted(keys))
        self.assertEqual(len(set(keys)), len(names))

    @given(any_name, any_name)
    def test_any(self, one: str, other: str) -> None:
        """Any two names sort as the rule says, and only a name itself has its key."""
        keys = natural_order.key(raw(one)), natural_order.key(raw(other))
        expected = natural(one), natural(other)
        self.assertEqual(keys[0] < keys[1], expected[0] < expected[1])
        self.assertEqual(keys[0] == keys[1], one == other)

    def test_no_file_name(self) -> None:
        """A cursor may hold what no file is called."""
        self.assertEqual(natural_order.key(b"a\0b"), natural_order.key(b"ab"))

    def test_many(self) -> None:
        """Many numbers are sorted by their keys as few are, with pauses."""
        names = [b"%d_%d" % (n // 7, n) for n in range(3 * CHUNK + 1)]
        random.Random(1).shuffle(names)
        pauses: list[None] = []
        for count in (0, 1, CHUNK, CHUNK + 1, len(names)):
            order = natural_order.sort(
                count,
                lambda numbers: natural_order.keys([names[n] for n in numbers]),
                lambda: pauses.append(None),
            )
            found = [names[number] for number in order]
            self.assertEqual(found, sorted(names[:count], key=lambda n: natural(n.decode())))
        self.assertGreaterEqual(len(pauses), 2 * len(names) // CHUNK)
