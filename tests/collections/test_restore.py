"""The life of collections: coming back after a crash."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace

from imgd.collections.registry import LoadSpec
from imgd.collections.store import StoredCollection
from imgd.core.catalog import CURRENT
from imgd.errors import NotFound, Unavailable
from imgd.files import disk
from tests.collections.manager_case import FULL, MINUTE, ManagerCase
from tests.fakes import WALL


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
            self.assertIsNone(back.skipped)  # until the directory is read
            expected = replace(before[name], deadline=0, skipped=None)
            self.assertEqual(replace(back, deadline=0), expected)
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
        """A directory that has vanished is kept, logged as missing, and served when it is back."""
        self.load("two", "a")
        self.load("one", "b")
        folder, away = os.path.join(self.folder, "two"), os.path.join(self.folder, "away")
        os.rename(folder, away)
        self.restart()
        self.assertEqual(self.loaded, {"a": "two", "b": "one"})
        self.assertEqual(
            self.do(self.manager.available(self.manager.loaded_collections())), [False, True]
        )
        self.assertTrue(any(f"directory of a is missing: {folder}" in line for line in self.logged))
        loaded_collection = self.manager.find("a")
        self.assertEqual(loaded_collection.collection.image_count, 2)
        self.assertEqual(list(self.do(self.manager.names(loaded_collection))), [])
        self.assertRaises(NotFound, disk.open_file, loaded_collection.root, ("two0.png",))
        os.rename(away, folder)
        self.assertEqual(
            self.do(self.manager.available(self.manager.loaded_collections())), [True, True]
        )
        self.assertEqual(len(self.do(self.manager.names(loaded_collection))), 2)
        disk.open_file(loaded_collection.root, ("two0.png",)).close()

    def test_became_something_else(self) -> None:
        """A file or a link where the directory was is not the directory."""
        self.load("two")
        folder = os.path.join(self.folder, "two")
        shutil.rmtree(folder)
        os.symlink("three", folder)
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
        for steps, expected in [(0, "one"), (1, "one"), (2, "one"), (3, "two")]:
            with self.subTest(steps=steps):
                self.load("one")
                self.steps.held = True
                loading = self.start_load("two")
                for _ in range(steps):
                    self.steps.step()
                acknowledged = loading.called
                self.assertEqual(acknowledged, steps == 3)
                self.restart()
                self.assertEqual(self.loaded, {CURRENT: expected})
                self.assert_in_step()
