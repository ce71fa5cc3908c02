"""A folder as one file to take home, in memory and by real programs."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from imgd.core.archive_layout import FORMATS, ArchiveLayout
from imgd.core.listing import Entry
from imgd.errors import Unavailable
from imgd.files import folder_walk
from imgd.web.archive_contents import PIECE
from imgd.web.archives import MAX_ARCHIVES, MAX_PER_CLIENT
from tests.daemons import PATIENCE, Daemon, curl, shared_daemon
from tests.fakes import TOKEN, Answer, MemorySite, parse_answer, record_log, write
from tests.web.list_case import ListCase

FAR = "203.0.113.9"  # RFC 5737: documentation
MTIME = 1_700_000_001
FILES = {
    "a.nii": os.urandom(3 * PIECE + 17),
    "deep/er/b.png": b"png",
    "empty.txt": b"",
    "n\u00fc\u202e\n\u00e4.dcm": b"dicom",
    "x" * 200 + "/" + "y" * 200 + ".jpg": b"long",
}


def fill(folder: Path) -> dict[str, bytes]:
    """Write files of every kind of name; gives what an archive of the folder holds, by name."""
    for name, data in FILES.items():
        path = write(str(folder / name), data)
        os.utime(path, (MTIME, MTIME))
    return {f"{folder.name}/{name}": data for name, data in FILES.items()}


def read_tar(data: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(data), errorlevel=2) as tar:
        files = [(member.name, tar.extractfile(member)) for member in tar if member.isreg()]
        return {name: file.read() for name, file in files if file is not None}


def read_zip(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as read:
        return {i.filename: read.read(i) for i in read.infolist() if not i.is_dir()}


READ = {"tar": read_tar, "zip": read_zip}


class ArchiveTests(ListCase):
    def test_whole(self) -> None:
        """Every file below comes with its bytes and its time, below a folder of the same name; the
        length was promised, by HEAD as well.
        """
        folder = Path(self.memory_site.documents, "study 1")
        files = fill(folder)
        for name, media_type in (("tar", "application/x-tar"), ("zip", "application/zip")):
            path = f"/study%201/?archive={name}"
            answer = self.memory_site.ask(path, peer=FAR)
            self.assertEqual((answer.status, answer.aborted), (200, False))
            self.assertEqual(READ[name](answer.body), files)
            self.assertEqual(answer.headers["content-length"], str(len(answer.body)))
            self.assertEqual(answer.headers["content-type"], media_type)
            disposition = f'attachment; filename="study 1.{name}"'
            self.assertEqual(answer.headers["content-disposition"], disposition)
            self.assertEqual(answer.headers["cache-control"], "no-store")
            self.assertEqual(answer.headers["accept-ranges"], "none")
            head = self.memory_site.ask(path, "HEAD")
            self.assertEqual(head.headers["content-length"], str(len(answer.body)))
            self.assertEqual((head.status, head.body), (200, b""))
        body = self.get("/study%201/?archive=tar").body
        with tarfile.open(fileobj=io.BytesIO(body)) as tar:
            self.assertEqual(tar.getmember("study 1/a.nii").mtime, MTIME)
            self.assertEqual(tar.getmember("study 1").mtime, int(folder.stat().st_mtime))
            self.assertTrue(tar.getmember("study 1/deep/er").isdir())

    def get(self, path: str, **more: Any) -> Answer:
        return self.memory_site.ask(path, peer=FAR, **more)

    def files_of(self, path: str) -> list[str]:
        """The files of a tar archive."""
        answer = self.get(path)
        self.assertEqual(answer.status, 200, answer.body[:200])
        return sorted(read_tar(answer.body))

    def test_rules(self) -> None:
        """An archive holds what listings show: no hidden file, no key, nothing of the state, no
        link out of the root, of a collection images alone.
        """
        folder = Path(self.folder, "frames")
        for name in ("a.png", "notes.txt", ".hidden.png", "x.key", "deep/b.nii.gz", ".git/c.png"):
            write(str(folder / name))
        (folder / "out.png").symlink_to("/etc/passwd")
        self.memory_site.load(str(folder), recursive=True)
        self.memory_site.load(str(folder), name="flat")
        everything = ["a.png", "deep/b.nii.gz"]
        self.assertEqual(self.files_of("/images/?archive=tar"), [f"images/{n}" for n in everything])
        self.assertEqual(
            self.files_of("/collections/current/files/?archive=tar"),
            [f"current/{n}" for n in everything],
        )
        self.assertEqual(self.files_of("/images/deep/?archive=tar"), ["deep/b.nii.gz"])
        self.assertEqual(self.files_of("/collections/flat/files/?archive=tar"), ["flat/a.png"])
        for name in os.listdir(folder):
            os.rename(folder / name, Path(self.memory_site.documents, name))
        write(os.path.join(self.memory_site.documents, "images", "shadowed.png"))
        self.assertEqual(
            self.files_of("/?archive=tar"),
            [f"Files/{n}" for n in ("a.png", "big/a.png", "big/b.png", "big/c.png")]
            + ["Files/deep/b.nii.gz", "Files/notes.txt"],
        )

    def test_errors(self) -> None:
        """A wrong format, a filter, a file and a missing folder are errors in one sentence."""
        for path, status, word in (
            ("/big/?archive=rar", 400, "tar, zip"),
            ("/big/?archive=tar&filter=*.png", 400, "filter"),
            ("/missing/?archive=tar", 404, "Not found"),
            ("/big/a.png/?archive=tar", 404, "Not found"),
            ("/../?archive=tar", 404, "Not found"),
            ("/images/?archive=tar", 400, "No directory loaded"),
            ("/collections/x/files/?archive=tar", 404, "x"),
        ):
            answer = self.get(path)
            self.assertEqual(answer.status, status, path)
            self.assertIn(word, answer.json["detail"])
            self.assertNotIn("content-disposition", answer.headers)
        self.assertIn("entries", self.get("/big/?archive=&format=json").json)
        self.assertEqual(self.get("/big?archive=tar").headers["location"], "big/?archive=tar")
        self.assertEqual(self.get("/big/a.png?archive=tar").body, b"1")

    def test_other_origins(self) -> None:
        """A page of another origin may not read an archive, as it may not list the folder."""
        answer = self.get("/big/?archive=tar", headers={"Origin": "https://elsewhere.example"})
        self.assertNotIn("access-control-allow-origin", answer.headers)
        self.assertEqual(answer.headers["cross-origin-resource-policy"], "same-origin")

    def test_limit(self) -> None:
        """A folder with more than --archive-limit is refused, before anything is sent; with 0 every
        folder is, and its page does not offer it.
        """
        page: dict[str, Any] = {"headers": {"Accept": "text/html"}}
        self.assertIn(b'value="zip"', self.memory_site.ask("/big/", **page).body)
        small = MemorySite(self.folder, more={"archive_limit": 2})
        answer = small.ask("/big/?archive=zip")
        self.assertEqual(answer.status, 413)
        self.assertIn("--archive-limit", answer.json["detail"])
        off = MemorySite(self.folder, more={"archive_limit": 0})
        self.assertEqual(off.ask("/big/?archive=zip").status, 403)
        self.assertNotIn(b'value="zip"', off.ask("/big/", **page).body)

    def test_left_out(self) -> None:
        """What could not be put in is named in a file of the archive: nothing is dropped unsaid."""
        os.symlink("..", os.path.join(self.big, "ba\nck"))
        for name, read in READ.items():
            files = read(self.get(f"/big/?archive={name}").body)
            note = files["big/NOT IN THIS ARCHIVE.txt"].decode("utf-8")
            self.assertEqual(note, f"ba\\nck: {folder_walk.IS_LOOP}\n")
            self.assertEqual(len(files), 4)


class StreamTests(ListCase):
    """What happens while an archive is sent."""

    def setUp(self) -> None:
        super().setUp()
        self.events = record_log(self)
        self.large = write(os.path.join(self.big, "large.nii"), bytes(5 * PIECE))
        for name in ("a.png", "b.png", "c.png"):
            os.remove(os.path.join(self.big, name))
        self.memory_site.blocking.held = True

    def steps(self, count: int) -> None:
        for _ in range(count):
            self.memory_site.blocking.step()

    def test_backpressure(self) -> None:
        """While the client does not read, nothing more is read, and no file stays open."""
        transport = self.begin("/big/?archive=tar")
        self.steps(2)
        sent = len(transport.value())
        self.assertGreaterEqual(sent, PIECE)
        transport.protocol.pauseProducing()
        self.steps(1)
        self.assertLess(len(transport.value()) - sent, 2 * PIECE)
        self.assertEqual(self.memory_site.blocking.waiting, 0)
        open_files = [os.readlink(f"/proc/self/fd/{fd}") for fd in open_descriptors()]
        self.assertNotIn(self.large, open_files)
        transport.protocol.resumeProducing()
        while self.memory_site.blocking.waiting:
            self.steps(1)
        self.assertEqual(len(read_tar(self.answer(transport).body)["big/large.nii"]), 5 * PIECE)

    def cut_by(self, change: Callable[[], object]) -> None:
        """The body is cut off if this is done half way, and the log says why."""
        for name in READ:
            write(self.large, bytes(5 * PIECE))
            transport = self.begin(f"/big/?archive={name}")
            self.steps(3)
            change()
            while self.memory_site.blocking.waiting:
                self.steps(1)
            self.assertTrue(transport.aborted)
            answer = parse_answer(transport.value())
            self.assertLess(len(answer.body), int(answer.headers["content-length"]))
            formatted = [event["log_format"] for event in self.events if "name" in event]
            self.assertEqual(len(formatted), 1)
            self.assertEqual(self.events[-1]["name"], "big/large.nii")
            self.events.clear()

    def test_truncated(self) -> None:
        """A file that is truncated half way cuts the body."""
        self.cut_by(lambda: os.truncate(self.large, PIECE))

    def test_grown(self) -> None:
        """So does one that grows,"""
        self.cut_by(lambda: os.truncate(self.large, 6 * PIECE))

    def test_rewritten(self) -> None:
        """one that is written to,"""
        self.cut_by(lambda: os.utime(self.large, ns=(0, 0)))

    def test_replaced(self) -> None:
        """one that is replaced by another of the same size and time,"""

        def replace() -> None:
            st = os.stat(self.large)
            other = write(self.large + ".new", bytes(5 * PIECE))
            os.utime(other, ns=(st.st_atime_ns, st.st_mtime_ns))
            os.rename(other, self.large)

        self.cut_by(replace)

    def test_removed(self) -> None:
        """and one that is removed."""
        self.cut_by(lambda: os.remove(self.large))

    def test_changed_between(self) -> None:
        """A file that changes its size before anything is sent is a 503."""
        transport = self.begin("/big/?archive=tar")
        self.steps(1)
        os.truncate(self.large, 7)
        self.steps(1)
        answer = parse_answer(transport.value())
        self.assertEqual((answer.status, transport.aborted), (503, False))
        self.assertNotIn("content-disposition", answer.headers)

    def test_disk_fails(self) -> None:
        """A disk that does not answer any more cuts the body; before it began, it is a 503."""
        transport = self.begin("/big/?archive=tar")
        self.memory_site.blocking.fail(Unavailable("A disk does not answer."))
        self.assertEqual(parse_answer(transport.value()).status, 503)
        transport = self.begin("/big/?archive=tar")
        self.steps(2)
        self.memory_site.blocking.fail(Unavailable("A disk does not answer."))
        self.assertTrue(transport.aborted)

    def test_bound(self) -> None:
        """A client has a few archives at once, and all have some more; one that ends makes room."""
        transports = [self.begin("/big/?archive=tar", FAR) for _ in range(MAX_PER_CLIENT)]
        self.assertTrue(self.is_refused("/big/?archive=tar", FAR))
        for number in range(MAX_ARCHIVES - MAX_PER_CLIENT):
            self.assertFalse(self.is_refused("/big/?archive=zip", f"198.51.100.{number}"))
        self.assertTrue(self.is_refused("/big/?archive=tar", "198.51.100.99"))
        transports[0].lose()
        self.assertFalse(self.is_refused("/big/?archive=tar", FAR))

    def test_client_goes(self) -> None:
        """When the client goes, nothing more is read, in whatever phase it was."""
        for steps in range(5):
            transport = self.begin("/big/?archive=zip")
            self.steps(steps)
            transport.lose()
            self.assertEqual(self.memory_site.blocking.waiting, 0)
        self.assertFalse(self.is_refused("/big/?archive=tar"))


def open_descriptors() -> list[str]:
    if not os.path.isdir("/proc/self/fd"):
        raise SkipTest("there is no /proc/self/fd on this system")
    return [fd for fd in os.listdir("/proc/self/fd") if os.path.lexists(f"/proc/self/fd/{fd}")]


class LinkTests(SynchronousTestCase):
    """With --private, and by signed links."""

    def setUp(self) -> None:
        self.memory_site = MemorySite(os.path.realpath(self.mktemp()), private=True)
        write(os.path.join(self.memory_site.documents, "study", "a.png"), b"png")

    def link(self, path: str, **more: object) -> str:
        bearer = {"Authorization": f"Bearer {TOKEN}"}
        answer = self.memory_site.post("/links", {"path": path, **more}, headers=bearer, peer=FAR)
        url: str = answer.json["url"]
        return url.removeprefix("https://localhost:8888")

    def test_private(self) -> None:
        """An archive needs what the folder needs: the token, or a link to what is below it."""
        path = "/study/?archive=zip"
        self.assertEqual(self.memory_site.ask(path).status, 401)
        bearer = {"Authorization": f"Bearer {TOKEN}"}
        self.assertEqual(self.memory_site.ask(path, headers=bearer).status, 200)
        link = self.link("/study/", prefix=True)
        answer = self.memory_site.ask(f"{link}?archive=zip", peer=FAR)
        self.assertEqual(read_zip(answer.body), {"study/a.png": b"png"})
        self.assertEqual(answer.headers["cache-control"], "no-store")

    def test_one_page(self) -> None:
        """A link to the page of a folder alone gives no archive: it is not for what is below."""
        link = self.link("/study/")
        self.assertEqual(self.memory_site.ask(link, peer=FAR).status, 200)
        answer = self.memory_site.ask(f"{link}?archive=tar", peer=FAR)
        self.assertEqual(answer.status, 403)
        self.assertIn("prefix", answer.json["detail"])


def run(program: str, *arguments: str | Path, cwd: Path | None = None) -> bytes:
    """The output of a program; SkipTest if there is none of this name."""
    path = shutil.which(program)
    if path is None:
        raise SkipTest(f"no {program} here")
    done = subprocess.run(
        [path, *arguments], cwd=cwd, capture_output=True, timeout=PATIENCE, check=False
    )
    if done.returncode:
        raise AssertionError(f"{program}: {(done.stdout + done.stderr).decode()[-2000:]}")
    return done.stdout


def seven_zip() -> str:
    """7-Zip's name: 7zz of its maker, 7z of p7zip."""
    return "7zz" if shutil.which("7zz") else "7z"


class ProgramTests(SynchronousTestCase):
    """Archives of a real daemon, over HTTPS, unpacked by the programs that people have."""

    def setUp(self) -> None:
        self.daemon: Daemon = shared_daemon("archived")
        self.study = self.daemon.folder / "output" / "study"
        if not self.study.exists():
            fill(self.study)
            (self.study / "empty folder").mkdir()
            write(os.fsdecode(os.fsencode(self.study) + b"/raw\xff.png"), b"raw")
        self.out = Path(self.mktemp()).resolve()
        self.out.mkdir()

    def fetch(self, name: str) -> Path:
        path = self.out / f"fetched.{name}"
        url = f"{self.daemon.url}study/?archive={name}"
        curl("--cacert", str(self.daemon.ca), "--fail", "--output", str(path), url)
        return path

    def assert_unpacked(self, raw: bytes) -> None:
        """All is there, with its times; ``raw`` is the name of what is not UTF-8."""
        unpacked = self.out / "study"
        for name, data in FILES.items():
            self.assertEqual((unpacked / name).read_bytes(), data)
            self.assertEqual(int((unpacked / name).stat().st_mtime), MTIME)
        self.assertTrue((unpacked / "empty folder").is_dir())
        with open(os.fsencode(unpacked) + b"/" + raw, "rb") as file:
            self.assertEqual(file.read(), b"raw")
        self.assertEqual(len(list(unpacked.iterdir())), len(list(self.study.iterdir())))

    def test_tar(self) -> None:
        """GNU tar."""
        run("tar", "-xf", self.fetch("tar"), cwd=self.out)
        self.assert_unpacked(b"raw\xff.png")

    def test_bsdtar(self) -> None:
        """bsdtar, of both formats, as macOS, FreeBSD and Windows have it."""
        run("bsdtar", "-xf", self.fetch("tar"), cwd=self.out)
        self.assert_unpacked(b"raw\xff.png")
        shutil.rmtree(self.out / "study")
        run("bsdtar", "-xf", self.fetch("zip"), cwd=self.out)
        self.assert_unpacked(b"raw%FF.png")

    def test_unzip(self) -> None:
        """Info-ZIP's unzip; it escapes controls in names, and so only tests them."""
        path = self.fetch("zip")
        self.assertIn(b"No errors detected", run("unzip", "-t", path))
        self.assertEqual(run("unzip", "-p", path, "study/deep/er/b.png"), b"png")

    def test_7zip(self) -> None:
        """7-Zip."""
        for name in READ:
            self.assertIn(b"Everything is Ok", run(seven_zip(), "t", self.fetch(name)))
        run(seven_zip(), "x", self.fetch("zip"), cwd=self.out)
        self.assert_unpacked(b"raw%FF.png")

    def test_huge(self) -> None:
        """The length of a folder with a file of 9 GB is promised at once."""
        large, size = self.daemon.folder / "output" / "huge" / "a.raw", 9 * 10**9
        write(str(large))
        os.truncate(large, size)
        for name in READ:
            url = f"{self.daemon.url}huge/?archive={name}"
            head = curl("--cacert", str(self.daemon.ca), "--head", "--fail", url)
            length = int(head.lower().partition(b"content-length:")[2].split()[0])
            self.assertGreater(length, size)
            self.assertLess(length, size + 20_480)


class SparseTests(SynchronousTestCase):
    """What follows a file of 9 GB, which needs zip64 and pax, is found by every program."""

    def archive(self, name: str) -> Path:
        """An archive of ``a.raw``, whose zeros the disk does not hold, and of ``b.txt``."""
        layout = ArchiveLayout(FORMATS[name], "top", 10**11)
        layout.add("a.raw", Entry("a.raw", False, 9 * 10**9, 0))
        layout.add("b.txt", Entry("b.txt", False, 5, 0))
        path = Path(self.mktemp()).resolve()
        crc, offset, entries = zlib.crc32(b"after"), 0, []
        with path.open("wb") as file:
            for number, (_, member) in enumerate(layout.members()):
                head, tail = layout.format.head(member), layout.format.tail(member, crc)
                file.seek(offset)
                file.write(head + b"after" * number)
                file.seek(offset + len(head) + member.size)
                file.write(tail)
                entries.append(layout.format.directory_entry(member, crc, offset))
                offset += layout.span(member)
            file.write(b"".join(entries) + layout.end())
        self.assertEqual(path.stat().st_size, layout.size)
        return path

    def test_tar(self) -> None:
        """GNU tar."""
        path = self.archive("tar")
        self.assertIn(b" 9000000000 ", run("tar", "-tvf", path))
        self.assertEqual(run("tar", "-xOf", path, "top/b.txt"), b"after")

    def test_unzip(self) -> None:
        """Info-ZIP's unzip."""
        path = self.archive("zip")
        self.assertIn(b"\n9000000000 ", run("unzip", "-l", path))
        self.assertEqual(run("unzip", "-p", path, "top/b.txt"), b"after")

    def test_bsdtar(self) -> None:
        """bsdtar."""
        for name in READ:
            self.assertEqual(run("bsdtar", "-xOf", self.archive(name), "top/b.txt"), b"after")

    def test_7zip(self) -> None:
        """7-Zip."""
        for name in READ:
            path = self.archive(name)
            self.assertIn(b" 9000000000 ", run(seven_zip(), "l", path))
            self.assertEqual(run(seven_zip(), "e", "-so", path, "top/b.txt"), b"after")
