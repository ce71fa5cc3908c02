"""A worker's life: it imports all that it may need, gives up its rights, and does jobs in turn."""

from __future__ import annotations

import os
import socket
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Final

import msgspec

from imgd.pictures.instances import MAX_BATCH
from imgd.pictures.messages import MAX_BODY, Bug, Done, Job, Progress, Ready, frame
from imgd.pictures.worker import sandbox
from imgd.pictures.worker.memory import MemoryGauge
from imgd.pictures.worker.source import Made, NotAPicture, PictureError, SourceFile, Sources

MAX_FILES: Final = MAX_BATCH  # of one job

Decode = Callable[[Sources], Iterator[Made | Progress]]


def run(decode: Decode, warm: Callable[[], object] = lambda: None) -> None:
    """Do jobs until the daemon closes its end of the socket. ``warm`` loads what decoding loads
    when it is first used: in the sandbox, nothing can be loaded any more.
    """
    warm()
    connection, gauge = socket.socket(fileno=os.dup(0)), MemoryGauge()
    lacks = sandbox.enter()
    with suppress(ConnectionError):
        connection.sendall(frame(Ready(lacks)))
        serve(connection, decode, gauge.used)


def serve(connection: socket.socket, decode: Decode, memory: Callable[[], int]) -> None:
    """Do jobs until the other end is closed, and close this one."""
    with connection:
        while received := _receive(connection):
            _do(connection, *received, decode)
            connection.sendall(frame(Done(memory())))


def _receive(connection: socket.socket) -> tuple[Job, Sequence[int]] | None:
    """The next job and its descriptors; None if there will be none."""
    header, fds, _flags, _address = socket.recv_fds(connection, 4, MAX_FILES)
    if len(header) < 4:
        return None
    text = connection.recv(int.from_bytes(header, "big"), socket.MSG_WAITALL)
    return msgspec.json.decode(text, type=Job), fds


def _do(connection: socket.socket, job: Job, fds: Sequence[int], decode: Decode) -> None:
    try:
        files = [
            SourceFile(fd, name, os.lseek(fd, 0, os.SEEK_END))
            for fd, name in zip(fds, job.names, strict=True)
        ]
        companions = {file.name: file for file in files[1:]}
        for item in _answers(Sources(files[0], companions, job, files), decode):
            if isinstance(item, Made):
                connection.sendall(frame(item.answer))
                connection.sendall(item.body)
            else:
                connection.sendall(frame(item))
    finally:
        for fd in fds:
            os.close(fd)


def _answers(sources: Sources, decode: Decode) -> Iterator[Made | Progress | Bug]:
    """What the decoder makes, and then why there is no answer to the views that it left."""
    left = set(sources.job.views)
    error = PictureError(415, "Not a picture that can be shown: its data is broken.")
    try:
        for item in decode(sources):
            if isinstance(item, Made):
                left.discard(item.answer.view)
                yield _bounded(item)
            else:
                yield item
    except PictureError as known:
        error = known
    except MemoryError:
        error = PictureError(422, "It takes too much memory.")
    except Exception as unforeseen:
        yield Bug(_place(unforeseen))
        error = NotAPicture("its data is broken.")
    for view in left:
        yield Made.failed(view, error)


def _bounded(made: Made) -> Made:
    if len(made.body) <= MAX_BODY:
        return made
    return Made.failed(made.answer.view, PictureError(413, "The picture is too large to be sent."))


def _place(error: Exception) -> str:
    """The class of an error and the line of imgd, without what the file may have put into it."""
    walk = traceback.walk_tb(error.__traceback__)
    modules = ((frame.f_globals.get("__name__", ""), line) for frame, line in walk)
    ours = [f"{name}:{line}" for name, line in modules if name.startswith("imgd.")]
    return f"{type(error).__name__} at {ours[-1] if ours else 'an unknown place'}"
