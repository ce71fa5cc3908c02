"""Bytes of a worker, as messages."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from imgd.pictures.framing import BadFrame, FrameReader
from imgd.pictures.messages import (
    MAX_BODY,
    MAX_HEADER,
    Answer,
    Bug,
    Done,
    Job,
    Progress,
    Ready,
    frame,
)
from imgd.pictures.views import View, ViewKind

THUMB = View(ViewKind.THUMB, size=256)
SAID = [
    (Ready("seccomp"), b""),
    (Progress(is_volume=True), b""),
    (Answer(THUMB, media_type="image/png", size=5), b"\0\0\0\1x"),
    (Answer(THUMB, 415, "no"), b""),
    (Bug("here"), b""),
    (Done(7), b""),
]
BYTES = b"".join(frame(message) + body for message, body in SAID)


class ReaderTests(SynchronousTestCase):
    def test_pieces(self) -> None:
        """Messages are the same in whatever pieces they come."""
        for size in (1, 2, 7, 1000):
            reader, read = FrameReader(), []
            for start in range(0, len(BYTES), size):
                read += list(reader.feed(BYTES[start : start + size]))
            self.assertEqual(read, SAID)

    def test_bad(self) -> None:
        """What no worker of imgd sends is an error, before it is held in memory."""
        job = frame(Job([THUMB], ["a"], 1))
        for data in (
            (MAX_HEADER + 1).to_bytes(4, "big"),
            b"\xff\xff\xff\xff",
            b"\0\0\0\0",
            b"\0\0\0\2{}",
            b"\0\0\0\1\xff",
            b"\0\0\0\4null",
            job,
            frame(Answer(THUMB, size=MAX_BODY + 1)),
            frame(Answer(THUMB, size=-1)),
            frame(Done(7)).replace(b"7", b"x"),
            b"\0\0\xff\xff" + b"[" * 0xFFFF,
        ):
            with self.assertRaises(BadFrame, msg=data[:50]):
                list(FrameReader().feed(data))

    def test_longest(self) -> None:
        """The longest body is read."""
        message = Answer(THUMB, media_type="image/png", size=MAX_BODY)
        [(_, body)] = FrameReader().feed(frame(message) + bytes(MAX_BODY))
        self.assertEqual(len(body), MAX_BODY)
