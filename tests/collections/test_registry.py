"""What is loaded, by name."""

from __future__ import annotations

from dataclasses import replace

from twisted.trial.unittest import SynchronousTestCase

from imgd.collections.registry import CollectionRegistry, LoadedCollection
from imgd.core.catalog import Collection
from imgd.files.disk import Root


def loaded(name: str, deadline: float | None = None) -> LoadedCollection:
    collection = Collection(name, f"/{name}", False, 1, 1_700_000_000.0, 5, deadline)
    return LoadedCollection(collection, Root(collection.directory))


class RegistryTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.registry = CollectionRegistry()

    def test_names(self) -> None:
        """Collections are sorted by name, and a second one of a name replaces the first."""
        for name in ("b", "a"):
            self.registry.put(loaded(name))
        again = loaded("b")
        self.registry.put(again)
        self.assertEqual([one.collection.name for one in self.registry], ["a", "b"])
        self.assertIs(self.registry.get("b"), again)
        self.registry.remove("b")
        self.registry.remove("b")
        self.assertNotIn("b", self.registry)

    def test_current(self) -> None:
        """The same load is found with its new timer; another load of the name is not."""
        first = loaded("a")
        self.registry.put(first)
        timed = replace(first, collection=first.collection.with_timer(9, 0.0))
        self.registry.put(timed)
        self.assertIs(self.registry.current(first), timed)
        self.registry.put(loaded("a"))
        self.assertIsNone(self.registry.current(first))
        self.registry.remove("a")
        self.assertIsNone(self.registry.current(first))

    def test_expired(self) -> None:
        """Collections whose deadline has come are removed, and no other."""
        for name, deadline in (("a", 1.0), ("b", 2.0), ("c", None)):
            self.registry.put(loaded(name, deadline))
        expired = self.registry.take_expired(1.5)
        self.assertEqual([collection.name for collection in expired], ["a"])
        self.assertEqual([one.collection.name for one in self.registry], ["b", "c"])
