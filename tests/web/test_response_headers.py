"""Which pages of other origins may read which answer."""

from __future__ import annotations

import os

from tests.fakes import Answer, MemorySite, write
from tests.web.test_control import SiteCase

EXPOSED = "Accept-Ranges, Content-Disposition, Content-Length, Content-Range, ETag, Last-Modified"


class CorsTests(SiteCase):
    def test_listed(self) -> None:
        """With a list, a listed origin is named, others are not, and caches learn it."""
        memory_site = MemorySite(
            os.path.join(self.folder, "c"), cors_origins=("https://viewer.example",)
        )
        write(os.path.join(memory_site.documents, "a.png"))
        for path in ("/a.png", "/missing", "/", "/a.png?x"):
            listed = memory_site.ask(path, headers={"Origin": "https://viewer.example"})
            self.assertEqual(
                listed.headers["access-control-allow-origin"], "https://viewer.example"
            )
            for headers in ({}, {"Origin": "https://evil.example"}, {"Origin": "null"}):
                other = memory_site.ask(path, headers=headers)
                self.assertNotIn("access-control-allow-origin", other.headers)
                self.assertIn("Origin", other.headers["vary"])

    FILES = ("/a.png", "/missing", "/images/a.jpg", "/images/x.txt", "/images/none.png",
             "/collections/current/files/a.jpg", "/collections/nope/files/a.jpg",
             "/collections/current/files/a%2Fb", "/a.png?sort=size", "/folder")  # fmt: skip
    LISTS = ("/", "/?format=json", "/folder/", "/folder/?format=json", "/images/",
             "/images", "/%69mages",
             "/images/?format=json", "/collections", "/collections/", "/collections/current",
             "/collections/current/images", "/collections/current/images?format=ndjson",
             "/collections/current/images?limit=1", "/collections/current/files",
             "/collections/current/files/", "/%63ollections", "/collections/%63urrent/images",
             "/health", "/timeout", "/-/ca.pem", "/-/openapi.yaml", "/links", "//")  # fmt: skip

    def ask_all(self, memory_site: MemorySite, path: str) -> list[Answer]:
        """GET, HEAD and a preflight, as a page of another origin sends them."""
        origin = {"Origin": "https://viewer.example"}
        return [memory_site.ask(path, method, origin) for method in ("GET", "HEAD", "OPTIONS")]

    def filled(self, memory_site: MemorySite) -> MemorySite:
        write(os.path.join(memory_site.documents, "a.png"))
        write(os.path.join(memory_site.documents, "folder", "b.png"))
        memory_site.load(self.frames)
        return memory_site

    def test_default(self) -> None:
        """Every page may read files, errors of files too, and nothing that lists them."""
        memory_site = self.filled(self.memory_site)
        for path in self.FILES:
            for answer in self.ask_all(memory_site, path):
                self.assertEqual(answer.headers["access-control-allow-origin"], "*", path)
                self.assertEqual(answer.headers["cross-origin-resource-policy"], "cross-origin")
                self.assertEqual(answer.headers["access-control-expose-headers"], EXPOSED)
        for path in self.LISTS:
            for answer in self.ask_all(memory_site, path):
                self.assertNotIn("access-control-allow-origin", answer.headers, path)
                self.assertEqual(answer.headers["cross-origin-resource-policy"], "same-origin")

    def test_everything(self) -> None:
        """With ``*`` in so many words, every page may read everything."""
        memory_site = self.filled(MemorySite(os.path.join(self.folder, "c"), cors_origins=("*",)))
        for path in (*self.FILES, *self.LISTS):
            for answer in self.ask_all(memory_site, path):
                self.assertEqual(answer.headers["access-control-allow-origin"], "*", path)
