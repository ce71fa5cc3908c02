"""What the fast path keeps in memory is what a read would give, with one entry for a file."""

from __future__ import annotations

import mmap
import os
import time
from typing import Any
from unittest import SkipTest

from twisted.internet.defer import Deferred, fail
from twisted.trial.unittest import SynchronousTestCase

from imgd.core.conditional import parse_date
from imgd.core.plan import plan
from imgd.core.request_head import RequestHead, parse_head
from imgd.core.routes import RESERVED
from imgd.errors import Unavailable
from imgd.files import write_back
from imgd.files.disk import Root
from imgd.web.fast_path import DisabledFastPath, FastPath
from imgd.web.file_cache import CachedFile, FileCache
from imgd.web.memory_admission import MAX_WAITING, Read
from tests.fakes import Blocking, MemorySite, parse_answer, write
from tests.files.test_write_back import SHARED_MEMORY, mapped, need_write_back, next_tick
from tests.web.test_fast_path import MEMORY, use_fast_path

LATER = 60.0  # seconds
SIZE = 20_000


class MappedTests(SynchronousTestCase):
    """Who stores through a shared mapping is seen by the next request."""

    def setUp(self) -> None:
        self.memory_site = MemorySite(self.folder())
        self.path = write(os.path.join(self.memory_site.documents, "a.raw"), bytes(SIZE))
        self.fast_path = use_fast_path(self.memory_site, later=LATER)
        self.addCleanup(self.memory_site.clock.advance, 0)  # when files of a turn are closed

    def folder(self) -> str:
        return os.path.abspath(str(self.mktemp()))

    def check(self, memory: mmap.mmap) -> None:
        """Whole, in part, and through the tree, it is what stands in the file."""
        before = self.fast_path.count
        self.assertEqual(self.memory_site.ask("/a.raw").body, bytes(memory))
        part = self.memory_site.ask("/a.raw", headers={"Range": "bytes=0-99"})
        self.assertEqual((part.status, part.body), (206, memory[:100]))
        self.assertEqual(self.fast_path.count, before + 2)
        fast_path, self.memory_site.site.fast_path = self.fast_path, DisabledFastPath()
        self.assertEqual(self.memory_site.ask("/a.raw").body, bytes(memory))
        self.memory_site.site.fast_path = fast_path  # type: ignore[assignment]
        self.memory_site.clock.advance(0)

    def test_dirty_page(self) -> None:
        """A store to a page that is dirty, which moves no time, is answered at once."""
        with mapped(self.path) as memory:
            for number in range(1, 30):
                memory[number] = number
                self.check(memory)
                self.check(memory)  # which may keep it
                next_tick(self.path)

    def test_rewritten_in_one_turn(self) -> None:
        """So it is within one turn of the reactor, while the file is open for it."""
        with mapped(self.path) as memory:
            memory[0] = 1
            self.memory_site.ask("/a.raw")
            for number in range(2, 20):
                memory[0] = number
                self.assertEqual(self.memory_site.ask("/a.raw").body, bytes(memory))
                next_tick(self.path)


class MappedInMemoryTests(MappedTests):
    """The same on tmpfs, where no store but the first ever moves a time."""

    def folder(self) -> str:
        if not os.path.isdir(SHARED_MEMORY):
            raise SkipTest("no tmpfs")
        path = os.path.join(SHARED_MEMORY, f"imgd-test-{os.getpid()}-{self.id()}")
        self.addCleanup(lambda: remove_tree(path))
        return path


def remove_tree(path: str) -> None:
    """Remove a folder and what is in it."""
    for folder, folders, files in os.walk(path, topdown=False):
        for name in files:
            os.remove(os.path.join(folder, name))
        for name in folders:
            os.rmdir(os.path.join(folder, name))
    os.rmdir(path)


class FileCacheCase(SynchronousTestCase):
    """Files that are known, with what is read of them in the test's hands."""

    def setUp(self) -> None:
        self.memory_site = MemorySite(os.path.abspath(self.mktemp()))
        self.addCleanup(self.memory_site.clock.advance, 0)  # when files of a turn are closed
        self.aside = Blocking()
        self.reads: list[str] = []
        self.can_keep = True
        self.now = time.time() + LATER
        self.add("a.jpg")

    def add(self, name: str, data: bytes = bytes(SIZE)) -> str:
        return write(os.path.join(self.memory_site.documents, name), data)

    def files(
        self, memory: int = MEMORY, run_unawaited: Any = None, read: Read | None = None
    ) -> FileCache:
        root = Root(os.path.realpath(self.memory_site.documents), hidden=RESERVED)
        return FileCache(
            root,
            self.memory_site.manager,
            memory,
            lambda f: self.memory_site.clock.callLater(0, f),
            run_unawaited or self.aside.run_own,
            read or self.read,
        )

    def read(self, path: str, _stamp: object) -> bytes | None:
        self.reads.append(os.path.basename(path))
        if not self.can_keep:
            return None
        with open(path, "rb") as file:
            return file.read()

    def ask(self, files: FileCache, target: bytes = b"/a.jpg") -> CachedFile:
        """A GET as the fast path makes it."""
        known = files.get(target, self.now)
        assert known is not None
        whole = known.whole or files.whole(known, self.now)
        assert whole is not None
        self.assertEqual(whole[len(known.head) :], bytes(SIZE))
        return known


class KeepingTests(FileCacheCase):
    """When bytes are kept, and when they are not."""

    def test_second_request(self) -> None:
        """The second request for a file that has settled has it kept, and the third needs no disk
        but for the times.
        """
        files = self.files()
        for count in (0, 1, 1, 1):
            known = self.ask(files)
            self.assertEqual(len(self.reads), count)
        self.assertEqual(known.whole, known.head + bytes(SIZE))
        self.assertIs(self.ask(files), known)
        part = plan(known.representation, {b"range": b"bytes=0-4,7-8"}, self.now)
        self.assertEqual(files.read(known, part, self.now), files.read(known, part, self.now))
        self.assertEqual(len(self.reads), 1)

    def test_not_settled(self) -> None:
        """A young file is known, with its headers, and not kept before it has settled."""
        files = self.files()
        self.now = os.stat(self.add("a.jpg")).st_mtime_ns / 1e9 + 1
        first = [self.ask(files) for _ in range(3)]
        self.assertIs(first[1], first[2])
        self.assertEqual(self.reads, [])
        self.now += LATER
        self.ask(files)
        self.assertEqual(self.reads, ["a.jpg"])

    def test_cannot_be_kept(self) -> None:
        """Where nothing can be promised of its bytes, it is read ahead once, and read each time."""
        self.can_keep = False
        files = self.files()
        known = [self.ask(files) for _ in range(5)][-1]
        self.assertEqual((known.whole, self.reads), (b"", ["a.jpg"]))

    def test_unreadable(self) -> None:
        """A disk that fails keeps nothing, and is no failure of a request."""
        error = OSError(5, "Input/output error")
        files = self.files(run_unawaited=lambda *_: fail(error))
        self.assertEqual([self.ask(files) for _ in range(5)][-1].whole, b"")

    def test_bug(self) -> None:
        """Whatever else goes wrong there is logged, and no failure of a request."""
        files = self.files(run_unawaited=lambda *_: fail(ZeroDivisionError()))
        self.assertEqual([self.ask(files) for _ in range(5)][-1].whole, b"")
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_busy(self) -> None:
        """A machine that has no time for it now is tried again by the next request."""
        answers: list[Any] = [fail(Unavailable("Later.")), fail(Unavailable("Later."))]
        files = self.files(
            run_unawaited=lambda f, *args: (
                answers.pop() if answers else self.aside.run_own(f, *args)
            )
        )
        for _ in range(5):
            known = self.ask(files)
        self.assertEqual((self.reads, answers), (["a.jpg"], []))
        self.assertTrue(known.whole)

    def test_changed_meanwhile(self) -> None:
        """Bytes that come when the file is another one are not kept."""
        self.aside.held = True
        files = self.files()
        for _ in range(2):
            self.ask(files)
        next_tick(os.path.join(self.memory_site.documents, "a.jpg"))
        self.add("a.jpg")
        self.assertTrue(self.ask(files).whole)  # found anew
        self.aside.release()
        self.assertEqual(self.ask(files).whole, b"")

    def test_gone_meanwhile(self) -> None:
        """Nor are those of a file that has gone, in any answer."""
        self.aside.held = True
        files = self.files()
        for _ in range(2):
            self.ask(files)
        os.remove(os.path.join(self.memory_site.documents, "a.jpg"))
        self.assertIsNone(files.get(b"/a.jpg", self.now))
        self.aside.release()
        self.assertIsNone(files.get(b"/a.jpg", self.now))

    def test_disk_hangs(self) -> None:
        """While a disk does not answer, one read waits for it, few more are noted, and every
        request is answered.
        """
        started: list[Any] = []

        def hang(*work: Any) -> Deferred[Any]:
            started.append(work)
            return Deferred()

        files = self.files(10_000_000, run_unawaited=hang)
        for number in range(MAX_WAITING + 10):
            self.add(f"{number}.jpg")
        for _ in range(3):
            for number in range(MAX_WAITING + 10):
                self.ask(files, b"/%d.jpg" % number)
            self.memory_site.clock.advance(0)
        self.assertEqual(len(started), 1)

    def test_one_at_a_time(self) -> None:
        """Those that wait are read one after the other, as many as may wait."""
        self.aside.held = True
        files = self.files(10_000_000)
        for number in range(MAX_WAITING + 10):
            self.add(f"{number}.jpg")
        for _ in range(2):
            for number in range(MAX_WAITING + 10):
                self.ask(files, b"/%d.jpg" % number)
        for _ in range(MAX_WAITING):
            self.assertEqual(self.aside.waiting, 1)
            self.aside.release()
        self.assertEqual(self.aside.waiting, 0)
        self.assertEqual(self.reads, [f"{number}.jpg" for number in range(MAX_WAITING)])

    def test_large(self) -> None:
        """A file that is too large to be kept is not read for it."""
        path = self.add("v.nii", bytes(1_000_000))
        files = self.files()
        for _ in range(3):
            known = files.get(b"/v.nii", self.now)
            assert known is not None
            self.assertIsNone(files.whole(known, self.now))
            part = plan(known.representation, {b"range": b"bytes=0-9"}, self.now)
            self.assertEqual(files.read(known, part, self.now), bytes(10))
        self.assertEqual((self.reads, os.path.getsize(path)), ([], 1_000_000))

    def test_real_read(self) -> None:
        """With the real way of reading it is kept, too, where the file system allows."""
        need_write_back(os.path.join(self.memory_site.documents, "a.jpg"))
        files = self.files(read=write_back.read)
        self.assertTrue([self.ask(files) for _ in range(3)][-1].whole)


class SpellingTests(FileCacheCase):
    """A file has one entry, however its name is spelled."""

    def test_spellings(self) -> None:
        """Spellings of one name find its entry, and leave others in memory."""
        self.add("b.jpg")
        name = b"image.jpg"
        self.add(name.decode())
        files = self.files(3 * (SIZE + 3000))
        kept = [self.ask(files, b"/b.jpg") for _ in range(3)][-1]
        entry = [self.ask(files, b"/" + name) for _ in range(3)][-1]
        for bits in range(1, 2 ** len(name)):
            spelled = b"".join(
                b"%%%02x" % byte if bits >> place & 1 else b"%c" % byte
                for place, byte in enumerate(name)
            )
            self.assertIs(self.ask(files, b"/" + spelled), entry)
        self.assertIs(self.ask(files, b"/b.jpg"), kept)
        self.assertTrue(kept.whole)

    def test_collection(self) -> None:
        """Below /images/ and the current collection's own name, a file is one entry, too."""
        folder = os.path.join(os.path.dirname(self.memory_site.documents), "one")
        write(os.path.join(folder, "ü (1).jpg"), bytes(SIZE))
        self.memory_site.load(folder)
        files = self.files()
        canonical = b"/images/%C3%BC%20%281%29.jpg"
        entry = [self.ask(files, canonical) for _ in range(3)][-1]
        for target in (
            b"/images/%c3%bc%20(1).jpg",
            b"/collections/current/files/%C3%BC%20%281%29.jpg",
            b"/collections/current/files/%c3%bc%20(%31).jpg",
        ):
            self.assertIs(self.ask(files, target), entry)

    def test_own_names(self) -> None:
        """An escaped name of imgd's own means what it means to the tree."""
        folder = os.path.join(os.path.dirname(self.memory_site.documents), "one")
        write(os.path.join(folder, "c.jpg"), bytes(SIZE))
        self.memory_site.load(folder)
        files = self.files()
        entry = [self.ask(files, b"/images/c.jpg") for _ in range(3)][-1]
        for target in (b"/%69mages/c.jpg", b"/collection%73/current/files/c.jpg"):
            self.assertIs(self.ask(files, target), entry)


class ClockTests(FileCacheCase):
    """A wall clock that is set back, and files of a time to come."""

    def last_modified(self, fast_path: FastPath) -> tuple[int, int]:
        head = parse_head(b"GET /a.jpg HTTP/1.1\r\nHost: a\r\n\r\n")
        assert isinstance(head, RequestHead)
        answer = fast_path.answer(head, None)
        assert answer is not None
        headers = parse_answer(answer).headers
        modified, date = (headers[name].encode() for name in ("last-modified", "date"))
        return parse_date(modified) or 0, parse_date(date) or 0

    def test_set_back(self) -> None:
        """Last-Modified is never later than the Date beside it, kept or not."""
        fast_path = FastPath(
            self.files(), self.memory_site.site.header_policy, None, lambda: self.now
        )
        path = os.path.join(self.memory_site.documents, "a.jpg")
        written = int(os.stat(path).st_mtime)
        for now in (written + 60, written + 61, written + 62, written - 100, written + 63):
            self.now = now
            modified, date = self.last_modified(fast_path)
            self.assertEqual((modified, date), (min(written, now), now))

    def test_to_come(self) -> None:
        """Where a file's time is to come, Last-Modified goes with the clock, as in the tree."""
        path = os.path.join(self.memory_site.documents, "a.jpg")
        written = int(time.time()) + 1000
        os.utime(path, (written, written))
        fast_path = FastPath(
            self.files(), self.memory_site.site.header_policy, None, lambda: self.now
        )
        for now in (written - 500, written - 400, written + 100, written + 101):
            self.now = now
            self.assertEqual(self.last_modified(fast_path), (min(written, now), now))
