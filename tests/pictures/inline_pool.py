"""A pool without processes that makes what a worker would make, in this process."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet.defer import Deferred

from imgd.errors import ImgdError
from imgd.files.disk import OpenFile
from imgd.pictures.messages import Job
from imgd.pictures.views import View
from imgd.pictures.waiting import Picture


class InlinePool:
    """Answers at once, or, while ``held``, when ``step`` or ``release`` is called. Every call is in
    ``jobs``, with the names of its files; an ``error`` is what each gets in place of its answer.
    """

    def __init__(self) -> None:
        self.on_extra: Callable[[bytes, Picture], object] = lambda _key, _picture: None
        self.jobs: list[tuple[View, tuple[str, ...]]] = []
        self.clients: list[str] = []
        self.held = False
        self.error: Callable[[Sequence[OpenFile], View], ImgdError | None] = lambda files, view: (
            None
        )
        self.waiting: list[tuple[Deferred[Picture], Callable[[], object]]] = []

    def prepare(self) -> None:
        """Nothing has to start."""

    def make(
        self, source_key: bytes, files: Sequence[OpenFile], view: View, client: str
    ) -> Deferred[Picture]:
        self.jobs.append((view, tuple(file.name for file in files)))
        self.clients.append(client)
        done: Deferred[Picture] = Deferred(self._drop)

        def answer() -> None:
            try:
                made = self._made(files, view)
            except ImgdError as error:
                done.errback(error)
            else:
                done.callback(made)

        if self.held:
            self.waiting.append((done, answer))
        else:
            answer()
        return done

    def step(self) -> None:
        """Answer what waits longest."""
        self.waiting.pop(0)[1]()

    def release(self) -> None:
        """Answer all that waits, and from now on at once."""
        self.held = False
        while self.waiting:
            self.step()

    def _drop(self, done: Deferred[Picture]) -> None:
        self.waiting = [each for each in self.waiting if each[0] is not done]

    def _made(self, files: Sequence[OpenFile], view: View) -> Picture:
        if (refusal := self.error(files, view)) is not None:
            raise refusal
        # Here, as these need packages of the extra.
        from imgd.pictures.worker import decoding
        from imgd.pictures.worker.source import Made, SourceFile, Sources

        sources = [SourceFile(file.fd, file.name, os.fstat(file.fd).st_size) for file in files]
        job = Job([view], [file.name for file in files], 50_000_000)
        companions: dict[str, Any] = {source.name: source for source in sources[1:]}
        for item in decoding.decode(Sources(sources[0], companions, job, sources)):
            if isinstance(item, Made) and item.answer.view == view:
                if item.answer.status != 200:
                    raise ImgdError.of(item.answer.status, item.answer.detail)
                return Picture(view, item.answer.media_type, item.body)
        raise ImgdError.of(415, "Not a picture that can be shown: its data is broken.")
