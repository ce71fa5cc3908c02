"""A pool without processes: its pictures say what they are of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import msgspec
from twisted.internet.defer import Deferred

from imgd.errors import ImgdError
from imgd.files.disk import OpenFile
from imgd.pictures.views import View, ViewKind
from imgd.pictures.waiting import Picture


class Asked(NamedTuple):
    """One call of ``FakePool.make``."""

    source_key: bytes
    names: tuple[str, ...]
    view: View
    client: str
    done: Deferred[Picture]


class FakePool:
    """Answers at once, or, while ``held``, when ``answer`` is called.

    ``body`` is what every picture holds, by default the first bytes of its files and its view;
    ``error`` is raised in its place, ``companions`` are those of every file, and headers if
    ``are_headers``.
    """

    def __init__(self) -> None:
        self.on_extra: Callable[[bytes, Picture], object] = lambda _key, _picture: None
        self.asked: list[Asked] = []
        self.held = False
        self.body: bytes | None = None
        self.media_type = "image/jpeg"
        self.error: ImgdError | None = None
        self.companions: list[str] = []
        self.are_headers = False
        self.cancelled = self.prepared = 0
        self.while_made: Callable[[], object] = lambda: None

    def prepare(self) -> None:
        self.prepared += 1

    def make(
        self, source_key: bytes, files: Sequence[OpenFile], view: View, client: str
    ) -> Deferred[Picture]:
        done: Deferred[Picture] = Deferred(self._cancel)
        self.asked.append(Asked(source_key, tuple(f.name for f in files), view, client, done))
        picture = self.picture(files, view)
        self.while_made()
        if self.error is not None and view.kind is not ViewKind.COMPANION:
            done.errback(self.error)
        elif not self.held:
            done.callback(picture)
        return done

    def picture(self, files: Sequence[OpenFile], view: View) -> Picture:
        if view.kind is ViewKind.COMPANION:
            body = msgspec.json.encode({"names": self.companions, "are_headers": self.are_headers})
            return Picture(view, "application/json", body)
        starts = b" ".join(file.read(0, 20) for file in files)
        body = starts + b" " + view.key() if self.body is None else self.body
        return Picture(view, self.media_type, body)

    @property
    def views(self) -> list[View]:
        """The views that were asked for, without companions."""
        return [a.view for a in self.asked if a.view.kind is not ViewKind.COMPANION]

    def _cancel(self, _done: object) -> None:
        self.cancelled += 1
