"""Private reading and signed links, as their users meet them."""

from __future__ import annotations

import os
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred, fail
from twisted.trial.unittest import SynchronousTestCase

from imgd.errors import Unavailable
from imgd.web.signed_links import Links
from tests.fakes import TOKEN, MemorySite, write

BEARER = {"Authorization": f"Bearer {TOKEN}"}
FAR = "203.0.113.9"  # RFC 5737: documentation


class LinkCase(SynchronousTestCase):
    private = True

    def setUp(self) -> None:
        self.folder = os.path.realpath(self.mktemp())
        self.memory_site = MemorySite(self.folder, private=self.private)
        self.frames = os.path.join(self.folder, "frames")
        write(os.path.join(self.frames, "a.nii.gz"), b"volume")
        write(os.path.join(self.frames, "deep", "b.png"), b"png")
        write(os.path.join(self.memory_site.documents, "c.txt"), b"text")
        self.memory_site.load(self.frames, recursive=True)

    def link(self, path: str, **more: object) -> str:
        """The path of a new link."""
        answer = self.memory_site.post("/links", {"path": path, **more}, headers=BEARER, peer=FAR)
        self.assertEqual(answer.status, 200, answer.body)
        url: str = answer.json["url"]
        self.assertTrue(url.startswith("https://localhost:8888/-/s/"), url)
        return url.removeprefix("https://localhost:8888")

    def status(self, path: str, **more: Any) -> int:
        """What a far reader without a token gets."""
        return self.memory_site.ask(path, peer=FAR, **more).status


class PrivateTests(LinkCase):
    READS = ("/", "/c.txt", "/nothing", "/images/a.nii.gz", "/images/", "/collections",
             "/collections/current", "/collections/current/images", "/timeout", "/?format=json",
             "/collections/current/files/a.nii.gz", "/collections/current/images?format=ndjson",
             "/%2d/", "/images/../health", "//", "/load-directory", "/links")  # fmt: skip

    def test_reads(self) -> None:
        """Without a token every read is a 401 that tells nothing apart, from this machine too."""
        for path in self.READS:
            for method in ("GET", "HEAD"):
                for peer in (FAR, "127.0.0.1"):
                    with self.subTest(path=path, method=method, peer=peer):
                        answer = self.memory_site.ask(path, method, peer=peer)
                        self.assertEqual(answer.status, 401)
                        self.assertEqual(answer.headers["www-authenticate"], "Bearer")
                        shared = "access-control-allow-origin" in answer.headers
                        self.assertEqual(shared, not path.partition("?")[0].endswith("/"))
                        self.assertEqual(answer.headers["cache-control"], "no-store")

    def test_page(self) -> None:
        """A browser gets the same as a page."""
        answer = self.memory_site.ask("/", headers={"Accept": "text/html"}, peer=FAR)
        self.assertEqual((answer.status, answer.headers["www-authenticate"]), (401, "Bearer"))
        self.assertIn(b"signed link", answer.body)

    def test_token(self) -> None:
        """With the token everything reads as it does elsewhere; with a wrong one, nothing."""
        wrong = {"Authorization": "Bearer not-the-token-at-all"}
        for path in ("/", "/c.txt", "/images/a.nii.gz", "/collections", "/timeout"):
            self.assertEqual(self.memory_site.ask(path, headers=BEARER, peer=FAR).status, 200)
            self.assertEqual(self.memory_site.ask(path, headers=wrong).status, 401)
        self.assertEqual(self.memory_site.ask("/nothing", headers=BEARER).status, 404)

    def test_open(self) -> None:
        """Health, the CA certificate and imgd's own style stay open: they tell of no file."""
        for path in ("/health", "/-/ca.pem", "/-/style.css"):
            self.assertEqual(self.status(path), 200, path)

    def test_control(self) -> None:
        """Every POST needs the token, on this machine too."""
        for path, message in (
            *(("/timeout/5", None), ("/unload", None), ("/links/revoke", None)),
            *(("/links", {"path": "/c.txt"}), ("/public-url", {"url": None})),
            ("/load-directory", {"directory": self.folder}),
        ):
            for peer in ("127.0.0.1", FAR):
                self.assertEqual(self.memory_site.post(path, message, peer=peer).status, 403, path)
            self.assertEqual(self.memory_site.post(path, message, headers=BEARER).status, 200, path)

    def test_caches(self) -> None:
        """What only some may read is kept by no cache that others share."""
        for path in ("/c.txt", "/images/a.nii.gz", "/nothing", "/images"):
            answer = self.memory_site.ask(path, headers=BEARER)
            expected = "no-store" if answer.status == 404 else "private, no-cache"
            self.assertEqual(answer.headers["cache-control"], expected, path)
        page = self.memory_site.ask("/", headers={**BEARER, "Accept": "text/html"})
        self.assertEqual(page.headers["cache-control"], "private, no-cache")
        tag = {"If-None-Match": self.memory_site.ask("/c.txt", headers=BEARER).headers["etag"]}
        again = self.memory_site.ask("/c.txt", headers={**BEARER, **tag})
        self.assertEqual((again.status, again.headers["cache-control"]), (304, "private, no-cache"))

    def test_other_methods(self) -> None:
        """Without the token, what reads nothing is answered as elsewhere."""
        self.assertEqual(self.memory_site.ask("/c.txt", "OPTIONS", peer=FAR).status, 204)
        self.assertEqual(self.memory_site.ask("/c.txt", "POST", peer=FAR).status, 405)

    def test_no_oracle(self) -> None:
        """A file that is there and one that is not give the same answer, byte for byte."""
        there, missing = (self.memory_site.ask(p, peer=FAR) for p in ("/c.txt", "/d.txt"))
        self.assertEqual(there, missing)


class SignedTests(LinkCase):
    def test_file(self) -> None:
        """A link reads its file, in part too, and nothing else."""
        link = self.link("/images/a.nii.gz")
        self.assertTrue(link.endswith("/images/a.nii.gz"))
        self.assertEqual(self.memory_site.ask(link, peer=FAR).body, b"volume")
        part = self.memory_site.ask(link, headers={"Range": "bytes=0-2"}, peer=FAR)
        self.assertEqual((part.status, part.body), (206, b"vol"))
        self.assertEqual(part.headers["access-control-allow-origin"], "*")
        self.assertEqual(self.status(link, method="HEAD"), 200)
        self.assertEqual(self.status(link, method="OPTIONS"), 204)
        self.assertEqual(self.status(link, method="POST"), 405)
        self.assertEqual(self.status(link.replace("a.nii.gz", "deep/b.png")), 403)
        self.assertEqual(self.status(link.replace("/images/a.nii.gz", "/c.txt")), 403)

    def test_caches(self) -> None:
        """What a link reads is kept by no cache that others share, in a daemon that is open too."""
        for memory_site in (self.memory_site, MemorySite(os.path.join(self.folder, "open"))):
            write(os.path.join(memory_site.documents, "sub", "c.txt"), b"text")
            for path, prefix in (("/sub/c.txt", False), ("/sub/", True), ("/sub", False)):
                message = {"path": path, "prefix": prefix}
                url = memory_site.post("/links", message, headers=BEARER).json["url"]
                for headers in (
                    {"Accept": "text/html"},
                    {"Accept": "text/html", "Range": "bytes=0-1"},
                ):
                    answer = memory_site.ask(
                        url.removeprefix("https://localhost:8888"), headers=headers
                    )
                    self.assertIn(answer.status, (200, 206, 301))
                    self.assertEqual(answer.headers["cache-control"], "private, no-cache")

    def test_max_age(self) -> None:
        """Who may keep files for a time keeps those of a private daemon, and of links, alone."""
        for private in (True, False):
            folder = os.path.join(self.folder, f"aged-{private}")
            memory_site = MemorySite(folder, private=private, more={"max_age": 60})
            write(os.path.join(memory_site.documents, "sub", "c.txt"), b"text")
            message = {"path": "/sub/", "prefix": True}
            url = memory_site.post("/links", message, headers=BEARER).json["url"]
            link = url.removeprefix("https://localhost:8888")
            bearer = {**BEARER, "Accept": "text/html"} if private else {"Accept": "text/html"}
            whose = "private, " if private else ""
            for path, headers, said in (
                (f"{link}c.txt", {}, "private, max-age=60"),
                (f"{link}c.txt", {"Range": "bytes=0-0"}, "private, max-age=60"),
                (f"{link}c.txt", {"Range": "bytes=9-"}, "private, no-cache"),
                (link, {"Accept": "text/html"}, "private, no-cache"),
                ("/sub/c.txt", bearer, f"{whose}max-age=60"),
                ("/sub/", bearer, f"{whose}no-cache"),
                ("/missing", bearer, f"{whose}no-cache"),
            ):
                answer = memory_site.ask(path, headers=headers)
                self.assertEqual(answer.headers["cache-control"], said, (path, headers))

    def test_one_spelling(self) -> None:
        """A ticket with a zero before a number is none."""
        link = self.link("/images", prefix=True)
        for changed in (
            link.replace("/-/s/", "/-/s/0"),
            link.replace("-1.", "-01."),
            link.replace("-1.", "-001."),
        ):
            self.assertNotEqual(changed, link)
            self.assertEqual(self.status(changed), 403, changed)
        root = self.link("/", prefix=True)
        self.assertEqual(self.status(root), 200)
        self.assertEqual(self.status(root.replace("-0.", "-00.")), 403)

    def test_a_week(self) -> None:
        """Without the token, a link lives a week at most: no stranger opens a daemon for long."""
        memory_site = MemorySite(os.path.join(self.folder, "open"))
        for expires, expected in (
            ("7d", 200),
            ("1w", 200),
            (604_801, 403),
            ("8d", 403),
            ("520w", 403),
        ):
            message = {"path": "/", "prefix": True, "expires": expires}
            self.assertEqual(memory_site.post("/links", message).status, expected, expires)
            self.assertEqual(
                memory_site.post("/links", message, headers=BEARER).status, 200, expires
            )
        self.assertIn("week", memory_site.post("/links", message).json["detail"])

    def test_prefix(self) -> None:
        """A link to a folder reads its listing, its style, and what is below."""
        link = self.link("/images", prefix=True)
        self.assertEqual(self.memory_site.ask(link + "deep/b.png", peer=FAR).body, b"png")
        page = self.memory_site.ask(link, headers={"Accept": "text/html"}, peer=FAR)
        self.assertEqual(page.status, 200)
        self.assertIn(b'href="a.nii.gz"', page.body)
        style = link.removesuffix("images/") + "-/style.css"
        self.assertEqual(self.status(style), 200)
        self.assertEqual(self.memory_site.ask(link + "deep", peer=FAR).headers["location"], "deep/")
        self.assertEqual(self.status(link.removesuffix("images/") + "c.txt"), 403)

    def test_everything(self) -> None:
        """A link to the root reads all there is, by the one URL map, and controls nothing."""
        link = self.link("/", prefix=True)
        for path, expected in (("", 200), ("c.txt", 200), ("images/a.nii.gz", 200), ("none", 404),
                             ("collections/current/images", 200), ("timeout", 200),
                             ("load-directory", 405), ("links", 405), (".hidden", 404),
                             ("..%2f..%2fetc/passwd", 404), ("../../etc/passwd", 404)):  # fmt: skip
            self.assertEqual(self.status(link + path), expected, path)
        self.assertEqual(self.status(link + "timeout/5", method="POST"), 405)

    def test_no_nesting(self) -> None:
        """A link leads to no other link, however it is written, and ``/-/s`` alone to nothing."""
        link = self.link("/", prefix=True)
        inner = self.link("/c.txt")
        for path in (link[:-1] + inner, link + "-/%73" + inner[4:], link + "%2d/s" + inner[4:],
                     "/-/s", "/-/%73" + inner[4:]):  # fmt: skip
            self.assertEqual(self.status(path), 404, path)
        self.assertEqual(self.status("/-/s/"), 403)
        self.assertEqual(self.status("/-/s/x"), 403)

    def test_expiry(self) -> None:
        """An expired link says so, with CORS, and the file system is not asked."""
        link = self.link("/images/a.nii.gz", expires="1m")
        self.memory_site.clock.advance(59)
        self.assertEqual(self.status(link), 200)
        self.memory_site.clock.advance(1)
        answer = self.memory_site.ask(link, peer=FAR)
        self.assertEqual((answer.status, answer.headers["access-control-allow-origin"]), (410, "*"))
        self.assertIn("expired", answer.json["detail"])

    def test_revoke(self) -> None:
        """Revoking makes every link wrong, and new ones are good."""
        link = self.link("/c.txt")
        self.assertEqual(self.memory_site.post("/links/revoke", peer=FAR).status, 403)
        self.assertEqual(self.status(link), 200)
        self.assertEqual(
            self.memory_site.post("/links/revoke", headers=BEARER, peer=FAR).status, 200
        )
        self.assertEqual(self.status(link), 403)
        self.assertEqual(self.status(self.link("/c.txt")), 200)

    def test_revoke_fails(self) -> None:
        """Where the new key cannot be kept, the answer says so."""
        links = Links(b"k" * 32, lambda: fail(Unavailable("no room")))
        self.failureResultOf(_run(links), Unavailable)

    def test_url(self) -> None:
        """A URL that was handed out becomes a link to the same, its query with it."""
        for url in ("https://localhost:8888/images/a.nii.gz?download",
                    "http://elsewhere.example/images/a.nii.gz?download"):  # fmt: skip
            answer = self.memory_site.post("/links", {"url": url}, headers=BEARER)
            self.assertRegex(answer.json["url"], r"/-/s/\d+\.[\w-]+/images/a\.nii\.gz\?download$")
        self.assertEqual(answer.json["expires_at"], "2027-01-15T09:00:00Z")
        link = answer.json["url"].removeprefix("https://localhost:8888")
        saved = self.memory_site.ask(link, peer=FAR).headers["content-disposition"]
        self.assertEqual(saved, 'attachment; filename="a.nii.gz"')

    def test_public(self) -> None:
        """A link has the public base, and a URL below it is understood."""
        self.memory_site.urls.public = "https://demo.example/imgd"
        url = "https://demo.example/imgd/images/a.nii.gz"
        made = self.memory_site.post("/links", {"url": url}, headers=BEARER).json["url"]
        self.assertRegex(made, r"^https://demo\.example/imgd/-/s/[^/]+/images/a\.nii\.gz$")

    def test_wrong_requests(self) -> None:
        """Each wrong request is a 400 that says what is wrong."""
        path: dict[str, object] = {"path": "/a"}
        bodies: tuple[object, ...] = (
            *({}, [], {"path": "a"}, {"path": "/../a"}, {"path": "/-/ca.pem"}, {"path": 5}),
            *({**path, "url": "https://a/b"}, {**path, "expires": 0}, {**path, "expires": "soon"}),
            *({**path, "prefix": "yes"}, {"path": "/a#b\n"}, {"url": "ftp://a/b"}, {"url": "b"}),
            *({"url": "https://u@a/b"}, {"url": "https://a?b"}, {"url": "https://a/b#c"}),
        )
        for message in bodies:
            answer = self.memory_site.post("/links", message, headers=BEARER)
            self.assertEqual((answer.status, list(answer.json)), (400, ["detail"]), message)
        self.assertEqual(self.memory_site.post("/links", {"path": "/a"}, peer=FAR).status, 403)

    def test_log(self) -> None:
        """The access log names what was read, and gives no link away."""
        link = self.link("/c.txt")
        signature = link.split("/")[3].partition(".")[2]
        self.memory_site.ask(link, peer=FAR, headers={"Referer": "https://localhost:8888" + link})
        self.assertIn("/c.txt", self.memory_site.access_lines[-1])
        self.assertNotIn(signature, "\n".join(self.memory_site.access_lines))

    @settings(deadline=None, database=None, max_examples=60)
    @given(st.binary(max_size=60), st.sampled_from(["", "1900000000."]))
    def test_forgeries(self, data: bytes, start: str) -> None:
        """No bytes at all make a link that was not signed."""
        segment = start + data.hex()
        self.assertIn(self.status(f"/-/s/{segment}/c.txt"), (403,))


class OpenTests(LinkCase):
    private = False

    def test_links(self) -> None:
        """Where reading is open, links work as well, and wrong ones do not."""
        link = self.link("/c.txt")
        self.assertEqual(self.status(link), 200)
        self.assertEqual(self.status(link.replace("c.txt", "d.txt")), 403)
        self.assertEqual(self.status("/c.txt"), 200)


def _run(links: Links) -> Deferred[None]:
    return Deferred.fromCoroutine(links.revoke())
