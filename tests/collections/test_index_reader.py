"""The images of loaded collections as they are now, read once for all who wait."""

from __future__ import annotations

import os

from imgd.collections.manager import LoadedCollection
from imgd.core.catalog import CURRENT
from imgd.host.single_flight import SOON
from tests.collections.manager_case import LONG_AGO, ManagerCase
from tests.fakes import write


class NamesTests(ManagerCase):
    """The images of a collection as they are now."""

    def names(self, loaded_collection: LoadedCollection | None = None) -> list[str]:
        return list(self.do(self.manager.names(loaded_collection or self.manager.find(CURRENT))))

    def test_added_and_removed(self) -> None:
        """Files that come and go are there and gone without a reload, counted too."""
        self.load("one")
        self.assertEqual(self.names(), ["one0.png"])
        path = write(os.path.join(self.folder, "one", "new.png"))
        self.assertEqual(self.names(), ["new.png", "one0.png"])
        self.assertEqual(self.manager.find(CURRENT).collection.image_count, 2)
        os.remove(path)
        self.assertEqual(self.names(), ["one0.png"])
        self.assertEqual(self.manager.find(CURRENT).collection.image_count, 1)

    def test_read_once(self) -> None:
        """A directory that has not changed for a while is not read again."""
        os.utime(os.path.join(self.folder, "one"), LONG_AGO)
        loaded_collection = self.load("one")
        index = self.manager.find(CURRENT).index
        self.steps.held = True
        first, second = (
            self.begin(self.manager.names(loaded_collection)),
            self.begin(self.manager.names(loaded_collection)),
        )
        self.steps.drain()
        self.assertIs(self.successResultOf(first), self.successResultOf(second))
        self.assertIs(self.manager.find(CURRENT).index, index)

    def test_many_ask(self) -> None:
        """However many ask for a directory that was not read yet, it is read once."""
        os.utime(os.path.join(self.folder, "two"), LONG_AGO)
        self.load("two")
        self.restart()
        loaded_collection = self.manager.find(CURRENT)
        self.steps.held = True
        asking = [self.begin(self.manager.names(loaded_collection)) for _ in range(5)]
        self.assertEqual(len(self.steps.waiting), 1)
        self.steps.drain()
        self.assertEqual(len({id(self.successResultOf(names)) for names in asking}), 1)

    def test_vanished(self) -> None:
        """Of a directory that is gone the last names are known; back again, it is read."""
        self.load("two")
        away = os.path.join(self.folder, "away")
        os.rename(os.path.join(self.folder, "two"), away)
        self.assertEqual(self.names(), ["two0.png", "two1.png"])
        self.assertEqual(
            self.do(self.manager.available(self.manager.loaded_collections())), [False]
        )
        write(os.path.join(away, "two2.png"))
        os.rename(away, os.path.join(self.folder, "two"))
        self.assertEqual(len(self.names()), 3)
        self.assertEqual(self.do(self.manager.available(self.manager.loaded_collections())), [True])

    def test_replaced_while_read(self) -> None:
        """Who asked for a load gets its names, though another took its place; and the other's
        names are not touched.
        """
        old = self.load("one")
        self.steps.held = True
        reading = self.begin(self.manager.names(old))
        self.steps.held = False
        new = self.load("two")
        self.steps.drain()
        images = self.successResultOf(reading)
        self.assertEqual(list(images), ["one0.png"])
        self.assertIs(self.manager.get(CURRENT), new)
        self.assertEqual(self.names(), ["two0.png", "two1.png"])
        self.assertEqual(self.names(old), ["one0.png"])
        self.do(self.manager.unload())
        self.assertEqual(self.names(new), ["two0.png", "two1.png"])
        self.assertEqual(self.loaded, {})

    def test_timer_after_reading(self) -> None:
        """Reading names between a load and its time leaves its timer as it is."""
        self.load("one", minutes=1)
        self.clock.advance(30)
        self.names()
        self.assertEqual(self.left(), 30)
        self.clock.advance(30)
        self.assertEqual(self.loaded, {})
        self.assert_in_step()


class InTimeTests(ManagerCase):
    """Who does not wait for a disk longer than a second."""

    def test_available(self) -> None:
        """A directory that does not answer soon counts as away, and no other."""
        self.load("one", "a")
        self.load("two", "b")
        self.steps.held = True
        loaded = self.manager.loaded_collections()
        answer = self.begin(self.manager.available(loaded, self.clock))
        self.steps.work(1)
        self.steps.deliver()
        self.clock.advance(SOON)
        self.assertEqual(self.successResultOf(answer), [False, True])

    def test_index(self) -> None:
        """Names that take long to read are the last known; who waits gets the new ones."""
        loaded = self.load("one")
        write(os.path.join(self.folder, "one", "new.png"))
        self.steps.held = True
        brief = self.begin(self.manager.index(loaded, self.clock))
        patient = self.begin(self.manager.names(loaded))
        self.clock.advance(SOON)
        index = self.successResultOf(brief)
        assert index is not None
        self.assertEqual(list(index.names), ["one0.png"])
        self.steps.drain()
        self.assertEqual(len(self.successResultOf(patient)), 2)
