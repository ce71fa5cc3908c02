"""What imgd has of its own: assets, the CA's certificate, the icon and robots.txt."""

from __future__ import annotations

import io
import os
from hashlib import sha256

from PIL import Image

from imgd.web import pages
from tests.fakes import CA_PEM, TOKEN, MemorySite, write
from tests.web.test_control import SiteCase

BEARER = {"Authorization": f"Bearer {TOKEN}"}
ROBOTS = "User-agent: *\nDisallow: /\n"


class AssetTests(SiteCase):
    def test_life(self) -> None:
        """A URL with the edition is kept for ever, any other for an hour."""
        for name, (kind, content) in pages.ASSETS.items():
            for query, life in (
                (f"?{pages.EDITION}", "max-age=31536000, immutable"),
                ("", "max-age=3600"),
                ("?00000000", "max-age=3600"),
                (f"?x?{pages.EDITION}", "max-age=3600"),
            ):
                answer = self.memory_site.ask(f"/-/{name}{query}")
                self.assertEqual((answer.status, answer.body), (200, content))
                self.assertEqual(answer.headers["cache-control"], life, name + query)
                self.assertEqual(answer.headers["content-type"], kind)

    def test_pages_name_the_edition(self) -> None:
        """What a page loads is kept for ever, behind a signed link too."""
        page = pages.error_page(404, "x").decode("utf-8")
        self.assertIn(f'href="/-/style.css?{pages.EDITION}"', page)
        message = {"path": "/", "prefix": True}
        url = self.memory_site.post("/links", message, headers=BEARER).json["url"]
        link = url.removeprefix("https://localhost:8888")
        answer = self.memory_site.ask(f"{link}-/style.css?{pages.EDITION}")
        self.assertEqual(answer.headers["cache-control"], "max-age=31536000, immutable")

    def test_others(self) -> None:
        """Nothing else is there."""
        for name in ("", "x", "style.css/", "../style.css", "ca.key", "ca.pem/", "trust/", "s"):
            self.assertEqual(self.memory_site.ask(f"/-/{name}").status, 404, name)


class CertificateTests(SiteCase):
    def test_file(self) -> None:
        """The CA's certificate has a type that clients offer to import, and a file's name."""
        answer = self.memory_site.ask("/-/ca.pem")
        self.assertEqual(answer.body, CA_PEM)
        self.assertEqual(answer.headers["content-type"], "application/x-x509-ca-cert")
        self.assertEqual(answer.headers["content-disposition"], 'inline; filename="imgd-ca.pem"')

    def test_instructions(self) -> None:
        """A page says what to do with it, with its fingerprint; the front page leads there, with a
        private daemon too, and no other page does.
        """
        html = {"Accept": "text/html"}
        fingerprint = sha256(b"\x00\x01\x02").digest().hex(":").upper()
        os.mkdir(os.path.join(self.memory_site.documents, "folder"))
        for memory_site in (self.memory_site, MemorySite(self.folder, private=True)):
            answer = memory_site.ask("/-/trust")
            self.assertEqual(answer.status, 200)
            self.assertIn(fingerprint.encode("ascii"), answer.body)
            self.assertEqual(answer.headers["content-type"], "text/html; charset=utf-8")
            self.assertIn("default-src 'none'", answer.headers["content-security-policy"])
            front = memory_site.ask("/", headers={**html, **BEARER})
            self.assertIn(b'href="./-/trust"', front.body)
            below = memory_site.ask("/folder/", headers={**html, **BEARER})
            self.assertNotIn(b"-/trust", below.body)

    def test_none(self) -> None:
        """If imgd made no CA, there is neither, and nothing leads there."""
        memory_site = MemorySite(self.folder, has_ca=False)
        for path in ("/-/ca.pem", "/-/trust"):
            self.assertEqual(memory_site.ask(path).status, 404)
        self.assertNotIn(b"-/trust", memory_site.ask("/", headers={"Accept": "text/html"}).body)


class WellKnownTests(SiteCase):
    def test_robots(self) -> None:
        """Robots are asked away from everything."""
        answer = self.memory_site.ask("/robots.txt")
        self.assertEqual(
            (answer.status, answer.body.decode("ascii")[-len(ROBOTS) :]), (200, ROBOTS)
        )
        self.assertEqual(answer.headers["content-type"], "text/plain; charset=utf-8")
        self.assertEqual(answer.headers["cache-control"], "no-cache")
        head = self.memory_site.ask("/robots.txt", "HEAD")
        self.assertEqual((head.status, head.body), (200, b""))
        self.assertEqual(head.headers["content-length"], str(len(answer.body)))

    def test_icon(self) -> None:
        """The icon is one, in the sizes that browsers ask for."""
        answer = self.memory_site.ask("/favicon.ico")
        self.assertEqual(answer.headers["content-type"], "image/vnd.microsoft.icon")
        with Image.open(io.BytesIO(answer.body)) as icon:
            self.assertEqual(icon.info["sizes"], {(16, 16), (32, 32), (48, 48)})

    def test_files_of_the_document_root(self) -> None:
        """A file of that name in the document root is sent instead, at once and whole."""
        for name in ("robots.txt", "favicon.ico"):
            path = os.path.join(self.memory_site.documents, name)
            self.assertEqual(self.memory_site.ask(f"/{name}").status, 200)
            write(path, b"of the user")
            answer = self.memory_site.ask(f"/{name}", headers={"Range": "bytes=0-1"})
            self.assertEqual((answer.status, answer.body), (206, b"of"))
            os.remove(path)
            os.mkdir(path)
            self.assertEqual(self.memory_site.ask(f"/{name}").status, 301)

    def test_nowhere_else(self) -> None:
        """Only the top of the document root has them, and they are not listed."""
        self.memory_site.load(self.frames)
        for path in ("/x/robots.txt", "/robots.txt/", "/robots.txt/x", "/Robots.txt"):
            self.assertEqual(self.memory_site.ask(path).status, 404, path)
        self.assertEqual(self.memory_site.ask("/images/robots.txt").status, 400)
        self.assertEqual(self.memory_site.ask("/?format=json").json["entries"], [])

    def test_private(self) -> None:
        """A private daemon asks robots away too, and tells nobody but who may read whether the
        document root has such a file.
        """
        memory_site = MemorySite(self.folder, private=True)
        without = memory_site.ask("/robots.txt")
        self.assertEqual(
            (without.status, without.body.decode("ascii")[-len(ROBOTS) :]), (200, ROBOTS)
        )
        write(os.path.join(memory_site.documents, "robots.txt"), b"of the user")
        self.assertEqual(memory_site.ask("/robots.txt").body, without.body)
        self.assertEqual(memory_site.ask("/robots.txt", headers=BEARER).body, b"of the user")
        wrong = memory_site.ask("/robots.txt?x", headers={"Authorization": "x"})
        self.assertEqual((wrong.status, wrong.body), (200, without.body))
        self.assertEqual(memory_site.ask("/other.txt").status, 401)
