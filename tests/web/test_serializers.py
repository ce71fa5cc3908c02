"""The messages about collections, if their directories answer in time and if not."""

from __future__ import annotations

import os
from urllib.parse import urljoin

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


class NextTests(ListCase):
    """``next``: whoever resolves it against the URL that was asked gets the next page."""

    LISTS = ("/collections/current/images?limit=1", "/big/?format=json&limit=1")

    def names_from(self, url: str, prefix: str) -> list[str]:
        """The names on all pages from this one on, asked through a proxy that drops a prefix."""
        names = []
        following: str | None = url
        while following:
            self.assertTrue(following.startswith(prefix), following)
            url, page = following, self.memory_site.ask(following.removeprefix(prefix)).json
            names += [one["name"] for one in page.get("images") or page["entries"]]
            following = page["next"] and urljoin(url, page["next"])
        return names

    def test_next(self) -> None:
        """It is a path; below a public URL with a path, and a signed link, the query alone."""
        self.memory_site.load(self.big)
        for path in self.LISTS:
            page = self.memory_site.ask(path).json
            self.assertTrue(page["next"].startswith(path.partition("?")[0] + "?"), page["next"])
            names = ["a.png", "b.png", "c.png"]
            self.assertEqual(self.names_from(f"https://host{path}", "https://host"), names)
            answer = self.memory_site.post(
                "/links", {"path": path.partition("?")[0].rpartition("/")[0] + "/", "prefix": True}
            )
            ticket = answer.json["url"].split("/")[5]
            self.assertEqual(
                self.names_from(f"https://host/-/s/{ticket}{path}", "https://host"), names
            )
            for public in ("https://host/imgd", "https://host/imgd/"):
                self.memory_site.urls.public = public
                self.assertEqual(
                    self.names_from(f"https://host/imgd{path}", "https://host/imgd"), names
                )
                self.assertEqual(self.names_from(f"https://here{path}", "https://here"), names)
            self.memory_site.urls.public = "https://host"
            page = self.memory_site.ask(path).json
            self.assertTrue(page["next"].startswith("/"), page["next"])
            self.memory_site.urls.public = None

    def test_slash(self) -> None:
        """A list that is asked for with a slash at its end has a next page, too."""
        self.memory_site.load(self.big)
        self.memory_site.urls.public = "https://host/imgd"
        url = "https://host/imgd/collections/current/images/?limit=2"
        self.assertEqual(len(self.names_from(url, "https://host/imgd")), 3)


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
