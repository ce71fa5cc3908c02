"""Pools whose workers are real processes with decoders of the tests."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.task import Clock, deferLater
from twisted.trial.unittest import TestCase

from imgd.errors import ImgdError
from imgd.files.disk import OpenFile, Root, open_file
from imgd.host.health_monitor import HealthMonitor
from imgd.pictures.pool import PicturePool
from imgd.pictures.views import View, ViewKind
from imgd.pictures.waiting import Picture
from imgd.pictures.worker_process import COMMAND
from tests.fakes import log_lines, write
from tests.pictures import decoders

THUMB = View(ViewKind.THUMB, size=256)
LARGE = View(ViewKind.THUMB, size=512)


_real: Any = reactor


class ClockedReactor(Clock):
    """Processes and sockets are real, time is not."""

    spawnProcess = staticmethod(_real.spawnProcess)
    adoptStreamConnection = staticmethod(_real.adoptStreamConnection)


class PoolCase(TestCase):
    """Workers decode as ``tests.pictures.decoders`` says."""

    timeout = 60

    def setUp(self) -> None:
        self.folder = self.mktemp()
        self.clock = ClockedReactor()
        self.health = HealthMonitor(self.clock.seconds)
        self.lines = log_lines(self, "imgd.pictures")

    def pool(
        self, decoder: str = "", *, workers: int = 1, command: Sequence[str] = (), **more: Any
    ) -> PicturePool:
        """With the decoder of this name, or what imgd starts; time is that of ``self.clock``."""
        named = (*decoders.COMMAND, decoder) if decoder else COMMAND
        pool = PicturePool(
            more.pop("reactor", self.clock),
            workers=workers,
            health_monitor=self.health,
            command=command or named,
            **{"max_pixels": 1000, "timeout": 10.0, **more},
        )
        self.addCleanup(pool.stop)
        return pool

    def file(self, data: bytes, name: str = "") -> OpenFile:
        name = name or f"{data.decode()}.bin"
        write(os.path.join(self.folder, name), data)
        file = open_file(Root(os.path.realpath(self.folder)), (name,))
        self.addCleanup(file.close)
        return file

    def ask(
        self, pool: PicturePool, data: bytes, view: View = THUMB, client: str = ""
    ) -> Deferred[Picture]:
        """A picture of a file that holds this."""
        return pool.make(data, [self.file(data)], view, client)

    @inlineCallbacks
    def until(self, condition: Callable[[], bool]) -> Any:
        """Let real workers go on until this is true."""
        while not condition():
            yield deferLater(reactor, 0, lambda: None)

    @inlineCallbacks
    def fails_to_start(self) -> Any:
        """Two starts fail, the second of them a second after the first."""
        yield self.until(lambda: bool(self.lines))
        self.clock.advance(1)
        yield self.until(lambda: "pictures" in self.health)

    def settled(self, pool: PicturePool) -> Any:
        """No worker has a job any more: the last message of a job comes after its pictures."""
        return self.until(lambda: not pool.status().busy)

    @inlineCallbacks
    def body(self, picture: Deferred[Picture]) -> Any:
        return (yield picture).body.decode()

    @inlineCallbacks
    def refusal(self, picture: Deferred[Picture]) -> Any:
        """The status and the sentence with which this fails."""
        error = yield self.assertFailure(picture, ImgdError)
        return error.status, error.detail
