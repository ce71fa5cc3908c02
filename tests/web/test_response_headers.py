"""Which pages of other origins may read which answer."""

from __future__ import annotations

import os

from tests.fakes import TOKEN, Answer, MemorySite, write
from tests.web.test_control import SiteCase

EXPOSED = "Accept-Ranges, Content-Disposition, Content-Length, Content-Range, ETag, Last-Modified"


class CorsTests(SiteCase):
    def preflight(self, memory_site: MemorySite, path: str, origin: str, **more: str) -> Answer:
        """The answer to a browser that asks whether a page may send ``Authorization``."""
        asked = {
            "Origin": origin,
            "Access-Control-Request-Method": "GET",
            "Access-Control-Request-Headers": "authorization",
        }
        return memory_site.ask(path, "OPTIONS", {**asked, **more}, peer="192.0.2.7")

    def test_token_of_listed_origins(self) -> None:
        """If reading is private, pages of listed origins may send the token to what is read, and to
        nothing else; the preflight needs none.
        """
        viewer, other = "https://viewer.example", "https://other.example"
        for private in (True, False):
            for origins in ((viewer,), ("*", viewer), ("*",), ()):
                folder = os.path.abspath(self.mktemp())
                memory_site = MemorySite(folder, private=private, cors_origins=origins)
                for origin in (viewer, other, "null"):
                    for path in ("/a.png", "/", "/folder/", "/collections", "/images/a", "/health"):
                        answer = self.preflight(memory_site, path, origin)
                        allowed = answer.headers["access-control-allow-headers"].split(", ")
                        may = private and origin == viewer and viewer in origins
                        self.assertEqual(("Authorization" in allowed), may, (path, origin, origins))
                        self.assertEqual(answer.status, 204)
                    for path in ("/load-directory", "/unload", "/timeout/5", "/links"):
                        answer = self.preflight(memory_site, path, origin)
                        allowed = answer.headers["access-control-allow-headers"].split(", ")
                        self.assertNotIn("Authorization", allowed)

    def test_private_answers(self) -> None:
        """A listed origin reads every answer of a private site, 401 and 404 too."""
        viewer = "https://viewer.example"
        folder = os.path.abspath(self.mktemp())
        memory_site = MemorySite(folder, private=True, cors_origins=(viewer,))
        write(os.path.join(memory_site.documents, "a.png"))
        for credentials, statuses in (
            ({}, (401, 401, 401)),
            ({"Authorization": "Bearer wrong"}, (401, 401, 401)),
            ({"Authorization": f"Bearer {TOKEN}"}, (200, 404, 200)),
        ):
            for path, status in zip(("/a.png", "/missing", "/"), statuses, strict=True):
                answer = memory_site.ask(path, headers={"Origin": viewer, **credentials})
                self.assertEqual(answer.status, status)
                self.assertEqual(answer.headers["access-control-allow-origin"], viewer)
                self.assertEqual(answer.headers["timing-allow-origin"], viewer)
                other = memory_site.ask(
                    path, headers={"Origin": "https://b.example", **credentials}
                )
                self.assertNotIn("access-control-allow-origin", other.headers)

    def test_private_network(self) -> None:
        """A preflight for Private Network Access is allowed if the origin may read the path."""
        asks = {"Access-Control-Request-Private-Network": "true"}
        memory_site = self.filled(self.memory_site)
        for path, more, allowed in (
            ("/a.png", asks, "true"),
            ("/a.png", {}, None),
            ("/a.png", {"Access-Control-Request-Private-Network": "yes"}, None),
            ("/collections", asks, None),
            ("/load-directory", asks, None),
        ):
            answer = self.preflight(memory_site, path, "https://viewer.example", **more)
            self.assertEqual(answer.headers.get("access-control-allow-private-network"), allowed)

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
                self.assertEqual(answer.headers["timing-allow-origin"], "*", path)
                self.assertEqual(answer.headers["cross-origin-resource-policy"], "cross-origin")
                self.assertEqual(answer.headers["access-control-expose-headers"], EXPOSED)
        for path in self.LISTS:
            for answer in self.ask_all(memory_site, path):
                self.assertNotIn("access-control-allow-origin", answer.headers, path)
                self.assertNotIn("timing-allow-origin", answer.headers, path)
                self.assertEqual(answer.headers["cross-origin-resource-policy"], "same-origin")

    def test_everything(self) -> None:
        """With ``*`` in so many words, every page may read everything."""
        memory_site = self.filled(MemorySite(os.path.join(self.folder, "c"), cors_origins=("*",)))
        for path in (*self.FILES, *self.LISTS):
            for answer in self.ask_all(memory_site, path):
                self.assertEqual(answer.headers["access-control-allow-origin"], "*", path)
