"""The pool, with worker processes that are real, and a clock that is not if time matters."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.trial.unittest import TestCase

from imgd.errors import ImgdError
from imgd.files.disk import OpenFile, Root, open_file
from imgd.host.health_monitor import HealthMonitor
from imgd.pictures.pool import PicturePool
from imgd.pictures.views import View, ViewKind
from imgd.pictures.waiting import Picture
from imgd.pictures.worker_process import COMMAND
from tests.fakes import write
from tests.pictures import decoders

THUMB = View(ViewKind.THUMB, size=256)
LARGE = View(ViewKind.THUMB, size=512)


class PoolCase(TestCase):
    """Pools whose workers decode as ``tests.pictures.decoders`` says."""

    timeout = 60

    def setUp(self) -> None:
        self.folder = self.mktemp()
        self.health = HealthMonitor(reactor.seconds)

    def pool(
        self, decoder: str = "", *, workers: int = 1, command: Sequence[str] = (), **more: Any
    ) -> PicturePool:
        named = (*decoders.COMMAND, decoder) if decoder else COMMAND
        settings: dict[str, Any] = {"max_pixels": 1000, "timeout": 30.0, **more}
        pool = PicturePool(
            reactor,
            workers=workers,
            health_monitor=self.health,
            command=command or named,
            **settings,
        )
        self.addCleanup(pool.stop)
        return pool

    def file(self, data: bytes, name: str = "") -> OpenFile:
        name = name or data.decode()
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
    def refusal(self, picture: Deferred[Picture]) -> Any:
        """The status and the sentence with which this fails."""
        error = yield self.assertFailure(picture, ImgdError)
        return error.status, error.detail


class MakeTests(PoolCase):
    @inlineCallbacks
    def test_made(self) -> Any:
        """A worker makes a view of a file that it was handed open."""
        picture = yield self.ask(self.pool("echo"), b"data")
        self.assertEqual(picture, Picture(THUMB, "image/png", b"data"))

    @inlineCallbacks
    def test_not_a_picture(self) -> Any:
        """The real worker refuses what it does not know."""
        status, detail = yield self.refusal(self.ask(self.pool(), b"data"))
        self.assertEqual(status, 415)
        self.assertTrue(detail.startswith("Not a picture that can be shown: "), detail)

    @inlineCallbacks
    def test_killed(self) -> Any:
        """A worker that is killed is replaced: its job fails, and no other."""
        pool = self.pool("by_content")
        asked = self.ask(pool, b"crash")
        other = self.ask(pool, b"other")
        status, _ = yield self.refusal(asked)
        self.assertEqual(status, 422)
        self.assertEqual((yield other).body, b"other")
