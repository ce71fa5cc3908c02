"""The page of the viewer: where it is, for whom, and under which policy."""

from __future__ import annotations

import os
import re
from urllib.parse import urljoin, urlsplit

from imgd.web import pages
from imgd.web.viewer import CSP
from tests.fakes import TOKEN, Answer, MemorySite, write
from tests.pictures.fake_pool import FakePool
from tests.web.test_control import FAR, SiteCase

BEARER = {"Authorization": f"Bearer {TOKEN}"}
HTML = {"Accept": "text/html"}
_URL = re.compile(r'(?:href|src|data-file|data-folder)="([^"#?]*)')


class ViewerCase(SiteCase):
    def setUp(self) -> None:
        super().setUp()
        self.pool = FakePool()
        self.memory_site = MemorySite(self.folder, picture_pool=self.pool)
        for path in ("a.nii", "b.png", "deep/c.dcm", "deep/x y#1?.nii.gz"):
            write(os.path.join(self.memory_site.documents, path))

    def view(self, path: str, **more: str) -> Answer:
        return self.memory_site.ask(f"/-/view{path}", headers={**HTML, **more})

    def urls(self, path: str, answer: Answer) -> set[str]:
        """The paths to which the page at this one leads, as a browser finds them."""
        base = f"https://h{path}"
        return {urlsplit(urljoin(base, url)).path for url in _URL.findall(answer.body.decode())}


class PageTests(ViewerCase):
    def test_found(self) -> None:
        """There is a page for each file and folder that may be read, and for nothing else."""
        self.memory_site.load(self.frames, name="f", recursive=True)
        self.memory_site.load(self.frames)
        for path, status in (
            *(("/a.nii", 200), ("/deep/c.dcm", 200), ("/", 200), ("/deep/", 200)),
            *(("/images/b.png", 200), ("/images/", 200), ("/images/notes.txt", 404)),
            *(("/collections/f/files/deep/c.nii.gz", 200), ("/collections/f/files/", 200)),
            *(("/collections/f/files/deep/", 200), ("/collections/f", 404), ("/collections/", 404)),
            *(("/nothing", 404), ("/nothing/", 404), ("/a.nii/", 404), ("/.hidden", 404)),
            *(("/health", 404), ("/-/style.css", 404), ("/-/view/a.nii", 404), ("//a.nii", 404)),
            *(("/-/files/a.nii", 404), ("/collections/none/files/a.nii", 404), ("/../a.nii", 404)),
            *(("/-/s/1.x/a.nii", 404), ("/%2e%2e/a.nii", 404), ("/a.nii%00", 404)),
        ):
            answer = self.view(path)
            self.assertEqual(answer.status, status, path)
            self.assertEqual(answer.headers["content-type"], "text/html; charset=utf-8", path)

    def test_prepared(self) -> None:
        """The page has what makes pictures start; a page that is not there has not."""
        self.view("/nothing")
        self.assertEqual(self.pool.prepared, 0)
        self.view("/a.nii")
        self.assertEqual(self.pool.prepared, 1)

    def test_other_spellings(self) -> None:
        """The path has one spelling; no other leads to a page, also of a private daemon."""
        private = MemorySite(self.folder, private=True, picture_pool=FakePool())
        for memory_site in (self.memory_site, private):
            for path in ("/-/%76iew/a.nii", "/%2d/view/a.nii", "/-/view%2fa.nii", "/-/view"):
                self.assertIn(memory_site.ask(path).status, (401, 404), path)

    def test_folders(self) -> None:
        """A folder without its last slash is redirected to the page with it."""
        self.memory_site.load(self.frames, name="f")
        self.memory_site.load(self.frames)
        for path, location in (
            *(("/deep", "deep/"), ("/images", "images/"), ("/collections/f/files", "files/")),
            ("/deep?3d", "deep/?3d"),
        ):
            answer = self.view(path)
            self.assertEqual((answer.status, answer.headers["location"]), (301, location), path)

    def test_methods(self) -> None:
        """It is read and nothing else; HEAD has the headers of GET."""
        page = self.view("/a.nii")
        head = self.memory_site.ask("/-/view/a.nii", "HEAD", HTML)
        self.assertEqual((head.status, head.body), (200, b""))
        self.assertEqual(head.headers["content-length"], page.headers["content-length"])
        self.assertEqual(self.memory_site.ask("/-/view/a.nii", "POST").status, 405)

    def test_policy(self) -> None:
        """Scripts come from imgd alone, none stands in the page, and no string becomes markup."""
        answer = self.view("/a.nii")
        self.assertEqual(answer.headers["content-security-policy"], CSP)
        for part in ("default-src 'none'", "script-src 'self';", "trusted-types-for 'script'"):
            self.assertIn(part, CSP)
        self.assertNotIn("unsafe", CSP)
        self.assertNotRegex(answer.body, rb"<script(?![^>]* src=)| on[a-z]+=| style=|<style")
        self.assertNotIn("access-control-allow-origin", answer.headers)
        self.assertEqual(answer.headers["cache-control"], "no-cache")
        self.assertEqual(answer.headers["referrer-policy"], "no-referrer")

    def test_urls(self) -> None:
        """Everything that the page names is relative to it, below a prefix too."""
        self.memory_site.load(self.frames, name="f", recursive=True)
        for path, file, folder in (
            ("/a.nii", "/a.nii", "/"),
            ("/deep/x%20y%231%3F.nii.gz", "/deep/x%20y%231%3F.nii.gz", "/deep/"),
            ("/deep/", "/deep/", "/"),
            ("/collections/f/files/b.png", "/collections/f/files/b.png", "/collections/f/files/"),
        ):
            answer = self.view(path)
            for prefix in ("", "/tunnel/x"):
                urls = self.urls(f"{prefix}/-/view{path}", answer)
                self.assertIn(prefix + file, urls)
                self.assertIn(prefix + folder, urls)
                self.assertIn(f"{prefix}/-/viewer.js", urls)
                self.assertTrue(all(url.startswith(f"{prefix}/") for url in urls), urls)

    def test_hint(self) -> None:
        """The page says what a file is by its name, so that its script asks at once."""
        for path, hint in (
            *(("/a.nii", "volume"), ("/b.png", "picture"), ("/deep/c.dcm", "dicom")),
            ("/deep/", "folder"),
        ):
            self.assertIn(f'data-hint="{hint}"'.encode(), self.view(path).body, path)

    def test_series(self) -> None:
        """There is a page for a series of DICOM, whose script asks for its files in their order;
        whether it is there, the script learns.
        """
        self.memory_site.load(self.frames, name="f")
        for path, status in (
            *(("1.2.3.nii", 200), ("1.2.3.json", 404), ("x.nii", 404), ("", 404), (".nii", 404)),
            *(("1.2.nii.nii", 404), ("1.2.nii/", 404), ("a/1.2.nii", 404), ("1.2.nii%00", 404)),
        ):
            self.assertEqual(self.view(f"/collections/f/dicom/{path}").status, status, path)
        self.assertEqual(self.view("/collections/none/dicom/1.2.3.nii").status, 404)
        self.assertEqual(self.view("/collections/f/dicom/1.2.3.nii?3d").status, 404)
        path = "/collections/f/dicom/1.2.3.nii"
        answer = self.view(path)
        self.assertEqual(answer.headers["content-security-policy"], CSP)
        self.assertIn(b'data-hint="series"', answer.body)
        urls = self.urls(f"/-/view{path}", answer)
        for url in (path, "/collections/f/dicom/", "/collections/f/files/"):
            self.assertIn(url, urls)
        text = answer.body.decode().partition("<noscript>")[2]
        self.assertIn(f'href="../../../../..{path}"', text)
        self.assertNotIn("<img", text)

    def test_without_script(self) -> None:
        """Without script there is a picture of the file, and a way to it."""
        text = self.view("/a.nii").body.decode().partition("<noscript>")[2]
        self.assertIn('<img src="../../a.nii?thumb=2048"', text)
        self.assertIn('href="../../a.nii"', text)

    def test_hostile_names(self) -> None:
        """A name with markup is text, in the title and in every attribute."""
        name = "<img src=x onerror=alert(1)>'\"&.png"
        write(os.path.join(self.memory_site.documents, name))
        quoted = "/%3Cimg%20src%3Dx%20onerror%3Dalert(1)%3E'%22&.png"
        answer = self.view(quoted)
        self.assertEqual(answer.status, 200)
        self.assertNotIn(b"<img src=x", answer.body)

    def test_no_pictures(self) -> None:
        """If imgd makes no pictures there is no viewer: the page says how to get them."""
        memory_site = MemorySite(self.folder)
        answer = memory_site.ask("/-/view/a.nii", headers=HTML)
        self.assertEqual(answer.status, 501)
        self.assertIn(b"imgd[pictures]", answer.body)
        self.assertEqual(memory_site.ask("/-/view/nothing").status, 404)

    def test_assets(self) -> None:
        """The script is text/javascript; it, and what it imports, is named with the edition."""
        self.assertIn(f"viewer.js?{pages.EDITION}".encode(), self.view("/a.nii").body)
        kind = self.memory_site.ask("/-/viewer.js").headers["content-type"]
        self.assertEqual(kind, "text/javascript; charset=utf-8")
        imported = set(pages.ASSETS) & {"viewer.js"}
        for name in pages.ASSETS:
            if name.endswith(".js"):
                text = self.memory_site.ask(f"/-/{name}").body.decode()
                found = re.findall(r" from '\./([a-z0-9_]+\.js)(.*)';", text)
                self.assertEqual({query for _, query in found} - {f"?{pages.EDITION}"}, set())
                imported |= {other for other, _ in found}
        scripts = {name for name in pages.ASSETS if name.endswith(".js")}
        self.assertEqual(scripts - imported, {"volume3d.js"})


class PrivateTests(ViewerCase):
    def setUp(self) -> None:
        super().setUp()
        self.memory_site = MemorySite(self.folder, private=True, picture_pool=FakePool())

    def link(self, path: str, *, prefix: bool = False) -> str:
        message = {"path": path, "prefix": prefix}
        url: str = self.memory_site.post("/links", message, headers=BEARER).json["url"]
        return url.removeprefix("https://localhost:8888")

    def status(self, path: str) -> int:
        return self.memory_site.ask(path, headers=HTML, peer=FAR).status

    def test_private(self) -> None:
        """A private daemon shows the page to the bearer of the token alone."""
        for path in ("/a.nii", "/nothing", "/deep/"):
            self.assertEqual(self.status(f"/-/view{path}"), 401)
        answer = self.view("/a.nii", **BEARER)
        self.assertEqual(
            (answer.status, answer.headers["cache-control"]), (200, "private, no-cache")
        )

    def test_signed(self) -> None:
        """A link to a file is good for its page, and for no other file's."""
        ticket = self.link("/deep/c.dcm").removesuffix("/deep/c.dcm")
        self.assertEqual(self.status(f"{ticket}/-/view/deep/c.dcm"), 200)
        for path in ("/a.nii", "/deep/", "/", "/deep/x%20y%231%3F.nii.gz", "/-/view/deep/c.dcm"):
            self.assertEqual(self.status(f"{ticket}/-/view{path}"), 403, path)
        for path in ("/-/viewer.js", "/-/viewer.css", "/-/style.css"):
            self.assertEqual(self.status(ticket + path), 200, path)

    def test_signed_folder(self) -> None:
        """A link to a folder is good for the page of everything below it."""
        ticket = self.link("/deep/", prefix=True).removesuffix("/deep/")
        for path, status in (("/deep/c.dcm", 200), ("/deep/", 200), ("/a.nii", 403), ("/", 403)):
            self.assertEqual(self.status(f"{ticket}/-/view{path}"), status, path)

    def test_neighbours(self) -> None:
        """The script is told to look for other files of the folder only if it may list them."""
        for prefix, expected in ((True, 1), (False, 0)):
            path = "/deep/" if prefix else "/deep/c.dcm"
            ticket = self.link(path, prefix=prefix).removesuffix(path)
            answer = self.memory_site.ask(f"{ticket}/-/view/deep/c.dcm", headers=HTML, peer=FAR)
            self.assertEqual(answer.body.count(b"data-has-folder"), expected)

    def test_urls(self) -> None:
        """What the page leads to stays below the link."""
        path = self.link("/-/view/deep/c.dcm")
        answer = self.memory_site.ask(path, headers=HTML, peer=FAR)
        ticket = path.partition("/-/view")[0]
        urls = self.urls(path, answer)
        self.assertIn(f"{ticket}/deep/c.dcm", urls)
        self.assertTrue(all(url.startswith(f"{ticket}/") for url in urls), urls)

    def test_link_to_the_page(self) -> None:
        """A link that is asked for a page covers the file that the page shows."""
        path = self.link("/-/view/a.nii")
        self.assertRegex(path, r"^/-/s/[^/]+/-/view/a\.nii$")
        self.assertEqual(self.status(path), 200)
        self.assertEqual(self.status(path.replace("/-/view", "")), 200)
        message = {"path": "/-/view/-/style.css"}
        self.assertEqual(self.memory_site.post("/links", message, headers=BEARER).status, 400)

    def test_form(self) -> None:
        """Who enters the token in place of the page is led to it by a link to the file's folder."""
        body = f"token={TOKEN}&path=/-/view/deep/c.dcm%23x".encode()
        headers = {
            "Content-Type": "application/x-www-form-urlencoded",
            "Sec-Fetch-Site": "same-origin",
        }
        headers["Content-Length"] = str(len(body))
        form = self.memory_site.ask("/-/token", "POST", headers, body)
        self.assertEqual(form.status, 303, form.body)
        location = urljoin("/-/token", form.headers["location"])
        self.assertRegex(location, r"^/-/s/[0-9]+-1\.[^/]+/-/view/deep/c\.dcm%23x$")
        self.assertEqual(self.status(location.removesuffix("%23x")), 200)
        self.assertEqual(self.status(location.removesuffix("%23x").replace("/-/view", "")), 200)
