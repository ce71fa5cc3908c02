"""A worker's conversation with the daemon, over a socket, without a sandbox."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from threading import Thread

from twisted.trial.unittest import SynchronousTestCase

from imgd.pictures.framing import FrameReader
from imgd.pictures.messages import (
    MAX_BODY,
    Answer,
    Bug,
    Done,
    FromWorker,
    Job,
    Progress,
    frame,
)
from imgd.pictures.views import View, ViewKind
from imgd.pictures.worker import jobs
from imgd.pictures.worker.encoding import JSON
from imgd.pictures.worker.source import Made, NotAPicture, Sources
from tests.daemons import CHECKOUT, PATIENCE

THUMB, INFO = View(ViewKind.THUMB, size=256), View(ViewKind.INFO)


class ImportTests(SynchronousTestCase):
    def test_imports(self) -> None:
        """A worker loads nothing of Twisted and none of the daemon's other rooms: it starts fast,
        is small, and holds less that an attacker could use.
        """
        program = "import sys, imgd.pictures.worker.__main__; print(*sys.modules)"
        done = subprocess.run(
            [sys.executable, "-c", program], cwd=CHECKOUT, capture_output=True, timeout=PATIENCE
        )
        loaded = done.stdout.decode().split()
        self.assertIn("imgd.pictures.worker.jobs", loaded, done.stderr)
        rooms = {name.split(".")[1] for name in loaded if name.startswith("imgd.")}
        self.assertEqual((rooms, "twisted" in loaded), ({"errors", "pictures"}, False))


class ConversationTests(SynchronousTestCase):
    def converse(
        self, decode: jobs.Decode, *, views: Sequence[View] = (THUMB,), times: int = 1
    ) -> list[tuple[FromWorker, bytes]]:
        """All that a worker says to so many jobs about two files, Done without its number."""
        ours, theirs = socket.socketpair()
        job = Job(list(views), ["a.hdr", "a.img"], 1000)
        worker = Thread(target=jobs.serve, args=(theirs, decode, lambda: 7))
        worker.start()
        with ours:
            for _ in range(times):
                fds = [os.open(self.file(data), os.O_RDONLY) for data in (b"head", b"body")]
                socket.send_fds(ours, [frame(job)], fds)
                for fd in fds:
                    os.close(fd)
            ours.shutdown(socket.SHUT_WR)
            reader = FrameReader()
            said: list[tuple[FromWorker, bytes]] = []
            while data := ours.recv(1 << 20):
                said += reader.feed(data)
            worker.join()
        return said

    def file(self, data: bytes) -> str:
        path = str(self.mktemp())
        with open(path, "wb") as file:
            file.write(data)
        return path

    def test_files(self) -> None:
        """A decoder reads the files of its job; the first is what was asked for."""

        def decode(sources: Sources) -> Iterator[Made | Progress]:
            other = sources.companions["a.img"]
            yield Progress(is_volume=True)
            yield Made.of(THUMB, JSON, sources.file.read(0, 9) + other.read(0, other.size))

        answer = Answer(THUMB, media_type=JSON, size=8)
        said = [(Progress(is_volume=True), b""), (answer, b"headbody"), (Done(7), b"")]
        self.assertEqual(self.converse(decode), said)

    def test_descriptors(self) -> None:
        """Those of a job are closed with it, whatever came of it."""

        def decode(sources: Sources) -> Iterator[Made]:
            raise NotAPicture("no.")

        before = os.listdir("/dev/fd")
        said = self.converse(decode, times=40)
        self.assertEqual(len(said), 80)
        self.assertEqual(os.listdir("/dev/fd"), before)

    def test_unanswered(self) -> None:
        """Each view is answered, if the decoder fails before it or forgets it."""

        def fails(sources: Sources) -> Iterator[Made]:
            yield Made.of(THUMB, JSON, b"1")
            raise NotAPicture("its end is missing.")

        def forgets(sources: Sources) -> Iterator[Made]:
            yield Made.of(THUMB, JSON, b"1")

        for decode, why in ((fails, "its end is missing."), (forgets, "its data is broken.")):
            [_, (answer, _), _] = self.converse(decode, views=(THUMB, INFO))
            detail = f"Not a picture that can be shown: {why}"
            self.assertEqual(answer, Answer(INFO, 415, detail))

    def test_errors(self) -> None:
        """Of an error that nobody foresaw, its class and a line of imgd are told, no more."""

        def decode(sources: Sources) -> Iterator[Made]:
            raise KeyError("the name of a patient")

        [(bug, _), (answer, _), _] = self.converse(decode)
        assert isinstance(bug, Bug)
        self.assertRegex(bug.place, r"^KeyError at imgd\.pictures\.worker\.jobs:[0-9]+$")
        detail = "Not a picture that can be shown: its data is broken."
        self.assertEqual(answer, Answer(THUMB, 415, detail))

    def test_memory(self) -> None:
        """Without memory for it, a picture is a 422, and no error of imgd."""

        def decode(sources: Sources) -> Iterator[Made]:
            raise MemoryError

        [(answer, _), _] = self.converse(decode)
        self.assertEqual(answer, Answer(THUMB, 422, "It takes too much memory."))

    def test_too_large(self) -> None:
        """A picture that the daemon would not take is not sent."""

        def decode(sources: Sources) -> Iterator[Made]:
            yield Made.of(THUMB, JSON, bytes(MAX_BODY + 1))

        [(answer, body), _] = self.converse(decode)
        self.assertEqual(answer, Answer(THUMB, 413, "The picture is too large to be sent."))
        self.assertEqual(body, b"")

    def test_end(self) -> None:
        """A worker ends when the daemon is gone."""

        def decode(sources: Sources) -> Iterator[Made]:
            yield from ()

        self.assertEqual(self.converse(decode, times=0), [])
