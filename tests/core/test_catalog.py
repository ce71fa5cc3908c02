"""Which collections are loaded, and until when."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from imgd.core.catalog import CURRENT, Catalog, Collection, time_left

BASE = Collection("a", "/data/a", False, 3, 1_800_000_000.0, 0, None)


def collection(name: str, deadline: float | None = None) -> Collection:
    return replace(BASE, name=name, deadline=deadline)


def catalog(*collections: Collection) -> Catalog:
    made = Catalog()
    for one in collections:
        made.put(one)
    return made


class CollectionTests(SynchronousTestCase):
    """One collection and its timer."""

    def test_with_timer(self) -> None:
        """A timer counts whole minutes from the moment given; 0 minutes stop it."""
        started = BASE.with_timer(30, 100.0)
        self.assertEqual((started.timeout_minutes, started.deadline), (30, 1900.0))
        stopped = started.with_timer(0, 200.0)
        self.assertEqual((stopped.timeout_minutes, stopped.deadline), (0, None))
        self.assertEqual(replace(stopped, timeout_minutes=0, deadline=None), BASE)

    def test_time_left(self) -> None:
        """A stored timer never has more left than its whole length."""
        for expires_at, wall_now, minutes, left in [
            (1_000.0, 900.0, 30, 100.0),
            (1_000.0, 1_000.0, 30, 0.0),
            (1_000.0, 1_001.0, 30, -1.0),
            (1_000.0, -1e9, 30, 1_800.0),  # the wall clock was set back by years
            (1_000.0, 1e12, 30, 1_000.0 - 1e12),
            (1_000.0, 900.0, 1, 60.0),
            (1_000.0, 900.0, 0, 0.0),  # no timer, and yet a time: nothing is left
            (float("inf"), 0.0, 5, 300.0),
        ]:
            with self.subTest(expires_at=expires_at, wall_now=wall_now, minutes=minutes):
                self.assertEqual(time_left(expires_at, wall_now, minutes), left)


class CatalogTests(SynchronousTestCase):
    """Collections by name."""

    def test_empty(self) -> None:
        """An empty catalog has no collection, and no deadline."""
        empty = Catalog()
        self.assertEqual(list(empty), [])
        self.assertIsNone(empty.get(CURRENT))
        self.assertIsNone(empty.remove(CURRENT))
        self.assertIsNone(empty.next_deadline())
        self.assertEqual(empty.take_expired(float("inf")), [])
        self.assertEqual((empty.timed(), empty.restarted(5, 0.0)), ([], []))

    def test_put(self) -> None:
        """Collections come sorted by name, and a second of a name takes the place of the first."""
        made = catalog(collection("b"), collection("B"), collection("a"), collection("b", 5.0))
        self.assertEqual([(c.name, c.deadline) for c in made], [("B", None), ("a", None), ("b", 5)])
        self.assertEqual(made.get("b"), collection("b", 5.0))

    def test_remove(self) -> None:
        """Removing returns the collection, once."""
        made = catalog(collection("a"), collection("b"))
        self.assertEqual(made.remove("a"), collection("a"))
        self.assertIsNone(made.remove("a"))
        self.assertEqual(list(made), [collection("b")])

    def test_deadlines(self) -> None:
        """A collection is taken at its deadline, and not a moment earlier."""
        made = catalog(
            collection("never"), collection("b", 10.0), collection("a", 10.0), collection("c", 10.5)
        )
        self.assertEqual(made.next_deadline(), 10.0)
        self.assertEqual(made.take_expired(9.999), [])
        self.assertEqual([c.name for c in made.take_expired(10.0)], ["a", "b"])
        self.assertEqual(made.take_expired(10.0), [])
        self.assertEqual(made.next_deadline(), 10.5)
        self.assertEqual([c.name for c in made], ["c", "never"])

    def test_restarted(self) -> None:
        """Running timers are restarted, stopped ones are not, and nothing changes before a put."""
        made = catalog(collection("never"), collection("a", 10.0))
        self.assertEqual(made.timed(), [collection("a", 10.0)])
        self.assertEqual(made.restarted(2, 5.0), [collection("a").with_timer(2, 5.0)])
        self.assertEqual(made.restarted(0, 5.0), [collection("a")])
        self.assertEqual(made.next_deadline(), 10.0)

    @given(
        st.dictionaries(st.sampled_from("abcdef"), st.none() | st.floats(0, 100)),
        st.floats(0, 100),
    )
    def test_no_other(self, deadlines: dict[str, float | None], now: float) -> None:
        """Of any collections, exactly those are taken that have expired."""
        made = catalog(*(collection(name, deadline) for name, deadline in deadlines.items()))
        due = {name for name, at in deadlines.items() if at is not None and at <= now}
        self.assertEqual({c.name for c in made.take_expired(now)}, due)
        self.assertEqual({c.name for c in made}, set(deadlines) - due)
        following = made.next_deadline()
        self.assertTrue(following is None or following > now)
