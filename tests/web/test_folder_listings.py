"""Listings of folders: read once, kept, bounded."""

from __future__ import annotations

import os
import shutil
import tempfile

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from imgd.web.folder_listings import MAX_WAITING_PER_CLIENT, MAX_WAITING_PER_FOLDER
from tests.collections.manager_case import LONG_AGO
from tests.fakes import MemorySite, write
from tests.scans import Scans
from tests.web.list_case import ListCase


class KeptTests(ListCase):
    def test_once_for_all(self) -> None:
        """However many requests wait for a folder, it is read once, though it has just changed."""
        os.utime(self.big)
        scans = Scans(self.big)
        self.memory_site.blocking.held = True
        waiting = [self.begin(f"/big/?format=json&sort={sort}") for sort in ("name", "kind")] * 3
        self.memory_site.blocking.release()
        for transport in waiting:
            self.assertEqual(self.answer(transport).json["total"], 3)
        self.assertEqual(scans.count, 1)

    def test_changed_since(self) -> None:
        """A request that comes after a change of the folder sees the change, however soon."""
        os.utime(self.big)
        for number in range(3):
            write(os.path.join(self.big, f"new{number}.png"))
            self.assertIn(f"new{number}.png", self.names())

    def test_kept(self) -> None:
        """A folder that does not change is read once, for all its orders and filters."""
        scans = Scans(self.big)
        self.assertEqual(self.names(), ["a.png", "b.png", "c.png"])
        self.assertEqual(self.names("/big/?format=json&order=desc")[0], "c.png")
        self.assertEqual(self.names("/big/?format=json&filter=B&sort=size"), ["b.png"])
        self.assertEqual(scans.count, 1)
        os.remove(os.path.join(self.big, "b.png"))
        self.assertEqual(self.names(), ["a.png", "c.png"])
        self.assertEqual(scans.count, 2)

    def test_facts(self) -> None:
        """A page has the size of each file as it is now, though the folder is not read again."""
        self.names()
        scans = Scans(self.big)
        write(os.path.join(self.big, "b.png"), b"larger")
        sizes = [e["size"] for e in self.memory_site.ask("/big/?format=json").json["entries"]]
        self.assertEqual((sizes, scans.count), ([1, 6, 1], 0))

    def test_order_of_facts(self) -> None:
        """The order by size follows the sizes within seconds."""
        by_size = "/big/?format=json&sort=size"
        self.assertEqual(self.names(by_size)[-1], "c.png")
        write(os.path.join(self.big, "a.png"), b"larger")
        self.memory_site.clock.advance(6)
        self.assertEqual(self.names(by_size)[-1], "a.png")

    def test_links(self) -> None:
        """A link whose target appears is listed soon, though its folder does not change."""
        target = os.path.join(self.memory_site.documents, "later.png")
        os.symlink(target, os.path.join(self.big, "link.png"))
        os.utime(self.big, LONG_AGO)
        self.assertNotIn("link.png", self.names())
        write(target)
        self.memory_site.clock.advance(6)
        self.assertIn("link.png", self.names())


class BoundTests(ListCase):
    def test_of_a_folder(self) -> None:
        """So many requests may wait for a folder; one more is answered 503 at once, others wait."""
        self.memory_site.blocking.held = True
        waiting = [
            self.begin("/big/?format=json", f"192.0.2.{n}") for n in range(MAX_WAITING_PER_FOLDER)
        ]
        self.assertTrue(self.is_refused("/big/?format=json", "192.0.2.99"))
        self.assertFalse(self.is_refused("/?format=json", "192.0.2.99"))
        self.memory_site.blocking.release()
        self.assertEqual({self.answer(transport).status for transport in waiting}, {200})
        self.assertFalse(self.is_refused("/big/?format=json", "192.0.2.99"))

    def test_of_a_client(self) -> None:
        """So many requests of one client may wait, for any folder; another client's are let in. A
        network of IPv6 is one client, and so are all that come through loopback.
        """
        for number in range(MAX_WAITING_PER_CLIENT):
            write(os.path.join(self.memory_site.documents, str(number), "a.png"))
        self.memory_site.blocking.held = True
        for peers, other in (
            (("127.0.0.1", "::1"), "192.0.2.1"),
            (("2001:db8::1", "2001:db8::2"), "2001:db8:0:1::1"),
        ):
            for number in range(MAX_WAITING_PER_CLIENT):
                self.assertFalse(self.is_refused(f"/{number}/?format=json", peers[number % 2]))
            self.assertTrue(self.is_refused("/big/?format=json", peers[0]))
            self.assertFalse(self.is_refused("/big/?format=json", other))
            self.memory_site.blocking.release()


class MessageTests(ListCase):
    def test_paths(self) -> None:
        """The message has the folder's path as it stands in a URL, as does the next page's."""
        write(os.path.join(self.big, "x y", "a.png"))
        write(os.path.join(self.big, "x y", "b.png"))
        self.memory_site.load(self.big, recursive=True)
        message = self.memory_site.ask("/images/x%20y/?format=json&limit=1").json
        self.assertEqual(message["path"], "/images/x%20y/")
        self.assertEqual(message["next"], "/images/x%20y/?limit=1&after=f0.a.png&format=json")
        self.assertEqual(len(self.memory_site.ask(message["next"]).json["entries"]), 1)


class TimeTests(SynchronousTestCase):
    def any_time_folder(self) -> str:
        """A folder of a file system that keeps times of any year."""
        for parent in (tempfile.gettempdir(), "/dev/shm"):
            if os.path.isdir(parent):
                folder = tempfile.mkdtemp(dir=parent)
                self.addCleanup(shutil.rmtree, folder)
                os.utime(folder, (10**12, 10**12))
                if os.stat(folder).st_mtime == 10**12:
                    return os.path.realpath(folder)
        raise SkipTest("no file system here keeps the year 30000")

    def test_clamped(self) -> None:
        """A time that no date can say is the first or the last second that one can, and a file's
        Last-Modified is never later than now.
        """
        memory_site = MemorySite(self.any_time_folder())
        path = write(os.path.join(memory_site.documents, "a.png"))
        for seconds, modified in (
            (-(10**12), "0001-01-01T00:00:00Z"),
            (10**12, "9999-12-31T23:59:59Z"),
        ):
            os.utime(path, (seconds, seconds))
            [entry] = memory_site.ask("/?format=json").json["entries"]
            self.assertEqual(entry["modified"], modified)
            page = memory_site.ask("/", headers={"Accept": "text/html"})
            self.assertIn(modified.encode(), page.body)
            answer = memory_site.ask("/a.png", headers={"Range": "bytes=0-"})
            self.assertEqual(answer.status, 206)
            dates = {"Mon, 01 Jan 0001 00:00:00 GMT", answer.headers["date"]}
            self.assertIn(answer.headers["last-modified"], dates)
