"""Nothing of a connection outlives it, at whatever stage it ends: no circle keeps its bytes."""

from __future__ import annotations

import gc
import os
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from twisted.internet.error import ConnectionDone
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from tests.fakes import House, write

POST = b"POST /unload HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
GET = b"GET /a.txt HTTP/1.1\r\nHost: localhost\r\n\r\n"
SLOW = b"GET /?format=json HTTP/1.1\r\nHost: localhost\r\n\r\n"
NOISE = b"n" * 800

# What came before the connection ended, by what it was in the midst of.
STAGES = {
    "nothing": b"",
    "head": b"GET /" + NOISE,
    "fields": GET[:-2] + b"X: " + NOISE,
    "idle": GET,
    "idle after the tree": GET.replace(b"/a.txt", b"/health"),
    "body": POST + b"Content-Length: 60000\r\n\r\n" + NOISE * 60,
    "body dropped": GET[:-2] + b"Content-Length: 60000\r\n\r\n" + NOISE * 60,
    "size": CHUNKED + b"1;" + NOISE,
    "chunk": CHUNKED + b"f000\r\n" + NOISE * 60,
    "end of chunk": CHUNKED + b"320\r\n" + NOISE + b"\r",
    "trailer": CHUNKED + b"0\r\nX: " + NOISE,
    "head behind a body": CHUNKED + b"0\r\n\r\nGET /" + NOISE,
    "refused body": POST + b"Content-Length: 70000\r\n\r\n" + NOISE,
    "refused chunk": CHUNKED + b"fffff\r\n" + NOISE,
    "refused head": GET[:-2] + b"Host: b\r\n\r\n" + NOISE,
    "answer": SLOW,
    "pipelined": SLOW + GET + b"GET /" + NOISE,
    "pipelined body": SLOW + CHUNKED + b"f000\r\n" + NOISE * 30,
}


@contextmanager
def no_collector() -> Iterator[None]:
    """Without the collector, what is in a circle stays."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


class LeftBehindTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.house = House(os.path.realpath(self.mktemp()))
        write(os.path.join(self.house.documents, "a.txt"), b"text of a")
        self.house.blocking.held = True

    def visit(self, data: bytes, size: int) -> list[weakref.ref[Any]]:
        """A connection that was sent this and ended: its channel, requests and reader."""
        transport = self.house.connect()
        for start in range(0, len(data), size):
            if not transport.disconnecting:
                transport.protocol.dataReceived(data[start : start + size])
        channel, transport.protocol = transport.protocol, None
        transport.producer = None  # as a socket's transport does it
        left = [weakref.ref(channel), *map(weakref.ref, channel.requests)]
        channel.connectionLost(Failure(ConnectionDone()))
        self.house.blocking.release()
        return left

    def test_stages(self) -> None:
        """With its connection gone, everything of a channel is freed at once."""
        self.visit(SLOW + GET, 100)  # what is made once
        for stage, data in STAGES.items():
            for size in (len(data) or 1, 1000):
                with self.subTest(stage=stage, size=size), no_collector():
                    left = self.visit(data, size)
                    self.assertEqual([ref() for ref in left], [None] * len(left))

    def test_bytes(self) -> None:
        """A hundred of each stage leave no more objects than one."""
        for stage, data in STAGES.items():
            with self.subTest(stage=stage), no_collector():
                self.visit(data, 1000)
                before = len(gc.get_objects())
                for _ in range(100):
                    self.visit(data, 1000)
                self.assertLess(len(gc.get_objects()) - before, 100)
