"""Pictures on disk: whole or not there, bounded, and made again whatever happens to the folder."""

from __future__ import annotations

import hashlib
import os
import stat
import subprocess
import sys

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from imgd.errors import Unavailable
from imgd.pictures.cache import MAX_IN_MEMORY, PictureCache, PictureFile, in_memory
from tests.daemons import CHECKOUT
from tests.fakes import Blocking, log_lines, write
from tests.host.this_machine import public_folder, unprivileged

LARGE = bytes(range(256)) * 600
# A file size limit is a full disk that an ordinary user can have: the write itself fails.
FULL_DISK = """
import resource, signal, sys
from twisted.internet.defer import Deferred
from imgd.pictures.cache import PictureCache
from tests.fakes import Blocking
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
cache = PictureCache(sys.argv[1], 1_000_000, Blocking())
cache.put(sys.argv[3], "image/png", bytes(1000))
for key in sys.argv[2:]:
    found = Deferred.fromCoroutine(cache.get(key)).result
    print(found.body.decode() if found else found)
print(cache.size == 4096)
"""


def key_of(number: int) -> str:
    return hashlib.sha256(b"%d" % number).hexdigest()


def content(picture: PictureFile | None) -> tuple[str, bytes] | None:
    """Type and bytes of a picture, which is closed."""
    if picture is None:
        return None
    try:
        return picture.media_type, picture.read(0, picture.facts.size)
    finally:
        picture.close()


class CacheCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = os.path.join(os.path.abspath(self.mktemp()), "pictures")
        self.blocking = Blocking()
        self.cache = self.open()
        self.lines = log_lines(self, "imgd.pictures")

    def open(self, limit: int = 1_000_000) -> PictureCache:
        return PictureCache(self.folder, limit, self.blocking)

    def get(self, number: int) -> tuple[str, bytes] | None:
        work = Deferred.fromCoroutine(self.cache.get(key_of(number)))
        return content(self.successResultOf(work))

    def put(self, number: int, body: bytes = b"picture") -> None:
        self.successResultOf(self.cache.put(key_of(number), "image/png", body))

    def path(self, number: int) -> str:
        key = key_of(number)
        return os.path.join(self.folder, key[:2], key[2:] + ".picture")


class CacheTests(CacheCase):
    def test_kept(self) -> None:
        """What was put is there, of any length, and after a restart; nothing else is."""
        for number, body in enumerate((b"picture", LARGE, b"", bytes(MAX_IN_MEMORY))):
            self.put(number, body)
        for _ in range(2):
            for number, body in enumerate((b"picture", LARGE, b"", bytes(MAX_IN_MEMORY))):
                self.assertEqual(self.get(number), ("image/png", body))
            self.assertIsNone(self.get(9))
            self.cache = self.open()
        self.assertEqual(self.lines, [])

    def test_private(self) -> None:
        """Folders and files are the owner's alone."""
        self.put(1)
        for path, mode in (
            (self.folder, 0o700),
            (os.path.dirname(self.path(1)), 0o700),
            (self.path(1), 0o600),
        ):
            self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), mode)

    def test_not_whole(self) -> None:
        """A file that is cut, longer, changed, or another's is never sent, and goes."""
        self.put(1, LARGE)
        with open(self.path(1), "rb") as file:
            whole = file.read()
        damaged = (
            b"",
            whole[:10],
            whole[:-1],
            whole[1:],
            whole + b"\0",
            bytes(len(whole)),
            whole[:1000] + b"x" + whole[1001:],
        )
        for data in damaged:
            write(self.path(1), data)
            self.cache = self.open()
            self.assertIsNone(self.get(1))
            self.assertFalse(os.path.exists(self.path(1)))
        write(self.path(2), whole)
        self.cache = self.open()
        self.assertIsNone(self.get(2))

    def test_bounded(self) -> None:
        """No more bytes of disk are taken than the limit; the least recently used goes first."""
        self.cache = self.open(4096 * 3)
        for number in (1, 2, 3):
            self.put(number)
        self.get(1)
        self.put(4)
        self.assertEqual(self.cache.size, 4096 * 3)
        self.assertIsNone(self.get(2))
        self.assertFalse(os.path.exists(self.path(2)))
        for number in (1, 3, 4):
            self.assertEqual(self.get(number), ("image/png", b"picture"))

    def test_too_large(self) -> None:
        """A picture above the limit is not kept, and throws out no other."""
        self.cache = self.open(4096)
        self.put(1)
        self.put(2, LARGE)
        self.assertIsNone(self.get(2))
        self.assertIsNotNone(self.get(1))

    def test_order_of_use(self) -> None:
        """The order of use outlives a restart, and a lower limit holds from then on."""
        for number in (1, 2, 3):
            self.put(number)
            os.utime(self.path(number), (number, number))
        self.get(1)
        self.cache = self.open(4096 * 2)
        self.put(4)
        self.assertEqual([self.get(number) is not None for number in (1, 2, 3, 4)], [1, 0, 0, 1])

    def test_off(self) -> None:
        """Without a limit nothing is kept, and what was kept before is deleted."""
        self.put(1)
        self.cache = self.open(0)
        self.get(1)
        self.put(2)
        self.assertFalse(os.path.exists(self.path(1)) or os.path.exists(self.path(2)))

    def test_off_from_the_start(self) -> None:
        """Without a limit there is not even a folder."""
        self.cache = self.open(0)
        self.put(1)
        self.assertIsNone(self.get(1))
        self.assertFalse(os.path.exists(self.folder))

    def test_foreign_files(self) -> None:
        """Files of others are left alone and not counted; leftovers of a killed process go."""
        self.put(1)
        shard = os.path.dirname(self.path(1))
        foreign = [
            write(os.path.join(folder, name))
            for folder in (self.folder, shard)
            for name in ("notes.txt", "a" * 62, "x.picture", "a" * 63 + ".picture")
        ]
        leftover = write(os.path.join(shard, ".imgd-0123.tmp"))
        self.cache = self.open(4096)
        self.put(2)
        self.assertEqual(self.cache.size, 4096)
        self.assertTrue(all(map(os.path.exists, foreign)))
        self.assertFalse(os.path.exists(leftover))

    def test_asked_before_it_is_read(self) -> None:
        """What is there is found, and what comes is kept, while the folder is still being read."""
        self.put(1)
        self.cache = self.open()
        self.blocking.held = True
        got = Deferred.fromCoroutine(self.cache.get(key_of(1)))
        self.cache.put(key_of(2), "image/png", b"two")
        scan = self.blocking._waiting.pop(0)
        self.blocking.release()
        self.assertEqual(content(self.successResultOf(got)), ("image/png", b"picture"))
        self.blocking.held = False
        scan[1]().chainDeferred(scan[0])
        self.assertEqual(self.cache.size, 4096 * 2)

    def test_put_twice(self) -> None:
        """A picture that is being written, or is there, is not written again."""
        self.put(0)
        self.blocking.held = True
        for _ in range(2):
            self.cache.put(key_of(1), "image/png", b"one")
        self.cache.put(key_of(0), "image/png", b"none")
        self.assertEqual(self.blocking.waiting, 1)
        self.blocking.release()

    def test_many_entries(self) -> None:
        """However large the limit is, no more than so many are known."""
        self.cache = PictureCache(self.folder, 1_000_000, self.blocking, max_entries=2)
        for number in (1, 2, 3):
            self.put(number)
        self.assertEqual([self.get(number) is not None for number in (1, 2, 3)], [0, 1, 1])

    def test_cancelled(self) -> None:
        """Who waits for a picture to be kept may go: it is kept, and counted."""
        self.blocking.held = True
        waiting = self.cache.put(key_of(1), "image/png", b"one")
        waiting.addErrback(lambda _: None)
        waiting.cancel()
        self.blocking.held = False
        self.blocking.release()
        self.assertEqual(self.get(1), ("image/png", b"one"))


class FailureTests(CacheCase):
    def test_folder_deleted(self) -> None:
        """A folder that was deleted is made again, and nothing is said."""
        self.put(1)
        os.rename(self.folder, self.folder + ".away")
        self.assertIsNone(self.get(1))
        self.put(1)
        self.put(2, LARGE)
        self.assertEqual(self.get(1), ("image/png", b"picture"))
        self.assertEqual(self.get(2), ("image/png", LARGE))
        self.assertEqual(self.lines, [])

    def test_file_deleted(self) -> None:
        """A picture that was deleted is not there, and counts no more."""
        self.put(1)
        os.unlink(self.path(1))
        self.assertIsNone(self.get(1))
        self.assertEqual(self.cache.size, 0)

    def test_not_a_folder(self) -> None:
        """While nothing can be written one line says so, and one that it works again."""
        write(self.folder)
        for number in range(5):
            self.put(number)
            self.assertIsNone(self.get(number))
        self.assertEqual(len(self.lines), 1)
        self.assertIn("cannot be kept in " + self.folder, self.lines[0])
        os.unlink(self.folder)
        self.put(7)
        self.put(8)
        self.assertEqual(len(self.lines), 2)
        self.assertIn("again", self.lines[1])
        self.assertEqual(self.get(7), ("image/png", b"picture"))

    def test_read_only(self) -> None:
        """In a read-only folder what is there is found, and nothing is added."""
        self.folder = os.path.join(public_folder(self), "pictures")
        self.cache = self.open()
        self.put(1)
        for path, mode in (
            (self.folder, 0o555),
            (os.path.dirname(self.path(1)), 0o555),
            (self.path(1), 0o444),
        ):
            os.chmod(path, mode)
        with unprivileged():
            self.put(2)
            self.assertIsNone(self.get(2))
            self.assertIsNotNone(self.get(1))
        for path in (self.folder, os.path.dirname(self.path(1))):
            os.chmod(path, 0o755)
        self.assertEqual(len(self.lines), 1)
        self.assertIn("Permission denied", self.lines[0])

    def test_full_disk(self) -> None:
        """A full disk keeps no half of a picture, and what was there is sent on."""
        self.put(1)
        command = [sys.executable, "-c", FULL_DISK, self.folder, key_of(1), key_of(2)]
        env = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
        done = subprocess.run(command, check=False, capture_output=True, text=True, env=env)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertEqual(done.stdout.split(), ["picture", "None", "True"])
        self.assertEqual(os.listdir(os.path.dirname(self.path(2))), [])

    def test_hanging_disk(self) -> None:
        """A disk that does not answer means no picture and no error."""
        self.put(1)
        self.blocking.held = True
        got = Deferred.fromCoroutine(self.cache.get(key_of(1)))
        put = self.cache.put(key_of(2), "image/png", b"two")
        for _ in range(2):
            self.blocking.fail(Unavailable("A disk does not answer."))
        self.assertIsNone(self.successResultOf(got))
        self.successResultOf(put)
        self.assertEqual(len(self.lines), 1)


class MemoryTests(SynchronousTestCase):
    def test_in_memory(self) -> None:
        """A picture without a disk gives its bytes, and has a descriptor only if it is large."""
        for body in (b"", b"small", LARGE):
            picture = in_memory("image/png", body)
            self.assertEqual(picture.fd >= 0, len(body) > MAX_IN_MEMORY)
            self.assertTrue(picture.is_unchanged())
            self.assertEqual(picture.read(3, 4), body[3:7])
            self.assertEqual(content(picture), ("image/png", body))
