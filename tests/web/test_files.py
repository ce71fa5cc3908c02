"""Files, folders and headers as readers get them."""

from __future__ import annotations

import os
from email import message_from_bytes
from email.utils import formatdate, parsedate_to_datetime
from typing import Any

from tests.fakes import TOKEN, Answer, House, parse_answer, write
from tests.web.test_control import FAR, HouseCase

CORS = {"access-control-allow-origin", "access-control-expose-headers"}
EXPOSED = "Accept-Ranges, Content-Disposition, Content-Length, Content-Range, ETag, Last-Modified"
SANDBOX = "sandbox; default-src 'none'; style-src 'unsafe-inline'"


class FileTests(HouseCase):
    def setUp(self) -> None:
        super().setUp()
        self.body = bytes(range(256)) * 4
        self.path = self.document("scan.nii.gz", self.body)

    def document(self, name: str, data: bytes = b"data") -> str:
        return write(os.path.join(self.house.documents, name), data)

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
                answer = self.house.ask(f"/{name}")
                self.assertEqual(answer.status, 200)
                self.assertEqual(answer.headers["content-type"], media_type)
                self.assertEqual(answer.headers.get("content-security-policy"), csp)
                self.assertEqual(answer.headers["x-content-type-options"], "nosniff")
                self.assertNotIn("content-encoding", answer.headers)

    def test_whole(self) -> None:
        """A file comes with its validators, its length and its bytes."""
        answer = self.house.ask("/scan.nii.gz")
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
                get, head = self.house.ask(path), self.house.ask(path, "HEAD")
                self.assertEqual((head.status, head.body), (get.status, b""))
                self.assertEqual({**head.headers, "date": ""}, {**get.headers, "date": ""})

    def test_head_ignores_range(self) -> None:
        """Range is GET's alone: RFC 9110 section 14.2."""
        answer = self.house.ask("/scan.nii.gz", "HEAD", {"Range": "bytes=0-9"})
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
                answer = self.house.ask("/scan.nii.gz", headers={"Range": header})
                self.assertEqual((answer.status, answer.body), (status, body))
                self.assertEqual(answer.headers.get("content-range"), content_range)
                self.assertEqual(answer.headers["access-control-allow-origin"], "*")

    def test_several_ranges(self) -> None:
        """Several ranges come as multipart/byteranges, of just the announced length."""
        answer = self.house.ask("/scan.nii.gz", headers={"Range": "bytes=0-1,10-12,-3"})
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
        first = self.house.ask("/scan.nii.gz").headers
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
                answer = self.house.ask("/scan.nii.gz", headers=headers)
                self.assertEqual(answer.status, status)
                self.assertEqual(answer.headers["access-control-allow-origin"], "*")
                self.assertEqual(answer.headers["access-control-expose-headers"], EXPOSED)
                self.assertEqual(answer.headers["etag"], tag)
                if status in (304, 412):
                    self.assertEqual(answer.body, b"")

    def test_same_404(self) -> None:
        """Missing, hidden and out of bounds look the same, and tell nothing of the host."""
        outside = write(os.path.join(self.folder, "outside.png"))
        write(self.house.documents + "-sibling/secret.png")
        self.document(".env")
        self.document(".git/config.png")
        self.document("server.key")
        self.document("Server.PEM")
        self.document("images/hidden.png")
        os.symlink(outside, os.path.join(self.house.documents, "link.png"))
        os.symlink("loop.png", os.path.join(self.house.documents, "loop.png"))
        os.symlink("gone.png", os.path.join(self.house.documents, "dangling.png"))
        os.mkfifo(os.path.join(self.house.documents, "fifo.png"))
        os.symlink("/dev/zero", os.path.join(self.house.documents, "zero.png"))
        expected = self.house.ask("/missing")
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
                answer = self.house.ask(path)
                self.assertEqual((answer.status, answer.body), (404, expected.body))
                self.assertEqual({*answer.headers} - CORS, {*expected.headers} - CORS)
                # What pages may read is told by the path alone, whatever is there.
                is_file = not (path.endswith("/") or path.startswith(("//", "/-/")))
                self.assertEqual("access-control-allow-origin" in answer.headers, is_file)

    def test_redirects_are_asked_for_again(self) -> None:
        """A folder may become a file: a redirect is not kept for ever."""
        self.document("folder/b.png")
        for path in ("/folder", "/images"):
            self.house.load(os.path.dirname(self.path))
            answer = self.house.ask(path)
            self.assertEqual((answer.status, answer.headers["cache-control"]), (308, "no-cache"))

    def test_dates(self) -> None:
        """Last-Modified is never later than the Date of the answer (RFC 9110 section 8.8.2.1)."""
        path = self.document("future.png")
        os.utime(path, (4e9, 4e9))
        for _ in range(50):
            for headers in ({}, {"Connection": "close"}):  # by the fast path, and by the tree
                answer = self.house.ask("/future.png", headers=headers)
                modified, date = (
                    parsedate_to_datetime(answer.headers[name])
                    for name in ("last-modified", "date")
                )
                self.assertLessEqual(modified, date)

    def test_link_inside(self) -> None:
        """A link that stays below the root is served; one that leaves only if that is set."""
        os.symlink(self.path, os.path.join(self.house.documents, "again.nii.gz"))
        self.assertEqual(self.house.ask("/again.nii.gz").body, self.body)
        folder = os.path.join(self.folder, "follows")
        house = House(folder, follow_symlinks=True)
        os.symlink(self.path, os.path.join(house.documents, "again.nii.gz"))
        key = write(os.path.join(house.state_dir, "ca.png"))
        os.symlink(key, os.path.join(house.documents, "key.png"))
        self.assertEqual(house.ask("/again.nii.gz").body, self.body)
        self.assertEqual(house.ask("/key.png").status, 404)

    def test_changed(self) -> None:
        """A file changed within the second, at the same size, has a new ETag and its new bytes."""
        os.utime(self.path, ns=(10**18, 10**18))
        first = self.house.ask("/scan.nii.gz").headers["etag"]
        write(self.path, self.body[::-1])
        os.utime(self.path, ns=(10**18, 10**18 + 1))
        answer = self.house.ask("/scan.nii.gz", headers={"If-None-Match": first})
        self.assertEqual((answer.status, answer.body), (200, self.body[::-1]))

    def test_descriptors(self) -> None:
        """No answer leaves a file open beyond the turn of the reactor that it is given in."""
        before = len(os.listdir("/proc/self/fd"))
        for headers in ({}, {"Range": "bytes=0-1"}, {"If-None-Match": "*"}, {"If-Match": '"x"'}):
            for method in ("GET", "HEAD"):
                self.house.ask("/scan.nii.gz", method, headers)
        self.house.ask("/link.png")
        self.house.clock.advance(0)
        self.assertEqual(len(os.listdir("/proc/self/fd")), before)

    test_descriptors.skip = None if os.path.exists("/proc/self/fd") else "needs /proc"  # type: ignore[attr-defined]


class MethodTests(HouseCase):
    def test_other_methods(self) -> None:
        """Other methods are a 405 that says which are allowed; OPTIONS is a 204 with CORS."""
        self.house.load(self.frames)
        for path in ("/", "/images/a.jpg", "/collections", "/health", "/missing", "/-/style.css"):
            for method in ("PUT", "DELETE", "PATCH", "POST", "TRACE"):
                with self.subTest(path=path, method=method):
                    answer = self.house.ask(path, method)
                    self.assertEqual(answer.status, 405)
                    self.assertEqual(answer.headers["allow"], "GET, HEAD, OPTIONS")
            answer = self.house.ask(path, "OPTIONS")
            self.assertEqual((answer.status, answer.body), (204, b""))
            self.assertEqual(
                answer.headers["access-control-allow-methods"], "GET, HEAD, POST, OPTIONS"
            )
            self.assertEqual(
                answer.headers["access-control-allow-headers"],
                "Content-Type, Range, If-Range, If-None-Match, If-Modified-Since",
            )
            self.assertEqual(answer.headers["access-control-max-age"], "86400")
            is_file = path in ("/images/a.jpg", "/missing")
            self.assertEqual("access-control-allow-origin" in answer.headers, is_file)


class CorsTests(HouseCase):
    def test_listed(self) -> None:
        """With a list, a listed origin is named, others are not, and caches learn it."""
        house = House(os.path.join(self.folder, "c"), cors_origins=("https://viewer.example",))
        write(os.path.join(house.documents, "a.png"))
        for path in ("/a.png", "/missing", "/", "/a.png?x"):
            listed = house.ask(path, headers={"Origin": "https://viewer.example"})
            self.assertEqual(
                listed.headers["access-control-allow-origin"], "https://viewer.example"
            )
            for headers in ({}, {"Origin": "https://evil.example"}, {"Origin": "null"}):
                other = house.ask(path, headers=headers)
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

    def ask_all(self, house: House, path: str) -> list[Answer]:
        """GET, HEAD and a preflight, as a page of another origin sends them."""
        origin = {"Origin": "https://viewer.example"}
        return [house.ask(path, method, origin) for method in ("GET", "HEAD", "OPTIONS")]

    def filled(self, house: House) -> House:
        write(os.path.join(house.documents, "a.png"))
        write(os.path.join(house.documents, "folder", "b.png"))
        house.load(self.frames)
        return house

    def test_default(self) -> None:
        """Every page may read files, errors of files too, and nothing that lists them."""
        house = self.filled(self.house)
        for path in self.FILES:
            for answer in self.ask_all(house, path):
                self.assertEqual(answer.headers["access-control-allow-origin"], "*", path)
                self.assertEqual(answer.headers["cross-origin-resource-policy"], "cross-origin")
                self.assertEqual(answer.headers["access-control-expose-headers"], EXPOSED)
        for path in self.LISTS:
            for answer in self.ask_all(house, path):
                self.assertNotIn("access-control-allow-origin", answer.headers, path)
                self.assertEqual(answer.headers["cross-origin-resource-policy"], "same-origin")

    def test_everything(self) -> None:
        """With ``*`` in so many words, every page may read everything."""
        house = self.filled(House(os.path.join(self.folder, "c"), cors_origins=("*",)))
        for path in (*self.FILES, *self.LISTS):
            for answer in self.ask_all(house, path):
                self.assertEqual(answer.headers["access-control-allow-origin"], "*", path)


class HostTests(HouseCase):
    """DNS rebinding: a page whose own name leads here is of one origin with what answers."""

    OURS = ("localhost:8888", "localhost", "127.0.0.1:1", "[::1]:8888", "viewer.localhost")
    OTHERS = (
        "evil.example:8888",
        "localhost.evil.example",
        "0.0.0.0:8888",
        "[::]:8888",
        "10.1.1.1",
    )

    def setUp(self) -> None:
        super().setUp()
        names = ("localhost", "*.localhost", "127.0.0.1", "::1")
        self.bound = House(os.path.join(self.folder, "bound"), hosts=names)
        write(os.path.join(self.bound.documents, "a.png"))

    def status(self, host: str, path: str = "/a.png", method: str = "GET") -> int:
        return self.bound.ask(path, method, {"Host": host}).status

    def test_reads(self) -> None:
        """A read under a name that is none of ours is a 421, whatever it asks for and how often."""
        for path in ("/a.png", "/", "/health", "/collections", "/missing", "/-/ca.pem"):
            for method in ("GET", "HEAD"):
                for host in self.OTHERS:
                    for _ in range(2):
                        self.assertEqual(self.status(host, path, method), 421, (host, path))
        for host in self.OURS:
            self.assertEqual(self.status(host), 200, host)
        answer = self.bound.ask("/a.png", headers={"Host": "evil.example"})
        self.assertIn("--allow-host", answer.json["detail"])
        self.assertNotIn("access-control-allow-origin", answer.headers)

    def test_absolute(self) -> None:
        """The authority of an absolute URL counts."""
        self.assertEqual(self.bound.ask(b"http://evil.example/a.png").status, 421)
        self.assertEqual(self.bound.ask(b"http://localhost/a.png").status, 200)

    def test_public_url(self) -> None:
        """The host of a public URL is ours from then on, as a tunnel hands it through."""
        self.assertEqual(self.status("demo.example"), 421)
        self.bound.post("/public-url", {"url": "https://demo.example:1/x"})
        self.assertEqual(self.status("demo.example"), 200)

    def test_control(self) -> None:
        """Control has a rule of its own: with the token it may come under any name."""
        bearer = {"Authorization": f"Bearer {TOKEN}", "Host": "evil.example"}
        self.assertEqual(self.bound.post("/timeout/5", headers=bearer).status, 200)
        answer = self.bound.post("/timeout/5", headers={"Host": "evil.example"})
        self.assertEqual(answer.status, 403)

    def test_old(self) -> None:
        """HTTP/1.0 without a Host is no browser's."""
        transport = self.bound.connect()
        transport.protocol.dataReceived(b"GET /a.png HTTP/1.0\r\n\r\n")
        self.assertEqual(parse_answer(transport.value()).status, 200)

    def test_bound_elsewhere(self) -> None:
        """Where everybody reaches the daemon, every name will do."""
        for host in self.OTHERS:
            self.assertNotEqual(self.house.ask("/", headers={"Host": host}).status, 421)


class FolderTests(HouseCase):
    def setUp(self) -> None:
        super().setUp()
        for name in ("a.png", "b.nii.gz", "sub folder/c.txt", ".hidden"):
            write(os.path.join(self.house.documents, name))

    def test_json(self) -> None:
        """A folder is JSON where it is asked for, with links that open."""
        for path, headers in [
            ("/?format=json", {}),
            ("/sub%20folder/?format=json", {}),
            ("/sub%20folder/", {"Accept": "application/json"}),
        ]:
            answer = self.house.ask(path, headers=headers)
            self.assertEqual(answer.headers["content-type"], "application/json")
            for entry in answer.json["entries"]:
                base = path.partition("?")[0]
                self.assertEqual(self.house.ask(base + entry["url"].removeprefix("./")).status, 200)
        names = [e["name"] for e in self.house.ask("/?format=json").json["entries"]]
        self.assertEqual(names, ["sub folder", "a.png", "b.nii.gz"])

    def test_page(self) -> None:
        """A person gets a page, that may load nothing but imgd's own."""
        for path, headers in [("/", {"Accept": "text/html,*/*;q=0.8"}), ("/sub%20folder/", {})]:
            answer = self.house.ask(path, headers=headers)
            self.assertEqual(answer.headers["content-type"], "text/html; charset=utf-8")
            self.assertIn("default-src 'none'", answer.headers["content-security-policy"])
            self.assertNotIn(b"<script", answer.body)
            self.assertIn("Accept", answer.headers["vary"])

    def test_redirect(self) -> None:
        """A folder without its slash redirects, relatively, with its query."""
        self.house.load(self.folder, recursive=True)
        for path, location in [
            ("/sub%20folder", "sub%20folder/"),
            ("/sub%20folder?sort=size", "sub%20folder/?sort=size"),
            ("/images", "images/"),
            ("/images/frames", "frames/"),
            ("/collections/current/files", "files/"),
        ]:
            answer = self.house.ask(path)
            self.assertEqual((answer.status, answer.headers["location"]), (308, location))

    def test_bad_query(self) -> None:
        """A query that means nothing is a 400 that names the parameter."""
        for query, word in [("sort=x", "sort"), ("limit=0", "limit"), ("order=up", "order")]:
            self.assert_detail(self.house.ask(f"/sub%20folder/?{query}"), 400, word)

    def test_error_page(self) -> None:
        """A person gets errors as pages too, with nothing of the request in them unescaped."""
        answer = self.house.ask("/%3Cscript%3E", headers={"Accept": "text/html"})
        self.assertEqual(answer.status, 404)
        self.assertEqual(answer.headers["content-type"], "text/html; charset=utf-8")
        self.assertNotIn(b"<script", answer.body)

    def test_collection_pages(self) -> None:
        """Collections are listed as folders too: their images alone."""
        self.house.load(self.frames)
        for base in ("/images/", "/collections/current/files/"):
            entries = self.house.ask(base + "?format=json").json["entries"]
            self.assertEqual([e["name"] for e in entries], ["a.jpg", "b.png"])


class CollectionTests(HouseCase):
    def test_not_an_image(self) -> None:
        """What is no image is not served from a collection, and it is said so."""
        self.house.load(self.frames)
        self.assert_detail(self.house.ask("/images/notes.txt"), 400, "Not an image: notes.txt")
        self.assertEqual(self.house.ask("/images/.hidden.png").status, 404)

    def test_unknown(self) -> None:
        """An unknown collection is a 404."""
        for path in ("/collections/x", "/collections/x/images", "/collections/x/files/a.png"):
            self.assert_detail(self.house.ask(path), 404, "x")

    def test_pages(self) -> None:
        """Pages follow each other to the end; a wrong limit is refused."""
        self.house.load(self.frames)
        first = self.house.ask("/collections/current/images?limit=1").json
        self.assertEqual(first["count"], 2)
        self.assertEqual([i["name"] for i in first["images"]], ["a.jpg"])
        self.assertEqual(first["next"], "/collections/current/images?limit=1&after=a.jpg")
        second = self.house.ask(first["next"]).json
        self.assertEqual(([i["name"] for i in second["images"]], second["next"]), (["b.png"], None))
        [image] = second["images"]
        self.assertEqual((image["size"], image["media_type"]), (3, "image/png"))
        self.assertRegex(image["modified"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")
        for limit in ("0", "10001", "-1", "x", "1.0"):
            path = f"/collections/current/images?limit={limit}"
            self.assert_detail(self.house.ask(path), 400, "limit")
        self.assert_detail(self.house.ask("/collections/current/images?format=xml"), 400, "format")

    def test_ndjson(self) -> None:
        """Every image is streamed, one JSON object a line."""
        self.house.load(self.frames)
        answer = self.house.ask("/collections/current/images?format=ndjson")
        self.assertEqual(answer.headers["content-type"], "application/x-ndjson")
        self.assertEqual(answer.body.count(b"\n"), 2)

    def test_status(self) -> None:
        """The status has the older server's keys, in its formats."""
        empty = self.house.ask("/").json
        self.assertEqual(
            (empty["current_directory"], empty["image_count"], empty["image_list"]), (None, 0, [])
        )
        self.house.load(self.frames)
        self.house.clock.advance(0.5)
        status = self.house.ask("/").json
        self.assertEqual(status["current_directory"], self.frames)
        self.assertEqual(status["image_list"], ["a.jpg", "b.png"])
        self.assertRegex(status["load_time"], r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d$")
        self.assertRegex(status["auto_unload_at"], r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d$")
        self.assertEqual((status["timeout_minutes"], status["time_remaining"]), (30, "29m 59s"))
        self.assertFalse(status["image_list_truncated"])
        self.assertEqual(len(status["collections"]), 1)

    def test_missing_directory(self) -> None:
        """A directory that vanished is kept, told as not available, and served when it is back."""
        self.house.load(self.frames)
        os.rename(self.frames, self.frames + "-away")
        self.assertEqual(self.house.ask("/images/a.jpg").status, 404)
        self.assertFalse(self.house.ask("/collections/current").json["available"])
        os.rename(self.frames + "-away", self.frames)
        self.assertTrue(self.house.ask("/collections/current").json["available"])
        self.assertEqual(self.house.ask("/images/a.jpg").status, 200)

    def test_health_and_assets(self) -> None:
        """Health, the CA and imgd's own assets are there for everyone, and nothing below them."""
        status = self.house.ask("/health", peer=FAR).json
        self.assertEqual((status["status"], status["service"]), ("healthy", "image-server"))
        self.assertEqual(status["uptime_seconds"], 12.5)
        self.assertTrue(self.house.ask("/-/ca.pem").body.startswith(b"-----BEGIN CERTIFICATE"))
        self.assertEqual(self.house.ask("/-/style.css").status, 200)
        for path in ("/health/x", "/timeout/x/y", "/-/", "/-/x/style.css"):
            self.assertIn(self.house.ask(path).status, (404, 405), path)

    def test_access_log(self) -> None:
        """Each request is one line of the combined format, whatever it holds."""
        self.house.ask('/a%0Ab?c="d', headers={"User-Agent": 'x" y', "Referer": "z"})
        [line] = self.house.access_lines
        self.assertEqual(line.count("\n"), 0)
        self.assertIn('"GET /a%0Ab?c=\\x22d HTTP/1.1" 404', line)
        self.assertTrue(line.endswith('"z" "x\\x22 y"'), line)
