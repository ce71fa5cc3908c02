"""The messages about collections, if their directories answer in time and if not."""

from __future__ import annotations

import os

from imgd.host.single_flight import SOON
from tests.fakes import MemorySite, write
from tests.web.list_case import ListCase


class StatusTests(ListCase):
    def test_status(self) -> None:
        """The names in the status are as they are on disk."""
        self.memory_site.load(self.big)
        self.assertEqual(self.memory_site.ask("/").json["image_list"], ["a.png", "b.png", "c.png"])
        write(os.path.join(self.big, "\udcff.png"))
        status = self.memory_site.ask("/").json
        self.assertEqual((status["image_list"][3], status["image_count"]), ("\ufffd.png", 4))
        self.assertFalse(status["image_list_truncated"])
        self.assertEqual(status["collections"][0]["image_count"], 4)


class LateTests(ListCase):
    def setUp(self) -> None:
        super().setUp()
        self.memory_site.load(self.big)
        self.memory_site.blocking.held = True

    def test_status(self) -> None:
        """The status waits a second for a directory that does not answer, and has what was known;
        later ones have it at once, until the directory answers.
        """
        first = self.begin("/")
        self.assertEqual(first.value(), b"")
        self.memory_site.clock.advance(SOON)
        second = self.begin("/")
        for status in (self.answer(first).json, self.answer(second).json):
            self.assertEqual(status["image_list"], ["a.png", "b.png", "c.png"])
            self.assertFalse(status["collections"][0]["available"])
        self.memory_site.blocking.held = False
        self.memory_site.blocking.release()
        self.assertTrue(self.memory_site.ask("/").json["collections"][0]["available"])

    def test_collections(self) -> None:
        """The list of collections waits as long; a directory that answers is available."""
        write(os.path.join(self.folder, "other", "a.png"))
        self.memory_site.blocking.held = False
        self.memory_site.load("other", name="other")
        self.memory_site.blocking.held = True
        transport = self.begin("/collections")
        self.memory_site.blocking.step()
        self.memory_site.clock.advance(SOON)
        status = {c["name"]: c["available"] for c in self.answer(transport).json["collections"]}
        self.assertEqual(status, {"current": True, "other": False})

    def test_never_read(self) -> None:
        """If a directory was not read since the start, the status has the count that was stored."""
        again = MemorySite(self.folder, store=self.memory_site.store)
        again.manager.restore()
        again.blocking.held = True
        transport = again.connect()
        transport.protocol.dataReceived(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        again.clock.advance(SOON)
        status = self.answer(transport).json
        self.assertEqual((status["image_count"], status["image_list"]), (3, []))
        self.assertTrue(status["image_list_truncated"])
