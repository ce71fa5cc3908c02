"""The control API, as clients see it."""

from __future__ import annotations

import json
import os

from twisted.trial.unittest import SynchronousTestCase

from imgd.core.paths import encode
from imgd.errors import Unavailable
from tests.dicom_files import write_series
from tests.fakes import TOKEN, Answer, MemorySite, log_lines, write
from tests.pictures.inline_pool import InlinePool
from tests.web.connection_case import FullTransport, connect

BEARER = {"Authorization": f"Bearer {TOKEN}"}
FAR = "203.0.113.9"  # RFC 5737: documentation


class SiteCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = os.path.realpath(self.mktemp())
        self.memory_site = MemorySite(self.folder)
        self.frames = os.path.join(self.folder, "frames")
        write(os.path.join(self.frames, "b.png"), b"png")
        write(os.path.join(self.frames, "a.jpg"), b"jpeg")
        write(os.path.join(self.frames, "notes.txt"))
        write(os.path.join(self.frames, "deep", "c.nii.gz"), b"volume")

    def assert_detail(self, answer: Answer, status: int, *words: str) -> None:
        """The answer is an error in one JSON sentence that holds these words."""
        self.assertEqual((answer.status, list(answer.json)), (status, ["detail"]), answer.body)
        self.assertEqual(answer.headers["content-type"], "application/json")
        for word in words:
            self.assertIn(word, answer.json["detail"])
        self.assertNotIn("Traceback", answer.json["detail"])


class LoadTests(SiteCase):
    def test_load(self) -> None:
        """A load answers with what was loaded, and when it will be unloaded."""
        answer = self.memory_site.post("/load-directory", {"directory": self.frames})
        self.assertEqual(answer.status, 200)
        result = answer.json
        self.assertEqual(result["status"], "success")
        self.assertEqual(result["directory"], self.frames)
        self.assertEqual(result["image_count"], 2)
        self.assertEqual(result["message"], f"Loaded 2 images from {self.frames}")
        self.assertRegex(
            result["timeout"],
            r"^Directory will be automatically unloaded at "
            r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d \(30 minutes\)$",
        )
        self.assertEqual(
            result["collection"],
            {
                "name": "current",
                "directory": self.frames,
                "recursive": False,
                "image_count": 2,
                "loaded_at": "2027-01-15T08:00:00Z",
                "expires_at": "2027-01-15T08:30:00Z",
                "url": "https://localhost:8888/collections/current/images",
                "current": True,
                "available": True,
                "all_files": False,
                "skipped": result["skipped"],
            },
        )
        self.assertEqual(
            result["skipped"],
            {
                "count": 1,
                "suffixes": {".txt": 1},
                "folders": 1,
                "links": 0,
                "images_below": False,
            },
        )

    def test_path(self) -> None:
        """``path`` is another word for ``directory``."""
        self.assertEqual(
            self.memory_site.post("/load-directory", {"path": self.frames}).status, 200
        )

    def test_never(self) -> None:
        """0 minutes start no timer."""
        body = {"directory": self.frames, "timeout_minutes": 0}
        result = self.memory_site.post("/load-directory", body).json
        self.assertEqual(result["timeout"], "No auto-unload timeout set")
        self.assertIsNone(result["collection"]["expires_at"])

    def test_recursive(self) -> None:
        """A recursive load includes folders, and names contain slashes."""
        body = {"directory": self.frames, "recursive": True}
        self.assertEqual(self.memory_site.post("/load-directory", body).json["image_count"], 3)
        self.assertEqual(self.memory_site.ask("/images/deep/c.nii.gz").body, b"volume")

    def test_dicom(self) -> None:
        """With ``dicom`` the index is begun at once; where nothing can be indexed, nothing is
        loaded, and the answer says why.
        """
        body = {"directory": self.frames, "dicom": True}
        self.assert_detail(self.memory_site.post("/load-directory", body), 501, "pip install")
        self.assertIsNone(self.memory_site.manager.get("current"))
        pool = InlinePool()
        site = MemorySite(self.folder, picture_pool=pool)
        write_series(self.frames, 2)
        for is_asked in (False, True):
            body = {"directory": self.frames, "dicom": is_asked}
            self.assertEqual(site.post("/load-directory", body).status, 200)
            self.assertEqual(len(pool.jobs), is_asked)
        body = {"directory": self.frames, "dicom": "yes"}
        self.assert_detail(site.post("/load-directory", body), 400, "dicom")

    def test_all_files(self) -> None:
        """With ``all_files`` everything is served that the document root would serve, and the load
        is restored so.
        """
        write(os.path.join(self.frames, "server.key"))
        write(os.path.join(self.frames, "deep", ".zarray"), b"{}")
        body = {"directory": self.frames, "recursive": True, "all_files": True}
        result = self.memory_site.post("/load-directory", body).json
        self.assertEqual((result["image_count"], result["skipped"]["count"]), (5, 0))
        self.assertEqual(result["message"], f"Loaded 5 files from {self.frames}")
        self.assertTrue(result["collection"]["all_files"])
        again = MemorySite(self.folder, store=self.memory_site.store)
        again.manager.restore()
        for memory_site in (self.memory_site, again):
            answer = memory_site.ask("/images/notes.txt")
            self.assertEqual(answer.headers["content-type"], "text/plain; charset=utf-8")
            self.assertEqual(memory_site.ask("/images/deep/.zarray").body, b"{}")
            self.assertEqual(memory_site.ask("/images/server.key").status, 404)
            images = memory_site.ask("/collections/current/images").json["images"]
            self.assertEqual(
                [image["name"] for image in images],
                ["a.jpg", "b.png", "deep/.zarray", "deep/c.nii.gz", "notes.txt"],
            )

    def test_skipped_is_told(self) -> None:
        """What a load passed over is in the log, and in what describes the collection: who may not
        control learns no suffix, which is part of the name of a file that is not served.
        """
        lines = log_lines(self, "imgd.collections")
        self.memory_site.post("/load-directory", {"directory": self.frames})
        self.assertIn("and passed over 1 file (1 .txt), 1 folder", lines[-1])
        skipped = self.memory_site.ask("/collections/current").json["skipped"]
        self.assertEqual(skipped["suffixes"], {".txt": 1})
        [collection] = self.memory_site.ask("/collections", peer=FAR).json["collections"]
        self.assertEqual(
            (collection["skipped"]["count"], collection["skipped"]["suffixes"]), (1, {})
        )

    def test_skipped_after_a_restart(self) -> None:
        """What was passed over is null after a restart, until the images are asked for."""
        self.memory_site.load(self.frames)
        again = MemorySite(self.folder, store=self.memory_site.store)
        again.manager.restore()
        self.assertIsNone(again.ask("/collections/current").json["skipped"])
        again.ask("/collections/current/images")
        self.assertEqual(again.ask("/collections/current").json["skipped"]["count"], 1)

    def test_not_recursive(self) -> None:
        """Without ``recursive``, no file below a folder is served."""
        self.memory_site.load(self.frames)
        self.assertEqual(self.memory_site.ask("/images/deep/c.nii.gz").status, 404)
        self.assertEqual(self.memory_site.ask("/images/deep/").status, 404)

    def test_relative(self) -> None:
        """A relative directory is below the base."""
        self.assertEqual(
            self.memory_site.post("/load-directory", {"directory": "frames"}).status, 200
        )

    def test_named(self) -> None:
        """A named collection is kept beside the current one, until another takes its name."""
        self.memory_site.load(self.frames)
        body = {"directory": os.path.join(self.frames, "deep"), "name": "Deep-1.x"}
        self.assertEqual(self.memory_site.post("/load-directory", body).status, 200)
        self.assertEqual(self.memory_site.ask("/images/a.jpg").body, b"jpeg")
        self.assertEqual(
            self.memory_site.ask("/collections/Deep-1.x/files/c.nii.gz").body, b"volume"
        )
        body["directory"] = self.frames
        self.memory_site.post("/load-directory", body)
        self.assertEqual(self.memory_site.ask("/collections/Deep-1.x/files/c.nii.gz").status, 404)
        self.assertEqual(self.memory_site.ask("/collections/Deep-1.x/files/a.jpg").body, b"jpeg")

    def test_later_file(self) -> None:
        """A file that appears later is served and listed without a reload."""
        self.memory_site.load(self.frames)
        write(os.path.join(self.frames, "later.webp"), b"webp")
        self.assertEqual(self.memory_site.ask("/images/later.webp").body, b"webp")
        names = self.memory_site.ask("/").json["image_list"]
        self.assertEqual(names, ["a.jpg", "b.png", "later.webp"])

    def test_charset(self) -> None:
        """A content type may name its charset."""
        answer = self.memory_site.post(
            "/load-directory",
            {"directory": self.frames},
            headers={"Content-Type": "Application/JSON; charset=utf-8"},
        )
        self.assertEqual(answer.status, 200)

    def test_errors(self) -> None:
        """Each wrong load has its status, and a sentence that says what is wrong."""
        afile = write(os.path.join(self.folder, "a-file"))
        for message, status, words in [
            ({"directory": os.path.join(self.folder, "none")}, 404, ["not found", "none"]),
            ({"directory": afile}, 400, ["Not a directory", "a-file"]),
            ({"directory": self.memory_site.state_dir}, 403, ["cannot be served"]),
            ({"directory": "/proc"}, 403, ["/proc"]),
            ({}, 400, ["'directory'"]),
            ({"directory": ""}, 400, ["'directory'"]),
            ({"directory": 5}, 400, ["'directory'"]),
            ({"directory": "a\0b"}, 400, ["'directory'"]),
            ({"directory": self.frames, "timeout_minutes": -1}, 400, ["timeout_minutes"]),
            ({"directory": self.frames, "timeout_minutes": 1.5}, 400, ["timeout_minutes"]),
            ({"directory": self.frames, "timeout_minutes": "5"}, 400, ["timeout_minutes"]),
            ({"directory": self.frames, "timeout_minutes": 10**12}, 400, ["timeout_minutes"]),
            ({"directory": self.frames, "recursive": "yes"}, 400, ["'recursive'"]),
            ({"directory": self.frames, "name": ".x"}, 400, ["'name'"]),
            ({"directory": self.frames, "name": "a/b"}, 400, ["'name'"]),
            ({"directory": self.frames, "name": "x" * 65}, 400, ["'name'"]),
            ([], 400, ["body"]),
            (None, 400, ["JSON"]),
        ]:
            with self.subTest(message=message):
                self.assert_detail(
                    self.memory_site.post("/load-directory", message), status, *words
                )
        self.assertEqual(self.memory_site.manager.loaded_collections(), [])

    def test_not_json(self) -> None:
        """A body that is not JSON is a 400, and one of another type a 415."""
        for body in (b"{", b"\xff\xfe", b'{"directory"', b"directory=x"):
            answer = self.memory_site.ask(
                "/load-directory", "POST", {"Content-Type": "application/json"}, body
            )
            self.assert_detail(answer, 400, "JSON")
        for media_type in ("text/plain", "application/x-www-form-urlencoded", ""):
            answer = self.memory_site.post(
                "/load-directory", {"directory": "x"}, headers={"Content-Type": media_type}
            )
            self.assert_detail(answer, 415, "application/json")

    def test_outside_roots(self) -> None:
        """Only below the allowed roots, after links are resolved; a sibling's prefix is outside."""
        allowed = os.path.join(self.folder, "allowed")
        memory_site = MemorySite(os.path.join(self.folder, "h"), allowed=(allowed,))
        write(os.path.join(allowed, "in", "a.png"))
        os.symlink(self.frames, os.path.join(allowed, "out"))
        write(allowed + "-not/a.png")
        for path, status in [
            (allowed, 200),
            (os.path.join(allowed, "in"), 200),
            (os.path.join(allowed, "out"), 403),
            (allowed + "-not", 403),
            (os.path.join(allowed, "in", "..", "..", "frames"), 403),
            (os.path.join(self.folder, "missing"), 403),
        ]:
            with self.subTest(path=path):
                answer = memory_site.post("/load-directory", {"directory": path})
                self.assertEqual(answer.status, status, answer.body)

    def test_too_wide(self) -> None:
        """The disk, or what lies above the document root's parent folder, is not loaded
        recursively without --allow-root, and the answer says so in one sentence.
        """
        for path in ("/", os.path.dirname(self.folder)):
            answer = self.memory_site.post(
                "/load-directory", {"directory": path, "recursive": True}
            )
            self.assert_detail(answer, 403, path, "recursively", "--allow-root")
        body = {"directory": self.folder, "recursive": True}
        self.assertEqual(self.memory_site.post("/load-directory", body).status, 200)
        deeper = os.path.join(self.folder, "h")
        answer = MemorySite(deeper).post("/load-directory", body)
        self.assert_detail(answer, 403, "--allow-root")
        allowing = MemorySite(deeper, allowed=(self.folder,))
        self.assertEqual(allowing.post("/load-directory", body).status, 200)

    def test_too_large(self) -> None:
        """A body over 64 KiB is refused before it is read, announced or in chunks."""
        answer = self.memory_site.ask(
            "/load-directory",
            "POST",
            {"Content-Type": "application/json", "Content-Length": "65537"},
        )
        self.assert_detail(answer, 413, "64")
        self.assertEqual(answer.headers["connection"], "close")
        transport = self.memory_site.connect()
        transport.protocol.dataReceived(
            b"POST /load-directory HTTP/1.1\r\nHost: localhost\r\n"
            b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        for _ in range(65):
            transport.protocol.dataReceived(b"400\r\n" + b" " * 1024 + b"\r\n")
        self.assertTrue(transport.value().startswith(b"HTTP/1.1 413 "), transport.value()[:80])
        self.assertTrue(transport.disconnecting)

    def test_largest(self) -> None:
        """64 KiB are read."""
        body = json.dumps({"directory": self.frames}).encode().ljust(64 * 1024)
        answer = self.memory_site.ask(
            "/load-directory", "POST", {"Content-Type": "application/json"}, body
        )
        self.assertEqual(answer.status, 200)

    def test_store_fails(self) -> None:
        """A load that could not be stored is a 503, and what was loaded stays."""
        self.memory_site.load(self.frames)
        self.memory_site.store.fail = Unavailable("The disk is full.")
        answer = self.memory_site.post("/load-directory", {"directory": self.frames, "name": "new"})
        self.assert_detail(answer, 503, "disk is full")
        self.assertEqual(
            [s.collection.name for s in self.memory_site.manager.loaded_collections()], ["current"]
        )


class UnloadTests(SiteCase):
    def test_unload(self) -> None:
        """The current collection is unloaded; the answer says if there is none."""
        self.memory_site.load(self.frames)
        answer = self.memory_site.post("/unload")
        self.assertEqual(
            answer.json,
            {"status": "success", "message": "Directory unloaded successfully"},
        )
        self.assert_detail(self.memory_site.ask("/images/a.jpg"), 400, "No directory loaded")
        answer = self.memory_site.post("/unload")
        self.assertEqual(
            (answer.status, answer.json),
            (200, {"status": "info", "message": "No directory currently loaded"}),
        )

    def test_no_content_type(self) -> None:
        """An unload without a body needs no content type."""
        self.memory_site.load(self.frames)
        self.assertEqual(self.memory_site.ask("/unload", "POST").json["status"], "success")

    def test_named(self) -> None:
        """A name unloads that collection alone; an unknown one is a 404."""
        self.memory_site.load(self.frames)
        self.memory_site.load(self.frames, name="other")
        self.assertEqual(
            self.memory_site.post("/unload", {"name": "other"}).json["status"], "success"
        )
        self.assertEqual(
            [s.collection.name for s in self.memory_site.manager.loaded_collections()], ["current"]
        )
        self.assert_detail(self.memory_site.post("/unload", {"name": "other"}), 404, "other")
        self.assert_detail(self.memory_site.post("/unload", {"name": "../x"}), 400, "'name'")

    def test_download_goes_on(self) -> None:
        """A download under way is finished after an unload."""
        body = os.urandom(3_000_000)
        write(os.path.join(self.frames, "big.nii"), body)
        self.memory_site.load(self.frames)
        transport = FullTransport("127.0.0.1")
        connect(self.memory_site, transport)
        transport.protocol.dataReceived(b"GET /images/big.nii HTTP/1.1\r\nHost: localhost\r\n\r\n")
        self.memory_site.post("/unload")
        for _ in range(100):
            transport.protocol.resumeProducing()
        self.assertTrue(transport.value().endswith(body[-1000:]))


class TimeoutTests(SiteCase):
    def test_timeout(self) -> None:
        """The default can be read; setting it restarts running timers."""
        self.assertEqual(
            self.memory_site.ask("/timeout").json, {"timeout_minutes": 30, "timeout_enabled": True}
        )
        self.memory_site.load(self.frames)
        self.memory_site.clock.advance(60)
        answer = self.memory_site.post("/timeout/5")
        self.assertEqual(answer.json["status"], "success")
        self.assertEqual(answer.json["timeout_minutes"], 5)
        self.assertEqual(self.memory_site.ask("/").json["time_remaining"], "5m 0s")
        self.assertEqual(self.memory_site.ask("/timeout").json["timeout_minutes"], 5)
        self.memory_site.clock.advance(299)
        self.assertEqual(self.memory_site.ask("/images/a.jpg").status, 200)
        self.memory_site.clock.advance(1)
        self.assert_detail(self.memory_site.ask("/images/a.jpg"), 400, "No directory loaded")

    def test_never(self) -> None:
        """0 stops running timers and switches them off."""
        self.memory_site.load(self.frames)
        answer = self.memory_site.post("/timeout/0")
        self.assertEqual(
            (answer.json["timeout_minutes"], answer.json["timeout_enabled"]), (0, False)
        )
        self.memory_site.clock.advance(10**6)
        self.assertEqual(self.memory_site.ask("/images/a.jpg").status, 200)
        self.assertIsNone(self.memory_site.ask("/").json["timeout_minutes"])

    def test_errors(self) -> None:
        """Minutes are a whole number from 0 to ten years."""
        for minutes in ("-1", "1.5", "x", "", "1/2", "%31%00", "99999999999", "\u0661".encode()):
            path = f"/timeout/{minutes if isinstance(minutes, str) else '%D9%A1'}"
            with self.subTest(path=path):
                self.assertIn(self.memory_site.ask(path, "POST").status, (400, 405))
        self.assertEqual(self.memory_site.ask("/timeout").json["timeout_minutes"], 30)


class PublicUrlTests(SiteCase):
    def test_public_url(self) -> None:
        """All URLs begin with the public one, until it is set to null."""
        self.memory_site.load(self.frames)
        answer = self.memory_site.post("/public-url", {"url": "https://abc.ngrok.app/"})
        self.assertEqual(answer.json["public_url"], "https://abc.ngrok.app")
        images = self.memory_site.ask("/collections/current/images").json["images"]
        self.assertEqual(images[0]["url"], "https://abc.ngrok.app/images/a.jpg")
        self.memory_site.post("/public-url", {"url": None})
        images = self.memory_site.ask("/collections/current/images").json["images"]
        self.assertEqual(images[0]["url"], "https://localhost:8888/images/a.jpg")

    def test_errors(self) -> None:
        """Any other than an http or https URL is refused, naming the field."""
        for url in ("", "ftp://x", "https://", "https://a b", "javascript:1", 5, "https://u@h"):
            self.assert_detail(self.memory_site.post("/public-url", {"url": url}), 400, "'url'")


class AccessTests(SiteCase):
    """Who may control."""

    def test_table(self) -> None:
        """Local clients and those with the token may control; others are refused, to no effect."""
        cross = {"Origin": "https://evil.example", "Host": "localhost:8888"}
        for headers, peer, status in [
            ({}, "127.0.0.1", 200),
            ({}, FAR, 403),
            (BEARER, FAR, 200),
            ({"Authorization": "Bearer wrong"}, FAR, 401),
            ({"Authorization": "Bearer wrong"}, "127.0.0.1", 401),
            ({"Host": "evil.example"}, "127.0.0.1", 403),
            ({"X-Forwarded-For": "127.0.0.1"}, "127.0.0.1", 403),
            ({"Forwarded": "for=127.0.0.1"}, "127.0.0.1", 403),
            ({"X-Real-IP": "127.0.0.1"}, "127.0.0.1", 403),
            (cross, "127.0.0.1", 403),
            ({"Origin": "null"}, "127.0.0.1", 403),
            ({"Sec-Fetch-Site": "cross-site"}, "127.0.0.1", 403),
            ({"Sec-Fetch-Site": "same-origin"}, "127.0.0.1", 200),
            ({**cross, **BEARER}, FAR, 200),
        ]:
            for path in ("/load-directory", "/unload", "/timeout/30", "/public-url"):
                body = {"directory": self.frames, "url": None}
                with self.subTest(headers=headers, peer=peer, path=path):
                    if path == "/unload":
                        body = None  # type: ignore[assignment]
                    answer = self.memory_site.post(path, body, headers=headers, peer=peer)
                    self.assertEqual(answer.status, status, answer.body)
                    if status in (401, 403):
                        self.assert_detail(answer, status, "token")
                        self.assertNotIn(self.folder, answer.body.decode())
                        self.assertNotIn("access-control-allow-origin", answer.headers)
            if status == 401:
                self.assertEqual(answer.headers["www-authenticate"], "Bearer")

    def test_paths_of_the_host(self) -> None:
        """Clients that may not control see only the last names of directories."""
        self.memory_site.load(self.frames)
        for path in ("/", "/collections", "/collections/current"):
            self.assertIn(self.folder.encode(), self.memory_site.ask(path).body)
            self.assertIn(
                self.folder.encode(), self.memory_site.ask(path, peer=FAR, headers=BEARER).body
            )
            far = self.memory_site.ask(path, peer=FAR)
            self.assertEqual(far.status, 200)
            self.assertNotIn(self.folder.encode(), far.body)
            self.assertIn(b'"frames"', far.body)

    def test_refused_before_reading(self) -> None:
        """Clients that may not control do not learn what is wrong with a request."""
        answer = self.memory_site.ask("/load-directory", "POST", {"Host": "evil"}, b"not json")
        self.assert_detail(answer, 403, "token")

    def test_get(self) -> None:
        """Control is by POST alone."""
        for path in ("/load-directory", "/unload", "/public-url"):
            answer = self.memory_site.ask(path)
            self.assert_detail(answer, 405, "POST")
            self.assertEqual(answer.headers["allow"], "POST, OPTIONS")


class HostileNames(SiteCase):
    def test_round_trip(self) -> None:
        """Any name that can be loaded is listed with a URL that serves it."""
        folder = os.path.join(self.folder, "hostile")
        names = [
            "a b.png",
            "a+b%20c.png",
            '"quoted"<b>&.png',
            "javascript:alert(1).png",
            "new\nline.png",
            "\u202egnp.exe.png",
            "ümläut 日本.png",
            "#frag?query.png",
            os.fsdecode(b"not-\xff-utf8.png"),
            "~tilde.png",
            "..still-hidden.png",
        ]
        for name in names:
            write(os.path.join(folder, name), name.encode("utf-8", "surrogateescape"))
        self.memory_site.load(folder)
        page = self.memory_site.ask("/collections/current/images?limit=3").json
        images = page["images"]
        while page["next"]:
            page = self.memory_site.ask(page["next"]).json
            images += page["images"]
        self.assertEqual(len(images), len(names) - 1)
        self.assertEqual(page["count"], len(names) - 1)
        for image in images:
            path = image["url"].removeprefix("https://localhost:8888")
            answer = self.memory_site.ask(path)
            self.assertEqual(answer.status, 200, path)
            self.assertEqual(encode(os.fsdecode(answer.body)), path.removeprefix("/images/"))
