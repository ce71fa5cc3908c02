"""The pool, with worker processes that are real and a clock that is not."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

from pydicom.data import get_charset_files
from twisted.internet.defer import CancelledError, inlineCallbacks

from benchmarks.pictures.servers import family
from imgd.pictures.instances import MAX_BATCH, Instance, parse
from imgd.pictures.pool import MAX_WAITING
from imgd.pictures.views import INDEXES, Plane, View, ViewKind
from imgd.pictures.waiting import BUSY, CANNOT, MAX_VIEWS, Picture
from imgd.pictures.worker_slot import MAX_BYTES
from tests.pictures.pool_case import LARGE, THUMB, PoolCase


def cut(index: int) -> View:
    return View(ViewKind.SLICE, plane=Plane.AXIAL, index=index)


class MakeTests(PoolCase):
    @inlineCallbacks
    def test_made(self) -> Any:
        """A worker makes a view of a file that it was handed open."""
        picture = yield self.ask(self.pool("echo"), b"data")
        self.assertEqual(picture, Picture(THUMB, "image/png", b"data"))

    @inlineCallbacks
    def test_prepared(self) -> Any:
        """A worker can be started before there is work; it is the one that does it, and ends if
        there is none.
        """
        others = set(family(os.getpid()))
        pool = self.pool("counting", workers=2)
        pool.prepare()
        pool.prepare()
        [worker] = set(family(os.getpid())) - others
        picture = yield self.ask(pool, b"data")
        self.assertEqual(picture.body, b"1 %d" % worker)
        pool.prepare()
        self.assertEqual(set(family(os.getpid())) - others, {worker})
        self.clock.advance(1000)
        yield self.until(lambda: worker not in family(os.getpid()))

    @inlineCallbacks
    def test_imgd(self) -> Any:
        """The worker that imgd starts refuses what no decoder knows."""
        status, detail = yield self.refusal(self.ask(self.pool(), b"data"))
        self.assertEqual(status, 415)
        self.assertTrue(detail.startswith("Not a picture that can be shown: "), detail)

    @inlineCallbacks
    def test_once_for_all(self) -> Any:
        """One job for all who ask the same while it waits, and while it is under way."""
        pool = self.pool("counting")
        first, second = self.ask(pool, b"data"), self.ask(pool, b"data")
        body = yield self.body(first)
        self.assertEqual((yield self.body(second)), body)
        self.assertEqual(pool.status().made, 1)

    @inlineCallbacks
    def test_merged(self) -> Any:
        """All that waits of one file is made in one job."""
        pool = self.pool("counting")
        pictures = [self.ask(pool, b"data", view) for view in (THUMB, LARGE)]
        for picture in pictures:
            body = yield self.body(picture)
            self.assertEqual(body.split()[0], "2")

    @inlineCallbacks
    def test_gathered(self) -> Any:
        """A slice waits a moment for others of its volume, even if a worker is idle."""
        pool = self.pool("counting")
        yield self.ask(pool, b"other")
        yield self.settled(pool)
        pictures = [self.ask(pool, b"data", cut(index)) for index in range(3)]
        self.assertEqual(pool.status().busy, 0)
        self.clock.advance(0.02)
        for picture in pictures:
            body = yield self.body(picture)
            self.assertEqual(body.split()[0], "3")

    @inlineCallbacks
    def test_extras(self) -> Any:
        """What a worker makes unasked is passed on: a slice beside one that was asked for."""
        pool, unasked = self.pool("echo"), []
        pool.on_extra = lambda *extra: unasked.append(extra)
        slice_ = self.ask(pool, b"data", cut(5))
        self.clock.advance(1)
        self.assertEqual((yield self.body(slice_)), "data")
        self.assertEqual(unasked, [(b"data", Picture(cut(6), "image/png", b"extra"))])

    @inlineCallbacks
    def test_no_strange_extras(self) -> Any:
        """A view of another kind that nobody asked for is dropped, and so is one without end."""
        pool, unasked = self.pool("strange"), []
        pool.on_extra = lambda *extra: unasked.append(extra)
        slice_ = self.ask(pool, b"data", cut(5))
        self.clock.advance(1)
        self.assertEqual((yield self.refusal(slice_))[0], 415)
        self.assertEqual(len(unasked), 256)
        self.assertEqual({picture.view.kind for _, picture in unasked}, {ViewKind.SLICE})

    @inlineCallbacks
    def test_too_much(self) -> Any:
        """A worker that sends more than the pictures of a job can be is killed."""
        pool, unasked = self.pool("flood"), []
        pool.on_extra = lambda *extra: unasked.append(len(extra[1].body))
        self.assertEqual((yield self.refusal(self.ask(pool, b"data")))[0], 422)
        self.assertEqual(sum(unasked), MAX_BYTES)
        self.assertIn("ended over data.bin: it sent too much", self.lines[0])

    @inlineCallbacks
    def test_unasked(self) -> Any:
        """A worker that says anything without a job is killed."""
        program = """if True:
            import select, socket
            from imgd.pictures.messages import Done, Ready, frame
            connection = socket.socket(fileno=0)  # open until the end
            connection.sendall(frame(Ready()) + frame(Done(1)) * 9)
            select.poll().poll()
            """
        pool = self.pool(command=(sys.executable, "-c", program))
        yield self.refusal(self.ask(pool, b"data"))
        yield self.until(lambda: bool(self.lines))
        self.assertIn("A picture worker ended: it spoke unasked", self.lines[0])

    @inlineCallbacks
    def test_refused(self) -> Any:
        """Why there is no picture comes from the decoder; the pool knows nothing of images."""
        pool = self.pool("by_content")
        self.assertEqual(
            (yield self.refusal(self.ask(pool, b"refuse"))), (413, "More than 1000 pixels.")
        )
        self.assertEqual(pool.status().failed, 1)

    @inlineCallbacks
    def test_bug(self) -> Any:
        """An error that nobody foresaw is a 415 and a line in the log, without its text: that may
        be a patient's name. The worker goes on.
        """
        pool = self.pool("by_content")
        refusal = yield self.refusal(self.ask(pool, b"bug"))
        self.assertEqual(refusal, (415, "Not a picture that can be shown: its data is broken."))
        [line] = self.lines
        self.assertRegex(line, r"error in imgd: ValueError at imgd\.pictures\.worker\.jobs:\d+$")
        self.assertEqual((yield self.refusal(self.ask(pool, b"left"))), refusal)
        self.assertEqual((yield self.body(self.ask(pool, b"data"))), "data")
        self.assertEqual(len(self.lines), 1)

    @inlineCallbacks
    def test_memory(self) -> Any:
        """A file that takes more memory than there is for it costs its job; the worker goes on."""
        pool = self.pool("by_content")
        status, detail = yield self.refusal(self.ask(pool, b"memory"))
        self.assertEqual((status, detail), (422, "It takes too much memory."))
        self.assertEqual((yield self.body(self.ask(pool, b"data"))), "data")

    @inlineCallbacks
    def test_names(self) -> Any:
        """A name may be any bytes; the largest job is sent whole."""
        pool = self.pool("counting", workers=8)
        name = os.fsdecode(b"\xff\xfe.nii")
        file = self.file(b"data", name)
        pictures = [
            pool.make(b"key", [file], View(ViewKind.SLICE, window=f"{index}.5,1e+300", index=index))
            for index in range(MAX_VIEWS)
        ]
        self.clock.advance(1)
        for picture in pictures:
            body = yield self.body(picture)
            self.assertEqual(body.split()[0], str(MAX_VIEWS))


class WaitTests(PoolCase):
    @inlineCallbacks
    def test_cancelled(self) -> Any:
        """What nobody waits for is not begun."""
        pool = self.pool("by_content")
        kept, left = self.ask(pool, b"kept"), self.ask(pool, b"sleep")
        left.cancel()
        yield self.assertFailure(left, CancelledError)
        self.assertEqual((yield self.body(kept)), "kept")
        self.assertEqual((yield self.body(self.ask(pool, b"next"))), "next")

    @inlineCallbacks
    def test_cancelled_under_way(self) -> Any:
        """What was begun is kept, whoever still waits for it."""
        pool, unasked = self.pool("echo"), []
        pool.on_extra = lambda *extra: unasked.append(extra)
        yield self.ask(pool, b"first")
        yield self.settled(pool)
        left = self.ask(pool, b"data")
        self.assertEqual(pool.status().busy, 1)
        left.cancel()
        yield self.assertFailure(left, CancelledError)
        yield self.ask(pool, b"next")
        self.assertEqual(unasked, [(b"data", Picture(THUMB, "image/png", b"data"))])

    @inlineCallbacks
    def test_too_many(self) -> Any:
        """Only so many may wait; one more is refused at once."""
        pool = self.pool("echo")
        file = self.file(b"data")
        waiting = [pool.make(b"%d" % n, [file], THUMB) for n in range(MAX_WAITING)]
        self.assertEqual((yield self.refusal(self.ask(pool, b"other"))), (503, BUSY))
        for picture in waiting:
            self.assertEqual((yield self.body(picture)), "data")

    @inlineCallbacks
    def test_volumes_leave_a_worker(self) -> Any:
        """While a volume takes its time, and another waits, others get their pictures."""
        pool = self.pool("by_content", workers=2)
        volumes = [self.ask(pool, name, cut(1)) for name in (b"volume that sleeps", b"sleep")]
        self.clock.advance(1)
        for name in (b"a", b"b", b"c"):
            self.assertEqual((yield self.body(self.ask(pool, name))), name.decode())
        yield self.until(lambda: pool.status().busy == 1)
        self.assertEqual(pool.status().waiting, 1)
        self.assertEqual([volume.called for volume in volumes], [False, False])
        yield pool.stop()
        for volume in volumes:
            yield self.refusal(volume)


class IndexTests(PoolCase):
    @inlineCallbacks
    def test_many_files(self) -> Any:
        """A worker in its sandbox tells of as many files as a job may have, in any character set
        of DICOM.
        """
        paths = sorted(get_charset_files("chr*.dcm"))[:MAX_BATCH]
        self.assertEqual(len(paths), MAX_BATCH)
        files = [self.file(Path(path).read_bytes(), Path(path).name) for path in paths]
        pool = self.pool()
        for kind in INDEXES:
            body = yield self.body(pool.make(kind.encode(), files, View(kind)))
            told = parse(body.encode())
            self.assertEqual(len(told), MAX_BATCH)
        names = b"".join(bytes(found.metadata) for found in told if isinstance(found, Instance))
        for name in ("\u5c71\u7530^\u592a\u90ce", "\u041b\u044e\u043ace", "\u6d2a^\u5409\u6d1e"):
            self.assertIn(name, names.decode())

    @inlineCallbacks
    def test_crash(self) -> Any:
        """A worker that crashes over many files may have done so over any: the log says so."""
        pool = self.pool("by_content")
        files = [self.file(data) for data in (b"crash", b"other", b"third")]
        yield self.refusal(pool.make(b"key", files, View(ViewKind.INDEX)))
        [line] = self.lines
        self.assertIn("ended over crash.bin or one of 2 other files: signal", line)


class WorkerTests(PoolCase):
    @inlineCallbacks
    def test_crash(self) -> Any:
        """A worker that crashes fails its job, with one line in the log; other work goes on."""
        pool = self.pool("by_content")
        asked, other = self.ask(pool, b"crash"), self.ask(pool, b"other")
        status, detail = yield self.refusal(asked)
        self.assertEqual(
            (status, detail), (422, "It takes too much memory, or its data breaks its decoder.")
        )
        self.assertEqual((yield self.body(other)), "other")
        [line] = self.lines
        self.assertRegex(line, r"A picture worker ended over crash\.bin: signal \d+$")

    @inlineCallbacks
    def test_killed_at_work(self) -> Any:
        """A worker that others kill fails its job for now: it is no fault of the picture."""
        pool = self.pool("counting")
        _, pid = (yield self.body(self.ask(pool, b"a"))).split()
        yield self.settled(pool)
        asked = self.ask(pool, b"sleep")
        os.kill(int(pid), signal.SIGKILL)
        status, detail = yield self.refusal(asked)
        self.assertEqual(status, 503)
        self.assertEqual(detail, "The process that made it was killed: ask again.")
        self.assertNotEqual((yield self.body(self.ask(pool, b"b"))).split()[1], pid)

    @inlineCallbacks
    def test_killed(self) -> Any:
        """A worker that is killed while it is idle is replaced, and nobody notices."""
        pool = self.pool("counting")
        _, pid = (yield self.body(self.ask(pool, b"a"))).split()
        yield self.settled(pool)
        os.kill(int(pid), signal.SIGKILL)
        yield self.until(lambda: bool(self.lines))
        self.assertIn("A picture worker ended: signal 9", self.lines[0])
        self.assertNotEqual((yield self.body(self.ask(pool, b"b"))).split()[1], pid)

    @inlineCallbacks
    def test_killed_unnoticed(self) -> Any:
        """Nor does anybody notice who asks before the daemon does."""
        pool = self.pool("counting")
        _, pid = (yield self.body(self.ask(pool, b"a"))).split()
        yield self.settled(pool)
        os.kill(int(pid), signal.SIGKILL)
        os.waitid(os.P_PID, int(pid), os.WEXITED | os.WNOWAIT)
        asked = [self.ask(pool, b"b"), self.ask(pool, b"c")]
        for picture in asked:
            self.assertNotEqual((yield self.body(picture)).split()[1], pid)

    @inlineCallbacks
    def test_closed_file(self) -> Any:
        """A job whose file was closed too early ends; it does not go round for ever."""
        pool = self.pool("counting")
        file = self.file(b"data")
        asked = pool.make(b"key", [file], THUMB)
        file.close()
        self.assertEqual((yield self.refusal(asked)), (503, CANNOT))
        yield self.body(self.ask(pool, b"next"))

    @inlineCallbacks
    def test_too_long(self) -> Any:
        """A picture that takes too long is refused, and its worker replaced."""
        pool = self.pool("by_content")
        yield self.ask(pool, b"first")
        yield self.settled(pool)
        slow = self.ask(pool, b"sleep")
        self.clock.advance(10)
        self.assertEqual((yield self.refusal(slow)), (422, "It takes too long."))
        self.assertEqual((yield self.body(self.ask(pool, b"next"))), "next")
        [line] = self.lines
        self.assertIn("A picture worker ended over sleep.bin: it took too long", line)

    @inlineCallbacks
    def test_volumes_take_longer(self) -> Any:
        """A volume has six times as long."""
        pool = self.pool("by_content")
        yield self.ask(pool, b"volume")
        yield self.settled(pool)
        slow = pool.make(b"volume", [self.file(b"volume that sleeps")], THUMB)
        self.clock.advance(59)
        self.assertFalse(slow.called)
        self.clock.advance(1)
        self.assertEqual((yield self.refusal(slow)), (422, "It takes too long."))

    @inlineCallbacks
    def test_memory_held(self) -> Any:
        """A worker that holds more than it should after a job is replaced."""
        pool = self.pool("hog")
        first = yield self.body(self.ask(pool, b"a"))
        second = yield self.body(self.ask(pool, b"b"))
        self.assertNotEqual(first, second)
        self.assertEqual(self.lines, [])

    @inlineCallbacks
    def test_many_pictures(self) -> Any:
        """A worker is replaced after 500 pictures."""
        pool = self.pool("counting")
        pids = set()
        file = self.file(b"data")
        for n in range(501):
            picture = yield pool.make(b"%d" % n, [file], THUMB)
            pids.add(picture.body)
        self.assertEqual(len(pids), 2)

    @inlineCallbacks
    def test_idle(self) -> Any:
        """A worker ends after ten minutes without work; a new one starts when there is some."""
        pool = self.pool("counting")
        first = yield self.body(self.ask(pool, b"a"))
        yield self.settled(pool)
        self.clock.advance(599)
        self.assertEqual((yield self.body(self.ask(pool, b"b"))), first)
        yield self.settled(pool)
        self.clock.advance(600)
        self.assertNotEqual((yield self.body(self.ask(pool, b"c"))), first)
        self.assertEqual(self.lines, [])

    @inlineCallbacks
    def test_strangers(self) -> Any:
        """A worker that says what none of imgd's says is killed."""
        program = "import os,time; os.write(0, b'\\xff' * 100); os.read(0, 1)"
        pool = self.pool(command=(sys.executable, "-c", program))
        asked = self.ask(pool, b"data")
        yield self.fails_to_start()
        self.assertEqual((yield self.refusal(asked)), (503, CANNOT))
        self.assertIn("it sent a message that is too long", self.lines[0])

    @inlineCallbacks
    def test_stop(self) -> Any:
        """Whatever a worker does, it ends with the pool, and so does all that waits."""
        pool = self.pool("by_content")
        yield self.ask(pool, b"first")
        yield self.settled(pool)
        asked = [self.ask(pool, b"sleep"), self.ask(pool, b"other")]
        yield pool.stop()
        for picture in (*asked, self.ask(pool, b"late")):
            self.assertEqual((yield self.refusal(picture))[0], 503)


class BrokenTests(PoolCase):
    @inlineCallbacks
    def test_broken(self) -> Any:
        """If no worker starts, pictures are refused and imgd is degraded, until one starts."""
        marker = os.path.abspath(os.path.join(self.folder, "marker"))
        os.makedirs(self.folder)
        program = f"""if True:
            import os, sys
            if not os.path.exists({marker!r}):
                sys.exit("a library is missing")
            from tests.pictures import decoders
            decoders.run(decoders.echo)
            """
        pool = self.pool(command=(sys.executable, "-c", program))
        asked = self.ask(pool, b"data")
        yield self.fails_to_start()
        self.assertEqual((yield self.refusal(asked)), (503, CANNOT))
        self.assertEqual((yield self.refusal(self.ask(pool, b"data"))), (503, CANNOT))
        self.assertEqual(self.health.reasons(), ["Pictures cannot be made."])
        self.assertIn("A picture worker did not start: a library is missing", self.lines[0])
        with open(marker, "w"):
            pass
        self.clock.advance(2)
        yield self.until(lambda: "pictures" not in self.health)
        self.assertEqual((yield self.body(self.ask(pool, b"data"))), "data")

    @inlineCallbacks
    def test_broken_for_a_day(self) -> Any:
        """It is tried every half a minute, for however long, and nothing is left open."""
        pool = self.pool(command=("/no/such/program",))
        asked = self.ask(pool, b"data")
        self.clock.advance(1)
        self.assertEqual((yield self.refusal(asked)), (503, CANNOT))
        before = os.listdir("/dev/fd")
        for _ in range(2 * 24 * 60 * 2):
            self.clock.advance(16)
        self.assertEqual(os.listdir("/dev/fd"), before)
        self.assertEqual(len(self.lines), 1)
        self.assertIn("No such file or directory", self.lines[0])

    @inlineCallbacks
    def test_hangs_at_start(self) -> Any:
        """A worker that does not get ready in a minute is given up."""
        program = "import os; os.read(0, 1)"
        pool = self.pool(command=(sys.executable, "-c", program))
        asked = self.ask(pool, b"data")
        self.clock.advance(60)
        yield self.until(lambda: bool(self.lines))
        self.clock.advance(1)
        self.clock.advance(60)
        yield self.until(lambda: "pictures" in self.health)
        self.assertEqual((yield self.refusal(asked)), (503, CANNOT))
        self.assertIn("A picture worker did not start: it does not start", self.lines[0])
