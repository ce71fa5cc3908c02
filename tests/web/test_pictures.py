"""``?thumb``, ``?slice``, ``?mosaic`` and ``?info`` of files, as their readers get them."""

from __future__ import annotations

import os
import time
from email.utils import formatdate
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from imgd.errors import ImgdError, Unavailable
from imgd.pictures.views import View, ViewKind
from imgd.web.fast_path import DisabledFastPath
from imgd.web.pictures import file_name
from tests.fakes import TOKEN, Answer, MemorySite, record_log, write
from tests.host.this_machine import open_files
from tests.pictures.fake_pool import FakePool
from tests.web.test_fast_path import use_fast_path

LATER = 60.0  # seconds, after which a file has rested
LARGE = bytes(range(256)) * 1024


class PictureCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = os.path.abspath(self.mktemp())
        self.pool = FakePool()
        self.memory_site = self.site()
        self.path = self.document("a.jpg", b"some bytes")

    def site(self, **more: Any) -> MemorySite:
        return MemorySite(self.folder, picture_pool=self.pool, **more)

    def document(self, name: str, data: bytes = b"data") -> str:
        return write(os.path.join(self.memory_site.documents, name), data)

    def ask(self, target: str, *args: Any, **more: Any) -> Answer:
        return self.memory_site.ask(target, *args, **more)


class AnswerTests(PictureCase):
    def test_picture(self) -> None:
        """A picture comes with its own type, length and tag, and the age and rules of its file."""
        of_file, answer = self.ask("/a.jpg"), self.ask("/a.jpg?thumb=300")
        self.assertEqual(answer.status, 200)
        self.assertEqual(answer.body, b"some bytes " + View(ViewKind.THUMB, 512).key())
        self.assertEqual(answer.headers["content-type"], "image/jpeg")
        self.assertEqual(answer.headers["content-length"], str(len(answer.body)))
        self.assertRegex(answer.headers["etag"], '^"[0-9a-f]{32}"$')
        self.assertEqual(answer.headers["content-disposition"], 'inline; filename="a-thumb.jpg"')
        for name in (
            *("last-modified", "cache-control", "accept-ranges", "access-control-allow-origin"),
            *("access-control-expose-headers", "x-content-type-options"),
            "cross-origin-resource-policy",
        ):
            self.assertEqual(answer.headers[name], of_file.headers[name])

    def test_made_once(self) -> None:
        """What was made once comes from the cache, for every size that means the same."""
        answers = [self.ask(f"/a.jpg?thumb={size}") for size in ("", "256", "1", "0100")]
        self.assertEqual(len({answer.body for answer in answers}), 1)
        self.assertEqual(len(self.pool.views), 1)

    def test_changed_file(self) -> None:
        """A file that was written again has another picture with another tag."""
        before = self.ask("/a.jpg?thumb")
        self.document("a.jpg", b"others")
        after = self.ask("/a.jpg?thumb")
        self.assertEqual(after.body[:6], b"others")
        self.assertNotEqual(before.headers["etag"], after.headers["etag"])

    def test_head(self) -> None:
        """HEAD has GET's headers."""
        get, head = self.ask("/a.jpg?thumb"), self.ask("/a.jpg?thumb", "HEAD")
        self.assertEqual((head.status, head.body), (200, b""))
        self.assertEqual({**head.headers, "date": ""}, {**get.headers, "date": ""})

    def test_conditions(self) -> None:
        """Conditions and ranges work as on files."""
        whole = self.ask("/a.jpg?thumb")
        tag = whole.headers["etag"]
        for headers, status, body in (
            ({"If-None-Match": tag}, 304, b""),
            ({"If-None-Match": f'"x", W/{tag}'}, 304, b""),
            ({"If-None-Match": "*"}, 304, b""),
            ({"If-None-Match": '"x"'}, 200, whole.body),
            ({"If-Match": '"x"'}, 412, b""),
            ({"If-None-Match": tag, "If-Match": '"x"'}, 412, b""),
            ({"If-Modified-Since": whole.headers["last-modified"]}, 304, b""),
            ({"Range": "bytes=5-7"}, 206, whole.body[5:8]),
            ({"Range": "bytes=5-7", "If-Range": tag}, 206, whole.body[5:8]),
            ({"Range": "bytes=5-7", "If-Range": '"x"'}, 200, whole.body),
            ({"Range": "bytes=5000-"}, 416, b""),
        ):
            with self.subTest(headers=headers):
                answer = self.ask("/a.jpg?thumb", headers=headers)
                self.assertEqual((answer.status, answer.body), (status, body))

    def test_known_picture(self) -> None:
        """A client that has the picture is told so, and it is not made again for that."""
        tag = self.ask("/a.jpg?thumb").headers["etag"]
        self.memory_site = self.site(picture_cache=0)
        self.assertEqual(self.ask("/a.jpg?thumb", headers={"If-None-Match": tag}).status, 304)
        self.assertEqual(len(self.pool.views), 1)

    def test_large(self) -> None:
        """A large picture is sent from its file in the cache, or, if there is none, from memory."""
        self.pool.body = LARGE
        for limit in (10_000_000, 0):
            self.memory_site = self.site(picture_cache=limit)
            for _ in range(2):
                self.assertEqual(self.ask("/a.jpg?slice=axial").body, LARGE)
            part = self.ask("/a.jpg?slice=axial", headers={"Range": "bytes=200000-200003"})
            self.assertEqual((part.status, part.body), (206, LARGE[200000:200004]))
        self.assertEqual(len(self.pool.views), 1 + 3)

    def test_max_age(self) -> None:
        """--max-age holds for pictures, too."""
        self.memory_site = self.site(more={"max_age": 300})
        self.assertEqual(self.ask("/a.jpg?thumb").headers["cache-control"], "max-age=300")

    def test_download(self) -> None:
        """With ?download a browser saves it, under a name that says what it is."""
        answer = self.ask("/a.jpg?slice=coronal:7&download")
        self.assertEqual(
            answer.headers["content-disposition"], 'attachment; filename="a-coronal-7.jpg"'
        )

    def test_file_names(self) -> None:
        """A picture's name is its file's without suffixes, with what is seen and its own suffix."""
        for source, view, media_type, name in (
            ("scan.nii.gz", View(ViewKind.SLICE, index=150), "image/png", "scan-axial-150.png"),
            ("scan.nii.gz", View(ViewKind.SLICE), "image/png", "scan-axial-middle.png"),
            ("b.NII.GZ", View(ViewKind.MOSAIC), "image/jpeg", "b-mosaic.jpg"),
            ("IM0001", View(ViewKind.INFO), "application/json", "IM0001-info.json"),
            ("1.2.840.5", View(ViewKind.THUMB), "image/png", "1.2.840.5-thumb.png"),
        ):
            self.assertEqual(file_name(source, view, media_type), name)

    def test_bad_view(self) -> None:
        """A view that is no view gets 400 with the key at fault, and nothing is made."""
        for query, word in (
            ("thumb=big", "'thumb'"),
            ("slice=front", "'slice'"),
            ("slice=axial:x", "'slice'"),
            ("slice=axial&window=1", "'window'"),
            ("mosaic=100x100", "'mosaic'"),
            ("thumb&info", "thumb and info"),
        ):
            answer = self.ask(f"/a.jpg?{query}")
            self.assertEqual(answer.status, 400)
            self.assertIn(word, answer.json["detail"])
        self.assertEqual(self.pool.asked, [])

    def test_other_queries(self) -> None:
        """Any other query leaves the file as it is."""
        for query in ("v=2", "thumbs", "download", "x=thumb", "", "information"):
            self.assertEqual(self.ask(f"/a.jpg?{query}").body, b"some bytes")

    def test_missing(self) -> None:
        """What is not there, or hidden, is a 404 as without the query."""
        self.document(".secret.jpg")
        for path in ("/none.jpg", "/.secret.jpg", "/a.jpg/b", "/..%2fa.jpg"):
            self.assertEqual(self.ask(f"{path}?thumb").status, 404)

    def test_folder(self) -> None:
        """A folder has no picture: it is listed as ever, or redirected to with the query."""
        self.document("sub/b.jpg")
        answer = self.ask("/sub/?thumb", headers={"Accept": "text/html"})
        self.assertIn(b"b.jpg", answer.body)
        answer = self.ask("/sub?thumb")
        self.assertEqual((answer.status, answer.headers["location"]), (301, "sub/?thumb"))

    def test_mounts(self) -> None:
        """Pictures are below /-/files/, /images/ and collections too, of one file made once."""
        directory = os.path.join(self.folder, "frames")
        write(os.path.join(directory, "f.png"), b"frame")
        write(os.path.join(directory, "notes.txt"))
        self.memory_site.load(directory)
        self.memory_site.load(directory, name="more")
        for path in ("/images/f.png", "/collections/more/files/f.png", "/-/files/a.jpg"):
            self.assertEqual(self.ask(f"{path}?thumb").status, 200, path)
        self.assertEqual(len(self.pool.views), 2)
        missing = self.ask("/images/none.png?thumb")
        self.assertEqual(
            (missing.status, missing.json["detail"]), (404, "Image not found: none.png")
        )
        self.assertEqual(self.ask("/images/notes.txt?thumb").status, 400)


class ErrorTests(PictureCase):
    def test_errors(self) -> None:
        """A picture that cannot be made gets the status of the reason, as JSON or as a page."""
        for status in (400, 413, 415, 422):
            self.document(f"{status}.jpg")
            self.pool.error = ImgdError.of(status, "Because of this.")
            for accept, kind in (("*/*", "application/json"), ("text/html", "text/html")):
                answer = self.ask(f"/{status}.jpg?thumb", headers={"Accept": accept})
                self.assertEqual(answer.status, status)
                self.assertIn(b"Because of this.", answer.body)
                self.assertTrue(answer.headers["content-type"].startswith(kind))

    def test_busy(self) -> None:
        """Too many waiting is a 503 with Retry-After, and the next one is tried."""
        self.pool.error = Unavailable("Too many pictures are waiting.")
        answer = self.ask("/a.jpg?thumb")
        self.assertEqual((answer.status, answer.headers["retry-after"]), (503, "5"))
        self.pool.error = None
        self.assertEqual(self.ask("/a.jpg?thumb").status, 200)

    def test_not_offered(self) -> None:
        """Without the extra each view is a 501 that says how to get it, and files are served."""
        self.memory_site = MemorySite(self.folder)
        for query in ("thumb", "slice=axial", "mosaic", "info"):
            answer = self.ask(f"/a.jpg?{query}")
            self.assertEqual(answer.status, 501)
            self.assertIn('pip install "imgd[pictures]"', answer.json["detail"])
        self.assertEqual(self.ask("/a.jpg").status, 200)

    def test_client_goes(self) -> None:
        """A client that has gone leaves the queue, and its file is closed."""
        self.pool.held = True
        transport = self.memory_site.connect()
        request = b"GET /a.jpg?thumb HTTP/1.1\r\nHost: localhost:8888\r\n\r\n"
        transport.protocol.dataReceived(request)
        self.assertEqual(len(self.pool.views), 1)
        transport.lose()
        self.assertEqual(self.pool.cancelled, 1)

    def test_descriptors(self) -> None:
        """Whatever the answer is, no file stays open after it."""
        self.document("b.hdr", b"header")
        self.document("b.img", b"voxels")
        self.pool.companions = ["b.img"]
        tag = self.ask("/a.jpg?thumb").headers["etag"]
        before = open_files()
        for target, method, headers in (
            ("/a.jpg?thumb", "GET", {}),
            ("/a.jpg?thumb", "HEAD", {}),
            ("/a.jpg?thumb", "GET", {"If-None-Match": tag}),
            ("/a.jpg?thumb", "GET", {"If-Match": '"x"'}),
            ("/a.jpg?thumb", "GET", {"Range": "bytes=9999-"}),
            ("/b.hdr?thumb", "GET", {}),
            ("/none.jpg?thumb", "GET", {}),
        ):
            self.ask(target, method, headers)
        self.pool.companions = ["none.img"]
        self.document("b.hdr", b"another header")
        self.pool.error = ImgdError.of(415, "It is no picture by itself.")
        self.assertIn("none.img", self.ask("/b.hdr?thumb").json["detail"])
        self.pool.error = None
        self.pool.body = LARGE
        for method in ("GET", "HEAD", "GET"):
            self.ask("/a.jpg?slice=axial", method)
        self.pool.error = ImgdError.of(415, "No.")
        self.ask("/a.jpg?info")
        self.assertEqual(open_files(), before)

    def test_bug(self) -> None:
        """A bug of the pool is a 500 without a word of it, and is logged."""
        record_log(self)
        self.pool.error = ValueError("/secret/path")  # type: ignore[assignment]
        answer = self.ask("/a.jpg?thumb")
        self.assertEqual(answer.status, 500)
        self.assertNotIn(b"secret", answer.body)
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)

    def close_side(self, query: str, *, early: bool) -> bytes:
        """What a client gets that closes its side after its request, perhaps before the disk has
        answered; the picture is not made meanwhile.
        """
        self.pool.held, self.memory_site.blocking.held = True, early
        transport = self.memory_site.connect()
        request = f"GET /a.jpg?{query} HTTP/1.1\r\nHost: localhost:8888\r\n\r\n"
        transport.protocol.dataReceived(request.encode())
        transport.protocol.readConnectionLost()
        self.memory_site.blocking.held = False
        while self.memory_site.blocking.waiting:
            self.memory_site.blocking.release()
        return bytes(transport.value())

    def test_closed_side(self) -> None:
        """A client that closes its side has gone, if its picture must be made."""
        for early in (False, True):
            self.assertEqual(self.close_side("thumb=1024", early=early), b"")
            self.assertEqual(self.pool.cancelled, len(self.pool.asked))
        self.assertTrue(self.pool.asked)

    def test_closed_side_made(self) -> None:
        """A client that closes its side gets a picture that was made before."""
        self.ask("/a.jpg?thumb")
        for early in (False, True):
            answer = self.close_side("thumb", early=early)
            self.assertTrue(answer.startswith(b"HTTP/1.1 200 OK"), answer)


class PrivateTests(PictureCase):
    def test_private(self) -> None:
        """If reading is private, pictures are: the token or a link to the file shows them."""
        self.memory_site = self.site(private=True)
        self.assertEqual(self.ask("/a.jpg?thumb").status, 401)
        bearer = {"Authorization": f"Bearer {TOKEN}"}
        answer = self.ask("/a.jpg?thumb", headers=bearer)
        self.assertEqual(answer.status, 200)
        self.assertEqual(answer.headers["cache-control"], "private, no-cache")
        made = self.memory_site.post("/links", {"path": "/a.jpg"}, headers=bearer)
        link = "/" + made.json["url"].split("/", 3)[3]
        for query in ("?thumb", "?info"):
            self.assertEqual(self.ask(link + query).status, 200)
        self.assertEqual(self.ask(link.replace("a.jpg", "b.jpg") + "?thumb").status, 403)

    def test_signed_is_not_shared(self) -> None:
        """What a link showed is not answered to others by the fast path, nor under its URL once it
        has expired.
        """
        self.fast_path = use_fast_path(self.memory_site, later=LATER)
        made = self.memory_site.post("/links", {"path": "/a.jpg"})
        link = "/" + made.json["url"].split("/", 3)[3] + "?thumb"
        for _ in range(3):
            self.assertEqual(self.ask(link).headers["cache-control"], "private, no-cache")
        self.assertEqual(self.fast_path.count, 0)
        self.memory_site.wall.offset += 8 * 86400
        self.assertEqual(self.ask(link).status, 410)


class FastPathTests(PictureCase):
    def setUp(self) -> None:
        super().setUp()
        self.fast_path = use_fast_path(self.memory_site, later=LATER)

    def raw(self, target: str, headers: str = "", method: str = "GET") -> bytes:
        """The answer's bytes but for its date."""
        transport = self.memory_site.connect()
        head = f"{method} {target} HTTP/1.1\r\nHost: localhost:8888\r\n{headers}\r\n"
        transport.protocol.dataReceived(head.encode("ascii"))
        self.memory_site.clock.advance(0)
        lines = transport.value().split(b"\r\n")
        return b"\r\n".join(sorted(line for line in lines if not line.startswith(b"Date: ")))

    def test_second_time(self) -> None:
        """A small picture is answered by the fast path from the second time on, with the very bytes
        of the tree, whole, in part, and to conditions.
        """
        for target in (
            "/a.jpg?thumb",
            "/a.jpg?slice=axial:3&window=40,400&x=%20",
            "/-/files/a.jpg?info",
        ):
            tag = self.ask(target, "HEAD").headers["etag"]
            self.memory_site.site.file_cache, cache = None, self.memory_site.site.file_cache
            fast_path, self.memory_site.site.fast_path = self.fast_path, DisabledFastPath()
            asked = [
                ("", "GET"),
                ("", "HEAD"),
                ("Range: bytes=2-9\r\n", "GET"),
                ("Range: bytes=0-1,4-5\r\n", "GET"),
                (f"If-None-Match: {tag}\r\n", "GET"),
                (f"If-Modified-Since: {formatdate(time.time() + LATER, usegmt=True)}\r\n", "GET"),
                ("Origin: https://viewer.example\r\n", "GET"),
            ]
            by_tree = [self.raw(target, headers, method) for headers, method in asked]
            self.memory_site.site.fast_path = fast_path  # type: ignore[assignment]
            self.memory_site.site.file_cache = cache
            before = self.fast_path.count
            by_fast_path = [self.raw(target, headers, method) for headers, method in asked]
            self.assertEqual(self.fast_path.count, before + len(asked))
            self.assertEqual(by_fast_path, by_tree)

    def test_changed(self) -> None:
        """A file that changed, was deleted, or became a link is not answered for any more."""
        self.ask("/a.jpg?thumb")
        self.assertEqual(self.ask("/a.jpg?thumb").body[:4], b"some")
        self.assertEqual(self.fast_path.count, 1)
        self.document("a.jpg", b"other bytes")
        self.assertEqual(self.ask("/a.jpg?thumb").body[:5], b"other")
        os.unlink(self.path)
        self.assertEqual(self.ask("/a.jpg?thumb").status, 404)
        os.symlink("/etc/hostname", self.path)
        self.assertEqual(self.ask("/a.jpg?thumb").status, 404)
        self.assertEqual(self.fast_path.count, 1)

    def test_unloaded(self) -> None:
        """Of a collection that is unloaded, or loaded from elsewhere, nothing is answered."""
        folders = [os.path.join(self.folder, name) for name in ("one", "two")]
        for folder in folders:
            write(os.path.join(folder, "f.png"), folder.encode())
            self.memory_site.load(folder)
            for _ in range(3):
                body = self.ask("/images/f.png?thumb").body
                self.assertTrue(body.startswith(folder.encode()[:20]))
        self.memory_site.post("/unload")
        self.assertEqual(self.ask("/images/f.png?thumb").status, 400)
        self.assertEqual(self.fast_path.count, 4)

    def test_large(self) -> None:
        """A large picture is not kept in memory."""
        self.pool.body = LARGE
        for _ in range(3):
            self.ask("/a.jpg?thumb")
        self.assertEqual(self.fast_path.count, 0)

    def test_fresh_file(self) -> None:
        """The picture of a file that was just written is not: a second write might leave no
        trace.
        """
        self.fast_path = use_fast_path(self.memory_site, later=0)
        for _ in range(3):
            self.ask("/a.jpg?thumb")
        self.assertEqual(self.fast_path.count, 0)

    def test_two_files(self) -> None:
        """The picture of a volume in two files is not: it depends on both."""
        self.document("b.hdr", b"header")
        self.document("b.img", b"voxels")
        self.pool.companions = ["b.img"]
        for _ in range(3):
            self.assertEqual(self.ask("/b.hdr?thumb").body[:13], b"header voxels")
        self.assertEqual(self.fast_path.count, 0)

    def test_listings(self) -> None:
        """A query that asks for no picture is the tree's."""
        self.ask("/a.jpg?thumb")
        for target in ("/?format=json", "/a.jpg?download", "/a.jpg?thumb=1"):
            self.assertEqual(self.ask(target).status, 200)
        self.assertEqual(self.fast_path.count, 0)
