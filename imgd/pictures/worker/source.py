"""A file that a worker was handed open."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from typing import NamedTuple

from imgd.pictures.messages import Answer, Job
from imgd.pictures.views import View


class SourceFile(NamedTuple):
    """An open descriptor; ``name`` is the file's own, without folders, and decides nothing."""

    fd: int
    name: str
    size: int

    def read(self, offset: int, length: int) -> bytes:
        """At most ``length`` bytes from ``offset``; fewer only at the end of the file."""
        pieces = []
        while length > 0 and (data := os.pread(self.fd, min(length, 1 << 20), offset)):
            pieces.append(data)
            offset, length = offset + len(data), length - len(data)
        return b"".join(pieces)

    def open(self) -> io.BufferedReader:
        """The file from its start, as a file object that does not close the descriptor."""
        os.lseek(self.fd, 0, os.SEEK_SET)
        return open(self.fd, "rb", closefd=False)


class PictureError(Exception):
    """Why there is no picture: ``status`` and ``detail`` as in ``messages.Answer``."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status, self.detail = status, detail


class NotAPicture(PictureError):
    """``why`` says what is broken or not supported."""

    def __init__(self, why: str) -> None:
        super().__init__(415, f"Not a picture that can be shown: {why}")


class Made(NamedTuple):
    """An answer with its body."""

    answer: Answer
    body: bytes = b""

    @classmethod
    def of(cls, view: View, media_type: str, body: bytes) -> Made:
        return cls(Answer(view, media_type=media_type, size=len(body)), body)

    @classmethod
    def failed(cls, view: View, error: PictureError) -> Made:
        return cls(Answer(view, error.status, error.detail))


class Sources(NamedTuple):
    """What a job is about: the file, the files by name that hold its data if it does not, and in
    order all of them.
    """

    file: SourceFile
    companions: dict[str, SourceFile]
    job: Job
    files: Sequence[SourceFile] = ()
