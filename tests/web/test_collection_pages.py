"""``/collections`` and what is below it, as a browser gets them."""

from __future__ import annotations

import os
from urllib.parse import urljoin

from imgd.web.collection_pages import collection_page
from tests.fakes import TOKEN, Answer, MemorySite, write
from tests.web.test_control import FAR, SiteCase
from tests.web.test_pages import HOSTILE, Reader, loaded_collection

BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
BEARER = {"Authorization": f"Bearer {TOKEN}"}
HERE = "https://localhost:8888"


class CollectionPagesTests(SiteCase):
    def page(self, path: str, status: int = 200, peer: str = FAR, **more: str) -> Reader:
        answer = self.memory_site.ask(path, headers={**BROWSER, **more}, peer=peer)
        self.assertEqual(answer.status, status, answer.body)
        self.assertEqual(answer.headers["content-type"], "text/html; charset=utf-8")
        self.assertIn("default-src 'none'", answer.headers["content-security-policy"])
        return Reader(answer.body)

    def test_who_gets_what(self) -> None:
        """Who names HTML gets a page, everybody else JSON as ever; caches are told."""
        self.memory_site.load(self.frames)
        for path in ("/collections", "/collections/current"):
            for accept in ("*/*", "application/json", ""):
                answer = self.memory_site.ask(path, headers={"Accept": accept})
                self.assertEqual(answer.headers["content-type"], "application/json")
                self.assertIn("Accept", answer.headers["vary"])
            page = self.memory_site.ask(path, headers=BROWSER)
            self.assertIn("Accept", page.headers["vary"])
            json = self.memory_site.ask(f"{path}?format=json", headers=BROWSER)
            self.assertEqual(json.json, self.memory_site.ask(path).json)
            head = self.memory_site.ask(path, "HEAD", headers=BROWSER)
            self.assertEqual(head.headers["content-length"], str(len(page.body)))
        missing = self.page("/collections/nothing", 404)
        self.assertIn("Not Found".casefold(), missing.text().casefold())

    def test_list(self) -> None:
        """Every collection is there with its count, when it unloads, and a link to its page."""
        self.memory_site.load(self.frames)
        self.memory_site.load(self.frames, name="study-1", minutes=0, recursive=True)
        reader = self.page("/collections")
        text = reader.text()
        for part in ("2 loaded", "study-1", "2 images", "3 images", "2027-01-15 08:30 UTC"):
            self.assertIn(part, text)
        self.assertIn("Stays loaded", text)
        self.assertIn("./collections/study-1", reader.hrefs())

    def test_empty(self) -> None:
        """If nothing is loaded the page says how to load."""
        text = self.page("/collections").text()
        for part in ("Nothing is loaded", "imgd load DIRECTORY", "POST /load-directory"):
            self.assertIn(part, text)

    def test_one(self) -> None:
        """A collection's page leads to its files, its images as JSON, and archives of it."""
        self.memory_site.load(self.frames, name="study-1")
        for path in ("/collections/study-1", "/collections/study-1/"):
            reader = self.page(path)
            targets = {urljoin(HERE + path, href) for href in reader.hrefs()}
            for below in ("/study-1/files/", "/study-1/images", ""):
                self.assertIn(f"{HERE}/collections{below}", targets)
            [form] = reader.all("form")
            action = urljoin(HERE + path, form["action"] or "")
            self.assertEqual(action, f"{HERE}/collections/study-1/files/")
            values = [b["value"] for b in reader.all("button")]
            self.assertEqual(values, ["zip", "tar"])
            for url in targets:
                answer = self.memory_site.ask(url.removeprefix(HERE))
                self.assertEqual(answer.status, 200, url)
        self.assertEqual(self.memory_site.ask(f"{action[len(HERE) :]}?archive=zip").status, 200)

    def test_no_archives(self) -> None:
        """With --archive-limit 0 no archive is offered."""
        self.memory_site = MemorySite(self.folder, more={"archive_limit": 0})
        self.memory_site.load(self.frames)
        self.assertEqual(self.page("/collections/current").all("form"), [])

    def test_unavailable(self) -> None:
        """A collection whose directory is away says so, and leads to no files."""
        self.memory_site.load(self.frames)
        os.rename(self.frames, self.frames + "-away")
        self.assertIn("not available", self.page("/collections").text())
        reader = self.page("/collections/current")
        self.assertIn("The directory is not available", reader.text())
        self.assertNotIn("../collections/current/files/", reader.hrefs())
        self.assertEqual(reader.all("form"), [])

    def test_paths_of_the_host(self) -> None:
        """Who may not control sees no path of the host; who may does."""
        self.memory_site.load(self.frames)
        for path in ("/collections", "/collections/current"):
            self.assertNotIn(self.folder, self.page(path).text())
        self.assertIn("frames", self.page("/collections/current").text())
        reader = self.page("/collections/current", peer="127.0.0.1")
        self.assertIn(self.frames, reader.text())

    def test_front(self) -> None:
        """The front page leads to the collections, and no other folder's page does."""
        write(os.path.join(self.memory_site.documents, "a", "b.png"))
        self.assertIn("./collections", self.page("/").hrefs())
        self.assertNotIn("../collections", self.page("/a/").hrefs())

    def test_private(self) -> None:
        """With --private the pages need the token or a link, below which their links stay."""
        self.memory_site = MemorySite(self.folder, private=True)
        self.memory_site.load(self.frames)
        self.page("/collections", 401)
        self.page("/collections", Authorization=BEARER["Authorization"])
        link = self.link("/collections")
        reader = self.page(f"{link}/current")
        for href in reader.hrefs():
            url = urljoin(f"{HERE}{link}/current", href)
            if "/collections" in url:
                self.assertEqual(self.ask(url.removeprefix(HERE)).status, 200, url)
            self.assertTrue(url.startswith(f"{HERE}/-/s/"))

    def ask(self, path: str) -> Answer:
        return self.memory_site.ask(path, headers=BROWSER, peer=FAR)

    def link(self, path: str) -> str:
        message = {"path": path, "prefix": True}
        answer = self.memory_site.post("/links", message, headers=BEARER)
        url: str = answer.json["url"]
        return url.removeprefix(HERE).rstrip("/")

    def test_hostile(self) -> None:
        """A directory of any name is shown in full, and its markup is text."""
        for name in HOSTILE:
            info = loaded_collection("x", directory=name.encode("utf-8", "replace").decode())
            reader = Reader(
                collection_page(info, "/collections/x", has_archives=True, has_dicom=True)
            )
            self.assertEqual(reader.all("script"), [])
            self.assertEqual(reader.all("b"), [])
            self.assertNotIn("\u202e", reader.text())
