"""Files and folders as readers get them."""

from __future__ import annotations

import os
from email import message_from_bytes
from email.utils import formatdate, parsedate_to_datetime
from typing import Any

from tests.fakes import MemorySite, write
from tests.host.this_machine import open_files
from tests.web.test_control import SiteCase

CORS = {
    "access-control-allow-origin",
    "access-control-expose-headers",
    "timing-allow-origin",
}
EXPOSED = "Accept-Ranges, Content-Disposition, Content-Length, Content-Range, ETag, Last-Modified"
SANDBOX = "sandbox; default-src 'none'; style-src 'unsafe-inline'"


class FileTests(SiteCase):
    def setUp(self) -> None:
        super().setUp()
        self.body = bytes(range(256)) * 4
        self.path = self.document("scan.nii.gz", self.body)

    def document(self, name: str, data: bytes = b"data") -> str:
        return write(os.path.join(self.memory_site.documents, name), data)

    def test_types(self) -> None:
        """Types are imgd's own, nothing has a Content-Encoding, and nothing may be sniffed."""
        for name, media_type, csp in [
            ("a.nii", "application/x-nifti", None),
            ("a.nii.gz", "application/gzip", None),
            ("a.dcm", "application/dicom", None),
            ("a.JPG", "image/jpeg", None),
            ("a.svg", "image/svg+xml", SANDBOX),
            ("a.html", "text/html; charset=utf-8", SANDBOX),
            ("a.xhtml", "application/xhtml+xml", SANDBOX),
            ("a.xml", "application/xml", SANDBOX),
            ("a.svgz.gz", "application/gzip", None),
            ("a.tar.Z", "application/octet-stream", None),
            ("noext", "application/octet-stream", None),
        ]:
            self.document(name)
            with self.subTest(name=name):
                answer = self.memory_site.ask(f"/{name}")
                self.assertEqual(answer.status, 200)
                self.assertEqual(answer.headers["content-type"], media_type)
                self.assertEqual(answer.headers.get("content-security-policy"), csp)
                self.assertEqual(answer.headers["x-content-type-options"], "nosniff")
                self.assertNotIn("content-encoding", answer.headers)

    def test_whole(self) -> None:
        """A file comes with its validators, its length and its bytes."""
        answer = self.memory_site.ask("/scan.nii.gz")
        self.assertEqual(answer.body, self.body)
        self.assertEqual(answer.headers["content-length"], "1024")
        self.assertEqual(answer.headers["accept-ranges"], "bytes")
        self.assertRegex(answer.headers["etag"], r'^"[0-9a-f]+-400-[0-9a-f]+"$')
        self.assertEqual(
            answer.headers["last-modified"],
            formatdate(os.stat(self.path).st_mtime, usegmt=True),
        )

    def test_head(self) -> None:
        """HEAD gives GET's headers and no body, for a file, a folder and an error."""
        for path in ("/scan.nii.gz", "/", "/missing", "/collections", "/health"):
            with self.subTest(path=path):
                get, head = self.memory_site.ask(path), self.memory_site.ask(path, "HEAD")
                self.assertEqual((head.status, head.body), (get.status, b""))
                self.assertEqual({**head.headers, "date": ""}, {**get.headers, "date": ""})

    def test_head_ignores_range(self) -> None:
        """Range is GET's alone: RFC 9110 section 14.2."""
        answer = self.memory_site.ask("/scan.nii.gz", "HEAD", {"Range": "bytes=0-9"})
        self.assertEqual((answer.status, answer.headers["content-length"]), (200, "1024"))

    def test_ranges(self) -> None:
        """One range, several, none that fits, and what is not understood."""
        for header, status, content_range, body in [
            ("bytes=0-0", 206, "bytes 0-0/1024", self.body[:1]),
            ("bytes=1000-", 206, "bytes 1000-1023/1024", self.body[1000:]),
            ("bytes=-5", 206, "bytes 1019-1023/1024", self.body[-5:]),
            ("bytes=-99999", 206, "bytes 0-1023/1024", self.body),
            ("bytes=1024-", 416, "bytes */1024", b""),
            ("bytes=-0", 416, "bytes */1024", b""),
            ("bytes=9-1", 200, None, self.body),
            ("lines=0-1", 200, None, self.body),
            ("bytes=" + ",".join(f"{i}-{i}" for i in range(17)), 200, None, self.body),
        ]:
            with self.subTest(header=header):
                answer = self.memory_site.ask("/scan.nii.gz", headers={"Range": header})
                self.assertEqual((answer.status, answer.body), (status, body))
                self.assertEqual(answer.headers.get("content-range"), content_range)
                self.assertEqual(answer.headers["access-control-allow-origin"], "*")

    def test_several_ranges(self) -> None:
        """Several ranges come as multipart/byteranges, of just the announced length."""
        answer = self.memory_site.ask("/scan.nii.gz", headers={"Range": "bytes=0-1,10-12,-3"})
        self.assertEqual(answer.status, 206)
        self.assertEqual(int(answer.headers["content-length"]), len(answer.body))
        kind = f"Content-Type: {answer.headers['content-type']}\r\n\r\n".encode()
        parts: Any = message_from_bytes(kind + answer.body).get_payload()
        self.assertEqual(
            [(p["Content-Range"], p.get_payload(decode=True)) for p in parts],
            [
                ("bytes 0-1/1024", self.body[:2]),
                ("bytes 10-12/1024", self.body[10:13]),
                ("bytes 1021-1023/1024", self.body[-3:]),
            ],
        )

    def test_conditions(self) -> None:
        """Preconditions are answered, with CORS and without a body."""
        first = self.memory_site.ask("/scan.nii.gz").headers
        tag, date = first["etag"], first["last-modified"]
        long_ago = "Mon, 01 Jan 2001 00:00:00 GMT"
        for headers, status in [
            ({"If-None-Match": tag}, 304),
            ({"If-None-Match": f'"x", W/{tag}'}, 304),
            ({"If-None-Match": "*"}, 304),
            ({"If-None-Match": '"x"'}, 200),
            ({"If-Modified-Since": date}, 304),
            ({"If-Modified-Since": long_ago}, 200),
            ({"If-None-Match": '"x"', "If-Modified-Since": date}, 200),
            ({"If-Match": tag}, 200),
            ({"If-Match": '"x"'}, 412),
            ({"If-Unmodified-Since": long_ago}, 412),
            ({"If-Range": '"x"', "Range": "bytes=0-1"}, 200),
            ({"If-Range": tag, "Range": "bytes=0-1"}, 206),
        ]:
            with self.subTest(headers=headers):
                answer = self.memory_site.ask("/scan.nii.gz", headers=headers)
                self.assertEqual(answer.status, status)
                self.assertEqual(answer.headers["access-control-allow-origin"], "*")
                self.assertEqual(answer.headers["access-control-expose-headers"], EXPOSED)
                self.assertEqual(answer.headers["etag"], tag)
                if status in (304, 412):
                    self.assertEqual(answer.body, b"")

    def test_same_404(self) -> None:
        """Missing, hidden and out of bounds look the same, and tell nothing of the host."""
        outside = write(os.path.join(self.folder, "outside.png"))
        write(self.memory_site.documents + "-sibling/secret.png")
        self.document(".env")
        self.document(".git/config.png")
        self.document("server.key")
        self.document("Server.PEM")
        self.document("images/hidden.png")
        os.symlink(outside, os.path.join(self.memory_site.documents, "link.png"))
        os.symlink("loop.png", os.path.join(self.memory_site.documents, "loop.png"))
        os.symlink("gone.png", os.path.join(self.memory_site.documents, "dangling.png"))
        os.mkfifo(os.path.join(self.memory_site.documents, "fifo.png"))
        os.symlink("/dev/zero", os.path.join(self.memory_site.documents, "zero.png"))
        expected = self.memory_site.ask("/missing")
        self.assertEqual((expected.status, expected.json), (404, {"detail": "Not found"}))
        for path in [
            *("/.env", "/.git/config.png", "/server.key", "/Server.PEM", "/link.png", "/loop.png"),
            *("/dangling.png", "/fifo.png", "/zero.png", "/..", "/../outside.png", "/%2e%2e/x"),
            *("/%2e%2e%2foutside.png", "/%252e%252e/outside.png", "/..%5coutside.png", "/a\\b"),
            *("/%c0%ae%c0%ae/outside.png", "/scan.nii.gz%00.png", "/scan.nii.gz/", "//scan.nii.gz"),
            *("/./scan.nii.gz", "/%zz", "/%", "/documents-sibling/secret.png", "/" + "n" * 300),
            *("/scan.nii.gz/x", "/%2fetc%2fpasswd", "/%69mages%2fhidden.png", "/-/nope", "/-/../x"),
        ]:
            with self.subTest(path=path):
                answer = self.memory_site.ask(path)
                self.assertEqual((answer.status, answer.body), (404, expected.body))
                self.assertEqual({*answer.headers} - CORS, {*expected.headers} - CORS)
                indexed = self.memory_site.ask(f"/-/files{path}")
                self.assertEqual((indexed.status, indexed.body), (404, expected.body))
                # What pages may read is told by the path alone, whatever is there.
                is_file = not (path.endswith("/") or path.startswith(("//", "/-/")))
                self.assertEqual("access-control-allow-origin" in answer.headers, is_file)

    def test_redirects_are_asked_for_again(self) -> None:
        """A folder may become a file: a redirect is not kept for ever."""
        self.document("folder/b.png")
        for path in ("/folder", "/images"):
            self.memory_site.load(os.path.dirname(self.path))
            answer = self.memory_site.ask(path)
            self.assertEqual((answer.status, answer.headers["cache-control"]), (301, "no-cache"))

    def test_dates(self) -> None:
        """Last-Modified is never later than the Date of the answer (RFC 9110 section 8.8.2.1)."""
        path = self.document("future.png")
        os.utime(path, (4e9, 4e9))
        for _ in range(50):
            for headers in ({}, {"TE": "trailers"}):  # by the fast path, and by the tree
                answer = self.memory_site.ask("/future.png", headers=headers)
                modified, date = (
                    parsedate_to_datetime(answer.headers[name])
                    for name in ("last-modified", "date")
                )
                self.assertLessEqual(modified, date)

    def test_link_inside(self) -> None:
        """A link that stays below the root is served; one that leaves only if that is set."""
        os.symlink(self.path, os.path.join(self.memory_site.documents, "again.nii.gz"))
        self.assertEqual(self.memory_site.ask("/again.nii.gz").body, self.body)
        folder = os.path.join(self.folder, "follows")
        memory_site = MemorySite(folder, follow_symlinks=True)
        os.symlink(self.path, os.path.join(memory_site.documents, "again.nii.gz"))
        key = write(os.path.join(memory_site.state_dir, "ca.png"))
        os.symlink(key, os.path.join(memory_site.documents, "key.png"))
        self.assertEqual(memory_site.ask("/again.nii.gz").body, self.body)
        self.assertEqual(memory_site.ask("/key.png").status, 404)

    def test_changed(self) -> None:
        """A file changed within the second, at the same size, has a new ETag and its new bytes."""
        os.utime(self.path, ns=(10**18, 10**18))
        first = self.memory_site.ask("/scan.nii.gz").headers["etag"]
        write(self.path, self.body[::-1])
        os.utime(self.path, ns=(10**18, 10**18 + 1))
        answer = self.memory_site.ask("/scan.nii.gz", headers={"If-None-Match": first})
        self.assertEqual((answer.status, answer.body), (200, self.body[::-1]))

    def test_descriptors(self) -> None:
        """No answer leaves a file open beyond the turn of the reactor that it is given in."""
        for headers in ({}, {"Range": "bytes=0-1"}, {"If-None-Match": "*"}, {"If-Match": '"x"'}):
            for method in ("GET", "HEAD"):
                self.memory_site.ask("/scan.nii.gz", method, headers)
        self.memory_site.ask("/link.png")
        self.memory_site.clock.advance(0)
        self.assertEqual([path for path in open_files() if path == os.path.realpath(self.path)], [])

    test_descriptors.skip = None if os.path.exists("/proc/self/fd") else "needs /proc"  # type: ignore[attr-defined]


class FolderTests(SiteCase):
    def setUp(self) -> None:
        super().setUp()
        for name in ("a.png", "b.nii.gz", "sub folder/c.txt", ".hidden"):
            write(os.path.join(self.memory_site.documents, name))

    def test_json(self) -> None:
        """A folder is JSON where it is asked for, with links that open."""
        for path, headers in [
            ("/?format=json", {}),
            ("/sub%20folder/?format=json", {}),
            ("/sub%20folder/", {"Accept": "application/json"}),
        ]:
            answer = self.memory_site.ask(path, headers=headers)
            self.assertEqual(answer.headers["content-type"], "application/json")
            for entry in answer.json["entries"]:
                base = path.partition("?")[0]
                self.assertEqual(
                    self.memory_site.ask(base + entry["url"].removeprefix("./")).status, 200
                )
        names = [e["name"] for e in self.memory_site.ask("/?format=json").json["entries"]]
        self.assertEqual(names, ["sub folder", "a.png", "b.nii.gz"])

    def test_page(self) -> None:
        """A person gets a page, that may load nothing but imgd's own."""
        for path, headers in [("/", {"Accept": "text/html,*/*;q=0.8"}), ("/sub%20folder/", {})]:
            answer = self.memory_site.ask(path, headers=headers)
            self.assertEqual(answer.headers["content-type"], "text/html; charset=utf-8")
            self.assertIn("default-src 'none'", answer.headers["content-security-policy"])
            self.assertNotIn(b"<script", answer.body)
            self.assertIn("Accept", answer.headers["vary"])

    def test_redirect(self) -> None:
        """A folder without its slash redirects, relatively, with its query."""
        self.memory_site.load(self.folder, recursive=True)
        for path, location in [
            ("/sub%20folder", "sub%20folder/"),
            ("/sub%20folder?sort=size", "sub%20folder/?sort=size"),
            ("/images", "images/"),
            ("/images/frames", "frames/"),
            ("/collections/current/files", "files/"),
        ]:
            answer = self.memory_site.ask(path)
            self.assertEqual((answer.status, answer.headers["location"]), (301, location))

    def test_bad_query(self) -> None:
        """A query that means nothing is a 400 that names the parameter."""
        for query, word in [("sort=x", "sort"), ("limit=0", "limit"), ("order=up", "order")]:
            self.assert_detail(self.memory_site.ask(f"/sub%20folder/?{query}"), 400, word)

    def test_error_page(self) -> None:
        """A person gets errors as pages too, with nothing of the request in them unescaped."""
        answer = self.memory_site.ask("/%3Cscript%3E", headers={"Accept": "text/html"})
        self.assertEqual(answer.status, 404)
        self.assertEqual(answer.headers["content-type"], "text/html; charset=utf-8")
        self.assertNotIn(b"<script", answer.body)

    def test_collection_pages(self) -> None:
        """Collections are listed as folders too: their images alone."""
        self.memory_site.load(self.frames)
        for base in ("/images/", "/collections/current/files/"):
            entries = self.memory_site.ask(base + "?format=json").json["entries"]
            self.assertEqual([e["name"] for e in entries], ["a.jpg", "b.png"])
