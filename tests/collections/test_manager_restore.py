"""The life of collections: their images as they are now, and coming back after a crash."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace

from imgd.collections.manager import LoadedCollection
from imgd.collections.registry import LoadSpec
from imgd.collections.store import StoredCollection
from imgd.core.catalog import CURRENT
from imgd.errors import NotFound, Unavailable
from imgd.files import disk
from tests.collections.manager_case import FULL, LONG_AGO, MINUTE, ManagerCase
from tests.fakes import WALL, write


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


class RestoreTests(ManagerCase):
    """Killed, and started again."""

    def test_time_left(self) -> None:
        """Every collection is back with the time it had, less what the daemon was down."""
        self.load("one", "a", minutes=10)
        self.load("two", "b", minutes=0)
        self.load("three", recursive=True)
        before = {s.collection.name: s.collection for s in self.manager.loaded_collections()}
        self.clock.advance(MINUTE)
        self.restart(down=2 * MINUTE)
        self.assertEqual(self.loaded, {"a": "one", "b": "two", CURRENT: "three"})
        for name, left in (("a", 7 * MINUTE), ("b", None), (CURRENT, 27 * MINUTE)):
            self.assertEqual(self.left(name), left)
            back = self.manager.find(name).collection
            self.assertEqual(replace(back, deadline=0), replace(before[name], deadline=0))
        self.assert_in_step()
        self.assertEqual(len(self.do(self.manager.names(self.manager.find(CURRENT)))), 3)
        self.clock.advance(7 * MINUTE)
        self.assertEqual(set(self.loaded), {"b", CURRENT})
        self.assertEqual(len([line for line in self.logged if line.startswith("Restored")]), 3)

    def test_ran_out_while_down(self) -> None:
        """What ran out while the daemon was down is dropped, for good, and the log says so."""
        self.load("one", "a", minutes=1)
        self.load("two", "b", minutes=2)
        self.restart(down=MINUTE)
        self.assertEqual(self.loaded, {"b": "two"})
        self.assert_in_step()
        self.assertTrue(any("Did not restore a: its time ran out" in line for line in self.logged))

    def test_clock_set_back_while_down(self) -> None:
        """A wall clock that was set back gives nobody more than a whole timer, however often."""
        self.load("one", minutes=10)
        self.restart(wall_set_by=-86_400)
        self.assertEqual(self.left(), 10 * MINUTE)
        for _ in range(9):
            self.clock.advance(MINUTE)
            self.restart()
        self.assertEqual(self.left(), MINUTE)
        self.assert_in_step()
        self.restart(down=MINUTE)
        self.assertEqual(self.loaded, {})

    def test_set_just_before(self) -> None:
        """A wall clock that was set while the daemon ran does not change what is left."""
        for jump in (-86_400.0, 86_400.0):
            self.load("one", minutes=10)
            self.wall.offset += jump
            self.clock.advance(MINUTE)
            self.restart(down=MINUTE)
            self.assertEqual(self.left(), 8 * MINUTE)

    def test_default_timeout(self) -> None:
        """The default that was set last holds after a restart, for loads without one, until the
        daemon is configured with another; then that one holds, for good.
        """
        self.do(self.manager.restart_timers(7))
        self.restart()
        self.assertEqual(self.manager.default_minutes, 7)
        self.assertEqual(self.load("one").collection.timeout_minutes, 7)
        self.restart(minutes=60)
        self.assertEqual(self.manager.default_minutes, 60)
        self.restart(minutes=30)
        self.assertEqual(self.manager.default_minutes, 30)
        self.do(self.manager.restart_timers(0))
        self.restart()
        self.assertEqual(self.manager.default_minutes, 0)
        self.assertIsNone(self.load("two").collection.deadline)
        self.assert_in_step()

    def test_default_timeout_that_was_not_acknowledged(self) -> None:
        """A default that could not be stored is none, then and after a restart."""
        self.load("one")
        self.store.fail = FULL
        self.failureResultOf(self.begin(self.manager.restart_timers(7)), Unavailable)
        self.assertEqual(self.manager.default_minutes, 30)
        self.store.fail = None
        self.restart()
        self.assertEqual((self.manager.default_minutes, self.left()), (30, 30 * MINUTE))

    def test_missing(self) -> None:
        """A directory that has vanished is kept, told as missing, and served when it is back."""
        self.load("two", "a")
        self.load("one", "b")
        place, away = os.path.join(self.folder, "two"), os.path.join(self.folder, "away")
        os.rename(place, away)
        self.restart()
        self.assertEqual(self.loaded, {"a": "two", "b": "one"})
        self.assertEqual(
            self.do(self.manager.available(self.manager.loaded_collections())), [False, True]
        )
        self.assertTrue(any(f"directory of a is missing: {place}" in line for line in self.logged))
        loaded_collection = self.manager.find("a")
        self.assertEqual(loaded_collection.collection.image_count, 2)
        self.assertEqual(list(self.do(self.manager.names(loaded_collection))), [])
        self.assertRaises(NotFound, disk.open_file, loaded_collection.root, ("two0.png",))
        os.rename(away, place)
        self.assertEqual(
            self.do(self.manager.available(self.manager.loaded_collections())), [True, True]
        )
        self.assertEqual(len(self.do(self.manager.names(loaded_collection))), 2)
        disk.open_file(loaded_collection.root, ("two0.png",)).close()

    def test_became_something_else(self) -> None:
        """A file or a link where the directory was is not the directory."""
        self.load("two")
        place = os.path.join(self.folder, "two")
        shutil.rmtree(place)
        os.symlink("three", place)
        self.restart()
        loaded_collection = self.manager.find(CURRENT)
        self.assertEqual(self.do(self.manager.available([loaded_collection])), [False])
        self.assertEqual(list(self.do(self.manager.names(loaded_collection))), [])
        self.assertRaises(NotFound, disk.open_file, loaded_collection.root, ("three0.png",))

    def test_forbidden_now(self) -> None:
        """What a newer policy does not allow is not brought back, be it there or not."""
        self.load("one", "a")
        self.load("two", "b")
        self.load("three", "c")
        shutil.rmtree(os.path.join(self.folder, "three"))
        self.restart(allowed=(os.path.join(self.folder, "one"),))
        self.assertEqual(self.loaded, {"a": "one"})
        self.assert_in_step()

    def test_too_wide_now(self) -> None:
        """A tree that is too wide today is not brought back where it was recursive, and a line of
        the log says why; with --allow-root it is.
        """
        documents = os.path.join(self.folder, "one", "deep", "images")
        self.do(self.manager.load(LoadSpec(os.path.join(self.folder, "one"), "a", recursive=True)))
        self.load("two", "b")
        self.restart(documents=documents, allowed=(self.folder,))
        self.assertEqual(self.loaded, {"a": "one", "b": "two"})
        self.restart(documents=documents)
        self.assertEqual(self.loaded, {"b": "two"})
        why = [line for line in self.logged if "Did not restore a: " in line]
        self.assertEqual([("--allow-root" in line) for line in why], [True])
        self.assert_in_step()

    def test_odd_rows(self) -> None:
        """Rows that no daemon of today would store do no harm."""
        row = StoredCollection("a", os.path.join(self.folder, "one"), False, 1, WALL, None, 0)
        for odd, loaded in [
            (replace(row, expires_at=WALL + 60, timeout_minutes=0), {}),
            (replace(row, expires_at=float("inf"), timeout_minutes=5), {"a": "one"}),
            (replace(row, expires_at=float("-inf"), timeout_minutes=5), {}),
            (replace(row, directory="/proc"), {}),
            (replace(row, image_count=-1), {"a": "one"}),
        ]:
            with self.subTest(odd=odd):
                self.store.rows = {"a": odd}
                self.restart()
                self.assertEqual(self.loaded, loaded)
                self.assert_in_step()

    def test_failing_store(self) -> None:
        """A store that can be read and not changed is no reason not to start."""
        self.load("one", "a", minutes=1)
        self.load("two", "b")
        self.store.fail = FULL
        self.restart(down=MINUTE)
        self.assertEqual(self.loaded, {"b": "two"})
        self.assertGreaterEqual(len(self.flushLoggedErrors(Unavailable)), 1)
        self.store.fail = None
        self.load("three")
        self.assertEqual(self.loaded, {"b": "two", CURRENT: "three"})

    def test_killed_at_any_step(self) -> None:
        """Wherever in a load the daemon is killed: the old collection is there, or the new one,
        and the new one for sure once it was acknowledged.
        """
        for steps, wanted in [(0, "one"), (1, "one"), (2, "one"), (3, "two")]:
            with self.subTest(steps=steps):
                self.load("one")
                self.steps.held = True
                loading = self.start_load("two")
                for _ in range(steps):
                    self.steps.step()
                acknowledged = loading.called
                self.assertEqual(acknowledged, steps == 3)
                self.restart()
                self.assertEqual(self.loaded, {CURRENT: wanted})
                self.assert_in_step()
