"""The room of pictures attacked from outside: a real daemon, its workers, and files that lie."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import select
import shutil
import signal
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import dropwhile
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

import numpy as np
from PIL import Image

from benchmarks.pictures.bombs import makers
from benchmarks.pictures.servers import family
from tests import samples
from tests.daemons import PATIENCE, READY, Daemon, DaemonCase

PERSON = b"Zzyzx^Quentin"  # whose name no answer and no line of the log may have
STATUSES = {400, 404, 413, 415, 422, 503}


class Reply(NamedTuple):
    status: int
    headers: http.client.HTTPMessage
    body: bytes


class HostileCase(DaemonCase):
    def start(self, *options: str) -> Daemon:
        """A daemon over plain HTTP; its log has no traceback and no path at the end of the test."""
        self.root = self.folder / "root"
        self.root.mkdir()
        samples.picture(self.root / "photo.png")
        daemon = self.daemon("--no-tls", "-d", str(self.root), *options)
        self.addCleanup(self.assert_discreet, daemon)
        return daemon

    def assert_discreet(self, daemon: Daemon) -> None:
        daemon.stop()
        log = "\n".join(dropwhile(lambda line: not re.search(READY, line), daemon.lines))
        self.assertNotIn("Traceback", log)
        self.assertNotIn(str(self.root), log)
        self.assertNotIn(PERSON.decode(), log)

    def ask(self, daemon: Daemon, target: str, **headers: str) -> Reply:
        client = http.client.HTTPConnection("127.0.0.1", daemon.port, timeout=PATIENCE)
        client.putrequest("GET", target, skip_accept_encoding=True)
        for name, value in headers.items():
            client.putheader(name.replace("_", "-"), value)
        client.endheaders()
        answer = client.getresponse()
        reply = Reply(answer.status, answer.headers, answer.read())
        client.close()
        return reply

    def assert_refused(self, reply: Reply, *statuses: int) -> str:
        """One sentence, and nothing of the host, the person, or the program. The sentence."""
        self.assertIn(reply.status, statuses or STATUSES, reply.body[:300])
        for secret in (str(self.folder).encode(), b"Traceback", b"site-packages", PERSON):
            self.assertNotIn(secret, reply.body)
        detail: str = json.loads(reply.body)["detail"]
        self.assertLess(len(detail), 300)
        self.assertNotIn("\n", detail)
        return detail

    def assert_serves(self, daemon: Daemon) -> None:
        """Files are served and pictures are made."""
        photo = (self.root / "photo.png").read_bytes()
        self.assertEqual(self.ask(daemon, "/photo.png").body, photo)
        samples.picture(self.root / "another.jpg", time.monotonic_ns() % 1000)
        self.assertEqual(self.ask(daemon, "/another.jpg?thumb").body[:2], b"\xff\xd8")


class BombTests(HostileCase):
    def test_bombs(self) -> None:
        """Each gets a status and one sentence, or is shown if it can be; then imgd goes on."""
        daemon = self.start("--picture-pixels", "400000")
        expected = {
            **dict.fromkeys(("loop.tif", "photo.nii.gz"), (200,)),
            **dict.fromkeys(("4-gigabytes.nii.gz", "long-tail.nii.gz"), (200,)),
            **dict.fromkeys(("empty.png", "truncated.jpg", "zeros.mgz"), (415,)),
            **dict.fromkeys(("lie.dcm", "10-to-the-12.nii"), (413, 415, 422)),
        }
        for name, make in makers(0.1).items():
            (self.root / name).write_bytes(make())
            for view in ("thumb", "info", "mosaic=3x3"):
                reply = self.ask(daemon, f"/{name}?{view}")
                if reply.status == 200:
                    self.assertNotEqual(reply.body, b"", name)
                else:
                    self.assert_refused(reply)
                if view == "thumb":
                    self.assertIn(reply.status, expected.get(name, (413,)), (name, reply.body))
        self.assert_serves(daemon)

    def test_person(self) -> None:
        """A broken DICOM file tells nobody whose it is; nor does a whole one by its facts."""
        daemon = self.start()
        whole = samples.dicom("CT_small.dcm").read_bytes()
        name = b"CompressedSamples^CT1"
        self.assertIn(name, whole)
        whole = whole.replace(name, PERSON.ljust(len(name)))
        for number, length in enumerate((len(whole), 20_000, 1500, 700, 400, 200, 140)):
            (self.root / f"{number}.dcm").write_bytes(whole[:length])
            for view in ("info", "thumb", "slice=axial", "slice=axial:7"):
                reply = self.ask(daemon, f"/{number}.dcm?{view}")
                self.assertNotIn(PERSON, reply.body)
                if reply.status != 200:
                    self.assert_refused(reply)
        self.assert_serves(daemon)


class SourceTests(HostileCase):
    def test_what_is_no_file(self) -> None:
        """A picture is refused, as the file is: pipes, devices, links that lead out, folders."""
        daemon = self.start()
        outside = samples.picture(self.folder / "outside.png")
        os.mkfifo(self.root / "pipe.png")
        (self.root / "link.png").symlink_to(outside)
        (self.root / "zero.png").symlink_to("/dev/zero")
        (self.root / ".hidden.png").write_bytes(outside.read_bytes())
        for name in ("pipe.png", "link.png", "zero.png", ".hidden.png", "missing.png"):
            plain = self.ask(daemon, f"/{name}")
            self.assertGreaterEqual(plain.status, 400, name)
            for view in ("thumb", "info", "slice=axial"):
                reply = self.ask(daemon, f"/{name}?{view}")
                self.assert_refused(reply, plain.status)
                self.assertEqual(reply.body, plain.body)
        self.assert_serves(daemon)

    def test_names(self) -> None:
        """A name that POSIX allows is one of a picture; it is no header and no line of the log."""
        daemon = self.start()
        for number, name in enumerate(samples.HOSTILE_NAMES):
            samples.picture(self.root / f"{number}.png", number)
            os.rename(self.root / f"{number}.png", os.fsencode(self.root / name))
            path = "/" + quote(os.fsencode(name))
            if self.ask(daemon, path).status == 404:  # one with a backslash is not served
                self.assert_refused(self.ask(daemon, f"{path}?thumb"), 404)
                continue
            reply = self.ask(daemon, f"{path}?thumb")
            self.assertEqual((reply.status, reply.body[:2]), (200, b"\xff\xd8"), name)
        self.assert_serves(daemon)

    def test_replaced(self) -> None:
        """While a file is replaced again and again, each answer is of one version, or says why not;
        what is kept afterwards is of the last.
        """
        daemon = self.start()
        colours = {"red": (254, 0, 0), "blue": (0, 0, 254)}
        for colour in colours:
            Image.new("RGB", (900, 700), colour).save(self.folder / f"{colour}.png")
        path = self.root / "moving.png"
        shutil.copyfile(self.folder / "red.png", path)

        def replace() -> None:
            for number in range(200):
                colour = list(colours)[number % 2]
                if number % 3:
                    shutil.copyfile(self.folder / f"{colour}.png", path)  # torn while it is written
                else:
                    shutil.copyfile(self.folder / f"{colour}.png", self.folder / "new.png")
                    (self.folder / "new.png").rename(path)

        with ThreadPoolExecutor(1) as thread:
            replaced = thread.submit(replace)
            while not replaced.done():
                reply = self.ask(daemon, "/moving.png?thumb")
                if reply.status != 200:
                    self.assert_refused(reply, 404, 409, 415, 422, 503)
            replaced.result()
        shutil.copyfile(self.folder / "blue.png", path)
        for _ in range(3):
            (self.folder / "kept.jpg").write_bytes(self.ask(daemon, "/moving.png?thumb").body)
            with Image.open(self.folder / "kept.jpg") as image:
                red, _, blue = np.asarray(image).reshape(-1, 3).T
            self.assertTrue(red.max() < 20 and blue.min() > 230, (red.max(), blue.min()))


class QueryTests(HostileCase):
    def test_queries(self) -> None:
        """A view that there cannot be is a 400 that says what there can be; no number is too long,
        no path is anything but a word that is wrong.
        """
        daemon = self.start()
        shutil.copyfile(samples.volume("anatomical.nii"), self.root / "brain.nii")
        for query in (
            *("thumb=../../x", "thumb=-1", "thumb=1e3", "thumb=" + "9" * 5000, "thumb=%00"),
            *("slice=axial:999999999999999999999", "slice=axial:9999", "slice=axial:-1"),
            *("slice=../../etc/passwd", "slice=axial:1:2", "slice=axial&t=1", "slice=axial&t=-1"),
            *("slice=axial&window=1", "slice=axial&window=nan,inf", "slice=axial&depth=64"),
            *("slice=axial&window=0,0", "slice=axial&window=1e999,1", "slice=axial&size=x"),
            *("mosaic=0x0", "mosaic=999x999", "mosaic=11x11", "mosaic=axb", "mosaic=5x5&axis=z"),
            *("thumb&slice=axial", "slice=axial&convention=upside-down"),
        ):
            with self.subTest(query):
                detail = self.assert_refused(self.ask(daemon, f"/brain.nii?{query}"), 400, 414)
                self.assertNotIn("passwd", detail)
        for query in ("thumb=999999", "slice", "slice=axial:0", "slice=axial&window=0,1e-9&t=0"):
            self.assertIn(self.ask(daemon, f"/brain.nii?{query}").status, (200, 400), query)
        self.assert_serves(daemon)

    def test_companion(self) -> None:
        """What imgd asks its workers for itself can be asked for by nobody."""
        daemon = self.start()
        plain = self.ask(daemon, "/photo.png")
        self.assertEqual(self.ask(daemon, "/photo.png?companion").body, plain.body)


class WorkerTests(HostileCase):
    def workers(self, daemon: Daemon) -> list[int]:
        return family(daemon.pid)[1:]

    def test_killed(self) -> None:
        """While workers are killed, each answer is a picture or a sentence; then all is well."""
        daemon = self.start()
        numbers = iter(range(1000))
        with ThreadPoolExecutor(8) as threads:
            for _ in range(4):
                self.until_made(daemon)
                names = [f"{next(numbers)}.jpg" for _ in range(8)]
                for number, name in enumerate(names):
                    samples.picture(self.root / name, number, (1600, 1200))
                asked = [threads.submit(self.ask, daemon, f"/{name}?thumb") for name in names]
                for worker in self.workers(daemon):
                    os.kill(worker, signal.SIGKILL)
                for reply in (future.result(PATIENCE) for future in asked):
                    if reply.status != 200:
                        self.assert_refused(reply, 422, 503)
        self.until_made(daemon)

    def until_made(self, daemon: Daemon) -> None:
        """A pool that broke is whole again, when the time has come that its 503 names."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            samples.picture(self.root / "later.jpg", time.monotonic_ns() % 1000)
            reply = self.ask(daemon, "/later.jpg?thumb")
            if reply.status == 200:
                return
            self.assert_refused(reply, 422, 503)
            self.assertEqual(self.ask(daemon, "/photo.png").status, 200)
        self.fail("no picture is made any more")

    def test_stopped(self) -> None:
        """No worker outlives a daemon that ends, in whatever way."""
        for end in (Daemon.stop, Daemon.kill):
            self.folder = Path(self.mktemp()).resolve()
            self.folder.mkdir(parents=True)
            daemon = self.start()
            self.assertEqual(self.ask(daemon, "/photo.png?thumb").status, 200)
            workers = [os.pidfd_open(worker) for worker in self.workers(daemon)]
            self.assertGreater(len(workers), 0)
            end(daemon)
            for worker in workers:
                self.assertTrue(select.select([worker], [], [], PATIENCE)[0])
                os.close(worker)

    def test_clients_that_go(self) -> None:
        """Of clients that ask and go, nothing is left: no descriptor, no child, no work."""
        daemon = self.start()
        for number in range(100):
            samples.picture(self.root / f"{number}.jpg", number, (1600, 1200))
        self.assertEqual(self.ask(daemon, "/0.jpg?thumb").status, 200)
        before = self.descriptors(daemon)
        for number in range(100):
            with socket.create_connection(("127.0.0.1", daemon.port), PATIENCE) as client:
                client.sendall(b"GET /%d.jpg?thumb=1024 HTTP/1.1\r\nHost: a\r\n\r\n" % number)
        self.until_made(daemon)
        deadline = time.monotonic() + PATIENCE
        while self.descriptors(daemon) > before and time.monotonic() < deadline:
            self.assertEqual(self.ask(daemon, "/health").status, 200)
        self.assertLessEqual(self.descriptors(daemon), before)
        states = [
            Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0]
            for pid in self.workers(daemon)
        ]
        self.assertNotIn("Z", states)

    def descriptors(self, daemon: Daemon) -> int:
        """But for those of connections: how many there are depends on who has just gone."""
        links = (f"/proc/{daemon.pid}/fd/{name}" for name in os.listdir(f"/proc/{daemon.pid}/fd"))
        targets = []
        for link in links:
            with contextlib.suppress(FileNotFoundError):
                targets.append(os.readlink(link))
        return len([target for target in targets if not target.startswith("socket:")])


class CacheTests(HostileCase):
    def test_no_folder(self) -> None:
        """Pictures are made if their folder is deleted, or if a file is in its place."""
        daemon = self.start()
        self.assert_serves(daemon)
        folder = self.folder / "state" / "pictures"
        deadline = time.monotonic() + PATIENCE
        while not list(folder.glob("*/*.picture")):  # kept after it was sent
            self.assertLess(time.monotonic(), deadline, "no picture was kept")
            self.assert_serves(daemon)
        folder.rename(self.folder / "deleted")
        self.assert_serves(daemon)
        daemon.stop()  # the folder may be made at any time while it runs
        shutil.rmtree(folder, ignore_errors=True)
        folder.write_text("in the way")
        daemon = self.daemon("--no-tls", "-d", str(self.root))
        for _ in range(3):
            self.assert_serves(daemon)
        self.assertEqual(folder.read_text(), "in the way")
        self.assertEqual(self.ask(daemon, "/photo.png?thumb").status, 200)

    def test_many_views(self) -> None:
        """Different queries for one view are one picture; the cache does not grow by them."""
        daemon = self.start()
        bodies = set()
        for number in range(300):
            reply = self.ask(daemon, f"/photo.png?thumb={number % 256 + 1}&x={number}")
            self.assertEqual(reply.status, 200)
            bodies.add(reply.body)
        self.assertEqual(len(bodies), 1)
        files = [path for path in (self.folder / "state" / "pictures").rglob("*") if path.is_file()]
        self.assertLessEqual(len(files), 1)


class PrivateTests(HostileCase):
    def test_private(self) -> None:
        """Where reading is private a picture needs what the file needs; a link of the file covers
        its pictures, and no other file's.
        """
        daemon = self.start("--private")
        samples.picture(self.root / "other.png", 5)
        made = self.link(daemon, "/photo.png")
        signed = made[made.index("/-/s/") :]
        for view in ("", "?thumb", "?info", "?slice=axial"):
            self.assertEqual(self.ask(daemon, f"/photo.png{view}").status, 401, view)
        self.assertEqual(self.ask(daemon, f"{signed}?thumb").body[:2], b"\xff\xd8")
        self.assertEqual(json.loads(self.ask(daemon, f"{signed}?info").body)["kind"], "picture")
        other = signed.replace("photo", "other")
        plain, picture = (self.ask(daemon, other + view).status for view in ("", "?thumb"))
        self.assertEqual((plain, picture), (403, 403))

    def link(self, daemon: Daemon, path: str) -> str:
        client = http.client.HTTPConnection("127.0.0.1", daemon.port, timeout=PATIENCE)
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {daemon.token}"}
        client.request("POST", "/links", json.dumps({"path": path}), headers)
        url: str = json.loads(client.getresponse().read())["url"]
        client.close()
        return url
