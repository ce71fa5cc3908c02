"""From a file to its picture: made once, kept, and never of another version of the file."""

from __future__ import annotations

import os
import shutil

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from imgd.errors import ImgdError, NotFound, Unavailable, UnsupportedMediaType
from imgd.files.disk import Root
from imgd.pictures import maker
from imgd.pictures.cache import PictureCache
from imgd.pictures.failures import LIFE
from imgd.pictures.maker import MAX_EXTRAS, Pictures
from imgd.pictures.picture_source import PictureSource
from imgd.pictures.views import View, ViewKind
from imgd.pictures.waiting import Picture
from tests.fakes import Blocking, write
from tests.pictures.fake_pool import FakePool

THUMB = View(ViewKind.THUMB, 256)
SLICE = View(ViewKind.SLICE)
BROKEN = ImgdError.of(415, "Not a picture that can be shown: it is cut off.")


class PicturesCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = os.path.realpath(self.mktemp())
        self.root = Root(os.path.join(self.folder, "images"))
        self.clock, self.blocking, self.pool = Clock(), Blocking(), FakePool()
        self.pictures = self.make()
        self.file("a.png", b"first")

    def make(self, version: bytes = b"1", limit: int = 1_000_000) -> Pictures:
        cache = PictureCache(os.path.join(self.folder, "cache"), limit, self.blocking)
        return Pictures(self.pool, cache, self.blocking, self.clock.seconds, version)

    def file(self, name: str, data: bytes = b"data") -> str:
        return write(os.path.join(self.root.path, name), data)

    def find(self, *names: str) -> PictureSource:
        return self.successResultOf(Deferred.fromCoroutine(self.pictures.find(self.root, names)))

    def begin(self, name: str = "a.png", view: View = THUMB) -> Deferred[bytes]:
        """The picture's bytes, when it is made."""

        async def work() -> bytes:
            source = await self.pictures.find(self.root, (name,), "192.0.2.1")
            try:
                picture = await self.pictures.picture(source, view, "192.0.2.1")
            finally:
                source.close()
            body = picture.read(0, picture.facts.size)
            picture.close()
            return body

        return Deferred.fromCoroutine(work())

    def get(self, name: str = "a.png", view: View = THUMB) -> bytes:
        return self.successResultOf(self.begin(name, view))

    def fail_to_get(self, name: str = "a.png", view: View = THUMB) -> ImgdError:
        error = self.failureResultOf(self.begin(name, view)).value
        assert isinstance(error, ImgdError)
        return error


class MakingTests(PicturesCase):
    def test_kept(self) -> None:
        """A picture is made once, and is there after a restart; the pool learns who asks."""
        body = self.get()
        self.pictures = self.make()
        self.assertEqual(self.get(), body)
        self.assertEqual([asked.client for asked in self.pool.asked], ["192.0.2.1"])

    def test_newer_code(self) -> None:
        """Code of another version makes it anew, under another tag."""
        self.get()
        before = self.find("a.png").etag(THUMB)
        self.pictures = self.make(b"2")
        self.get()
        self.assertEqual(len(self.pool.views), 2)
        self.assertNotEqual(self.find("a.png").etag(THUMB), before)

    def test_one_file(self) -> None:
        """A file is one whatever path leads to it; a copy is another."""
        os.symlink("a.png", os.path.join(self.root.path, "link.png"))
        self.root = Root(self.root.path, follow_symlinks=True)
        shutil.copy2(os.path.join(self.root.path, "a.png"), os.path.join(self.root.path, "b.png"))
        keys = [self.find(name).key for name in ("a.png", "link.png", "b.png")]
        self.assertEqual(keys[0], keys[1])
        self.assertNotEqual(keys[0], keys[2])
        self.assertNotEqual(self.find("a.png").etag(THUMB), self.find("a.png").etag(SLICE))

    def test_changed_while_read(self) -> None:
        """A file that changes while it is read gives 503, and nothing is kept of it."""
        self.pool.while_made = lambda: self.file("a.png", b"second, longer")
        self.assertIsInstance(self.fail_to_get(), Unavailable)
        self.pool.while_made = lambda: None
        self.assertTrue(self.get().startswith(b"second"))
        self.assertEqual(len(self.pool.views), 2)

    def test_broken_while_written(self) -> None:
        """So it is if the pool found it broken, for it may be whole now."""
        self.pool.error = BROKEN
        self.pool.while_made = lambda: self.file("a.png", b"second, longer")
        self.assertEqual(self.fail_to_get().status, 503)

    def test_cancelled(self) -> None:
        """Who goes leaves the pool, and the file is closed."""
        self.pool.held = True
        waiting = self.begin()
        waiting.cancel()
        self.failureResultOf(waiting)
        self.assertEqual(self.pool.cancelled, 1)

    def test_missing(self) -> None:
        """A file that is not there, or not below the root, is NotFound."""
        for names in (("none.png",), ("..", "x"), ("a.png", "b")):
            work = Deferred.fromCoroutine(self.pictures.find(self.root, names))
            self.failureResultOf(work, NotFound)

    def test_off(self) -> None:
        """Without a pool, it is 501 and says why."""
        self.pictures = maker.make(None, "", 0, self.blocking, self.clock.seconds)
        self.assertFalse(self.pictures.are_offered)
        error = self.fail_to_get()
        self.assertEqual((error.status, error.detail), (501, maker.NO_WORKERS))

    def test_made(self) -> None:
        """With a pool, pictures are kept in the state folder, under the version of this code."""
        for _ in range(2):
            seconds = self.clock.seconds
            self.pictures = maker.make(self.pool, self.folder, 10**6, self.blocking, seconds)
            self.get()
        self.assertEqual(len(self.pool.views), 1)
        self.assertEqual(len(os.listdir(os.path.join(self.folder, "pictures"))), 1)


class FailureTests(PicturesCase):
    def test_remembered(self) -> None:
        """What cannot be shown is not tried again for ten minutes, unless the file changes."""
        self.pool.error = BROKEN
        for _ in range(3):
            error = self.fail_to_get()
            self.assertEqual((error.status, error.detail), (415, BROKEN.detail))
        self.assertEqual(len(self.pool.views), 1)
        self.pool.error = None
        self.get(view=SLICE)
        self.clock.advance(LIFE - 1)
        self.fail_to_get()
        self.clock.advance(1)
        self.get()

    def test_changed(self) -> None:
        """A file that was written again is tried again."""
        self.pool.error = BROKEN
        self.fail_to_get()
        self.pool.error = None
        self.file("a.png", b"second")
        self.assertTrue(self.get().startswith(b"second"))

    def test_passing(self) -> None:
        """A pool that is busy or broken is asked again."""
        for status in (503, 500):
            self.pool.error = ImgdError.of(status, "Not now.")
            self.assertEqual(self.fail_to_get().status, status)
        self.pool.error = None
        self.get()


class CompanionTests(PicturesCase):
    def setUp(self) -> None:
        super().setUp()
        self.file("b.hdr", b"header")
        self.file("b.img", b"voxels")
        self.pool.companions = ["b.img"]

    def test_two_files(self) -> None:
        """A volume in two files is made of both, and of their present versions."""
        self.assertTrue(self.get("b.hdr").startswith(b"header voxels "))
        self.assertEqual(self.pool.asked[-1].names, ("b.hdr", "b.img"))
        self.get("b.hdr")
        self.assertEqual(len(self.pool.asked), 2)  # one of them for the name
        self.file("b.img", b"others")
        self.assertTrue(self.get("b.hdr").startswith(b"header others "))

    def test_names(self) -> None:
        """The worker is asked only for files that may be half of a volume."""
        for name, asked in (
            ("c.img", 2),
            ("c.HDR", 2),
            ("c.mhd", 2),
            ("c.nhdr", 2),
            ("c.raw.gz", 2),
            ("c.nii.gz", 1),
            ("c.png", 1),
            ("img", 1),
        ):
            self.file(name)
            self.pool.asked.clear()
            self.get(name)
            self.assertEqual(len(self.pool.asked), asked, name)

    def test_missing(self) -> None:
        """A file whose data is not here, not served, or elsewhere, is a 415 that names it."""
        self.file(".hidden.img")
        write(os.path.join(self.folder, "outside.img"))
        outside = ("../outside.img", "/etc/hostname", "a/b")
        for name in ("none.img", ".hidden.img", *outside, "", "x\0"):
            self.file("b.hdr", name.encode() + b" header")
            self.pool.companions = [name]
            for _ in range(2):  # the second is remembered
                self.pool.error = BROKEN
                error = self.fail_to_get("b.hdr")
                self.assertIsInstance(error, UnsupportedMediaType)
                why = f"Not a picture that can be shown: its data, {name}, is not here."
                self.assertEqual(error.detail, why)

    def test_picture_by_itself(self) -> None:
        """A file that is a picture without another half is shown, whatever its suffix says."""
        self.pool.companions = ["b.hdr"]
        os.unlink(os.path.join(self.root.path, "b.hdr"))
        self.assertTrue(self.get("b.img").startswith(b"voxels "))
        self.pool.error = ImgdError.of(422, "It takes too much memory.")
        self.assertEqual(self.fail_to_get("b.img", SLICE).status, 422)

    def test_headers(self) -> None:
        """Of headers that a file may have, the first that is here is taken; one must be."""
        self.pool.companions, self.pool.are_headers = ["b.mhd", "b.hdr", "none.hdr"], True
        self.assertTrue(self.get("b.img").startswith(b"voxels header "))
        self.pool.companions = ["b.mhd", "b.nhdr"]
        self.file("b.img", b"other voxels")
        self.pool.error = BROKEN
        error = self.fail_to_get("b.img")
        self.assertIsInstance(error, UnsupportedMediaType)
        why = "its header, b.mhd or b.nhdr, is not here."
        self.assertEqual(error.detail, f"Not a picture that can be shown: {why}")

    def test_changed_while_read(self) -> None:
        """It is a 503 if the other file changes while it is read."""
        self.get("b.hdr", SLICE)
        self.pool.while_made = lambda: self.file("b.img", b"other voxels")
        self.assertIsInstance(self.fail_to_get("b.hdr"), Unavailable)

    def test_nonsense(self) -> None:
        """A worker that answers nonsense gets no file."""
        for body in (b"[]", b'{"names": 5}', b'{"names": [5]}', b"\xff", b""):
            self.pool.picture = lambda _files, view, body=body: Picture(view, "a/b", body)  # type: ignore[method-assign,misc]
            self.file("b.hdr", body + b" header")
            self.assertEqual(self.fail_to_get("b.hdr").status, 415)


class ExtraTests(PicturesCase):
    def extra(self, body: bytes = b"extra") -> None:
        self.pool.on_extra(self.pool.asked[0].source_key, Picture(SLICE, "image/png", body))

    def test_kept(self) -> None:
        """A picture that was made unasked is kept, and not made when it is asked for."""
        self.get()
        self.extra()
        self.assertEqual(self.get(view=SLICE), b"extra")
        self.assertEqual(self.pool.views, [THUMB])

    def test_changed(self) -> None:
        """It is not if its file has changed or gone, or nobody asked for any of it."""
        self.get()
        self.file("a.png", b"second, longer")
        self.extra()
        os.unlink(os.path.join(self.root.path, "a.png"))
        self.extra()
        self.pool.on_extra(b"unknown", Picture(SLICE, "image/png", b"extra"))
        self.file("a.png", b"first")
        self.assertNotEqual(self.get(view=SLICE), b"extra")

    def test_bounded(self) -> None:
        """If the disk does not keep up, others are dropped."""
        self.get()
        self.blocking.held = True
        for index in range(MAX_EXTRAS + 10):
            view = View(ViewKind.SLICE, index=index)
            self.pool.on_extra(self.pool.asked[0].source_key, Picture(view, "image/png", b"extra"))
        self.assertEqual(self.blocking.waiting, MAX_EXTRAS)
        self.blocking.fail(Unavailable("A disk does not answer."))
        self.blocking.held = False
        self.blocking.release()
        self.extra()
        self.assertEqual(self.get(view=SLICE), b"extra")

    def test_waited_for(self) -> None:
        """Who waits for a picture that is made for the sake of another gets it at once."""
        self.pool.held = True
        first, second = self.begin(), self.begin(view=SLICE)
        self.extra()
        self.assertEqual(self.successResultOf(second), b"extra")
        self.assertEqual(self.pool.cancelled, 1)
        self.assertNoResult(first)
        first.cancel()
        self.failureResultOf(first)

    def test_on_its_way(self) -> None:
        """A picture that is on its way to the disk is not made again."""
        self.get()
        self.blocking.held = True
        self.extra()
        asked = self.begin(view=SLICE)
        while self.blocking.waiting > 1:
            self.blocking._waiting.append(self.blocking._waiting.pop(0))  # the extra's turn is late
            self.blocking.step()
        self.blocking.held = False
        self.blocking.release()
        self.assertEqual(self.successResultOf(asked), b"extra")
        self.assertEqual(self.pool.views, [THUMB])
