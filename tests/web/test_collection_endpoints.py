"""``/images/`` and ``/collections`` as readers get them."""

from __future__ import annotations

import os

from imgd.files import disk
from tests.fakes import parse_answer, write
from tests.files.test_dicom_files import DICOM
from tests.host.this_machine import open_files
from tests.web.test_control import FAR, SiteCase


class CollectionTests(SiteCase):
    def test_not_an_image(self) -> None:
        """What is no image is not served from a collection, and it is said so."""
        self.memory_site.load(self.frames)
        self.assert_detail(
            self.memory_site.ask("/images/notes.txt"), 400, "Not an image: notes.txt"
        )
        self.assertEqual(self.memory_site.ask("/images/.hidden.png").status, 404)

    def test_missing_image(self) -> None:
        """A missing or hidden file of the current collection is named as it was asked for, in the
        older server's words.
        """
        self.memory_site.load(self.frames)
        for asked, shown in (
            ("gone.png", "gone.png"),
            (".hidden.png", ".hidden.png"),
            ("a%20b/%ff%0a.png", "a b/\ufffd\n.png"),
            ("../../etc/x.png", "../../etc/x.png"),
        ):
            answer = self.memory_site.ask(f"/images/{asked}")
            self.assertEqual(
                (answer.status, answer.json), (404, {"detail": f"Image not found: {shown}"})
            )
        page = self.memory_site.ask("/images/%3Cb%3E.png", headers={"Accept": "text/html"})
        self.assertIn(b"Image not found: &lt;b&gt;.png", page.body)
        self.memory_site.load(self.frames, name="x")
        answer = self.memory_site.ask("/collections/x/files/gone.png")
        self.assertEqual(answer.json, {"detail": "Not found"})

    def test_dicom(self) -> None:
        """A file that is DICOM by its bytes is an image everywhere, whatever its name: its URL, the
        listing, the list of images, the status and the count. It is looked at on another thread.
        """
        for name in ("IM0000", "1.2.840.42", "DICOMDIR", "sub/a.IMA"):
            write(os.path.join(self.frames, name), DICOM)
        write(os.path.join(self.frames, "README"), bytes(500))
        self.memory_site.load(self.frames, recursive=True)
        blocking = self.memory_site.blocking
        for path in ("/images/IM0000", "/images/1.2.840.42", "/images/sub/a.IMA"):
            blocking.held = True
            transport = self.memory_site.connect()
            head = f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n"
            transport.protocol.dataReceived(head.encode("ascii"))
            self.assertEqual((transport.value(), blocking.waiting), (b"", 1))
            blocking.held = False
            blocking.release()
            answer = parse_answer(transport.value())
            self.assertEqual((answer.status, answer.body), (200, DICOM))
            self.assertEqual(answer.headers["content-type"], "application/dicom")
            part = self.memory_site.ask(path, headers={"Range": "bytes=128-131"})
            self.assertEqual((part.status, part.body), (206, b"DICM"))
        names = ["1.2.840.42", "a.jpg", "b.png", "deep/c.nii.gz", "IM0000", "sub/a.IMA"]
        page = self.memory_site.ask("/collections/current/images").json
        self.assertEqual([image["name"] for image in page["images"]], names)
        self.assertEqual(page["images"][4]["media_type"], "application/dicom")
        self.assertEqual(self.memory_site.ask("/").json["image_list"], names)
        listing = self.memory_site.ask("/images/?format=json&sort=kind").json
        told = {e["name"]: (e["kind"], e["media_type"]) for e in listing["entries"]}
        self.assertEqual(told["IM0000"], ("DICOM", "application/dicom"))
        self.assertEqual(list(told), ["deep", "sub", "1.2.840.42", "IM0000", "a.jpg", "b.png"])
        self.assertEqual(listing["skipped"], 3)

    def test_no_dicom(self) -> None:
        """A file that is none is no image, wherever it is; one that is missing is not found."""
        write(os.path.join(self.frames, "README"), bytes(500))
        write(os.path.join(self.frames, "DICOMDIR"), DICOM)
        self.memory_site.load(self.frames, recursive=True)
        for name in ("README", "DICOMDIR"):
            for _ in range(2):
                answer = self.memory_site.ask(f"/images/{name}")
                self.assert_detail(answer, 400, f"Not an image: {name}")
        for name in ("README2", "0.0", "c/0/0", "deep/1.2.3", "README/x"):
            self.assertEqual(self.memory_site.ask(f"/images/{name}").status, 404, name)
        self.assertEqual(self.memory_site.ask("/images/deep").headers["location"], "deep/")

    def test_document_root(self) -> None:
        """In the document root the name alone says the type: nothing is looked into."""
        write(os.path.join(self.memory_site.documents, "IM0000"), DICOM)
        self.memory_site.blocking.held = True
        answer = self.memory_site.ask("/IM0000")
        self.assertEqual(answer.headers["content-type"], "application/octet-stream")

    def test_nobody_takes_it(self) -> None:
        """A file that was opened on a thread does not stay open if nobody takes it: its client has
        gone meanwhile.
        """
        path = os.path.realpath(write(os.path.join(self.frames, "IM0000"), DICOM))
        self.memory_site.load(self.frames)
        opened = disk.open_file(self.memory_site.manager.find("current").root, ("IM0000",))
        self.assertIn(path, open_files())
        del opened
        self.assertNotIn(path, open_files())

    test_nobody_takes_it.skip = (  # type: ignore[attr-defined]
        None if os.path.exists("/proc/self/fd") else "needs /proc"
    )

    def test_unknown(self) -> None:
        """An unknown collection is a 404."""
        for path in ("/collections/x", "/collections/x/images", "/collections/x/files/a.png"):
            self.assert_detail(self.memory_site.ask(path), 404, "x")

    def test_pages(self) -> None:
        """Pages follow each other to the end; a wrong limit is refused."""
        self.memory_site.load(self.frames)
        first = self.memory_site.ask("/collections/current/images?limit=1").json
        self.assertEqual(first["count"], 2)
        self.assertEqual([i["name"] for i in first["images"]], ["a.jpg"])
        self.assertEqual(first["next"], "/collections/current/images?limit=1&after=a.jpg")
        second = self.memory_site.ask(first["next"]).json
        self.assertEqual(([i["name"] for i in second["images"]], second["next"]), (["b.png"], None))
        [image] = second["images"]
        self.assertEqual((image["size"], image["media_type"]), (3, "image/png"))
        self.assertRegex(image["modified"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")
        for limit in ("0", "10001", "-1", "x", "1.0"):
            path = f"/collections/current/images?limit={limit}"
            self.assert_detail(self.memory_site.ask(path), 400, "limit")
        self.assert_detail(
            self.memory_site.ask("/collections/current/images?format=xml"), 400, "format"
        )

    def test_ndjson(self) -> None:
        """Every image is streamed, one JSON object a line."""
        self.memory_site.load(self.frames)
        answer = self.memory_site.ask("/collections/current/images?format=ndjson")
        self.assertEqual(answer.headers["content-type"], "application/x-ndjson")
        self.assertEqual(answer.body.count(b"\n"), 2)

    def test_status(self) -> None:
        """The status has the older server's keys, in its formats."""
        empty = self.memory_site.ask("/").json
        self.assertEqual(
            (empty["current_directory"], empty["image_count"], empty["image_list"]), (None, 0, [])
        )
        self.memory_site.load(self.frames)
        self.memory_site.clock.advance(0.5)
        status = self.memory_site.ask("/").json
        self.assertEqual(status["current_directory"], self.frames)
        self.assertEqual(status["image_list"], ["a.jpg", "b.png"])
        self.assertRegex(status["load_time"], r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d$")
        self.assertRegex(status["auto_unload_at"], r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d$")
        self.assertEqual((status["timeout_minutes"], status["time_remaining"]), (30, "29m 59s"))
        self.assertFalse(status["image_list_truncated"])
        self.assertEqual(len(status["collections"]), 1)

    def test_missing_directory(self) -> None:
        """A directory that vanished is kept, told as not available, and served when it is back."""
        self.memory_site.load(self.frames)
        os.rename(self.frames, self.frames + "-away")
        self.assertEqual(self.memory_site.ask("/images/a.jpg").status, 404)
        self.assertFalse(self.memory_site.ask("/collections/current").json["available"])
        os.rename(self.frames + "-away", self.frames)
        self.assertTrue(self.memory_site.ask("/collections/current").json["available"])
        self.assertEqual(self.memory_site.ask("/images/a.jpg").status, 200)

    def test_health_and_assets(self) -> None:
        """Health, the CA and imgd's own assets are there for everyone, and nothing below them."""
        status = self.memory_site.ask("/health", peer=FAR).json
        self.assertEqual((status["status"], status["service"]), ("healthy", "image-server"))
        self.assertEqual(status["uptime_seconds"], 12.5)
        self.assertTrue(
            self.memory_site.ask("/-/ca.pem").body.startswith(b"-----BEGIN CERTIFICATE")
        )
        self.assertEqual(self.memory_site.ask("/-/style.css").status, 200)
        for path in ("/health/x", "/timeout/x/y", "/-/", "/-/x/style.css"):
            self.assertIn(self.memory_site.ask(path).status, (404, 405), path)

    def test_access_log(self) -> None:
        """Each request is one line of the combined format, whatever it holds."""
        self.memory_site.ask('/a%0Ab?c="d', headers={"User-Agent": 'x" y', "Referer": "z"})
        [line] = self.memory_site.access_lines
        self.assertEqual(line.count("\n"), 0)
        self.assertIn('"GET /a%0Ab?c=\\x22d HTTP/1.1" 404', line)
        self.assertTrue(line.endswith('"z" "x\\x22 y"'), line)
