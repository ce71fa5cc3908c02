"""What the daemon and a worker tell each other over their socket.

Each message is 4 bytes with its length, most significant first, and JSON. The descriptors of a
job's files come with its first byte (SCM_RIGHTS); an answer's body of ``size`` bytes follows it.
"""

from __future__ import annotations

from typing import Final

import msgspec

from imgd.pictures.views import View


class Job(msgspec.Struct):
    """Make these views of a file. ``names`` are those of the files that come with it, without
    folders: the file itself, then those that hold its data. No picture of more than ``max_pixels``
    is decoded.
    """

    views: list[View]
    names: list[str]
    max_pixels: int


class Answer(msgspec.Struct, omit_defaults=True, tag="answer"):
    """A view that was made, or why it was not.

    ``status`` is that of HTTP: 200, or 400 (a slice that is not there), 413 (too many pixels), 415
    (not a picture), 422 (it takes too much memory). ``detail`` is one sentence for the user without
    paths. ``size`` bytes of body follow. A view may be one that nobody asked for: its making cost
    nothing more.
    """

    view: View
    status: int = 200
    detail: str = ""
    media_type: str = ""
    size: int = 0


class Progress(msgspec.Struct, tag="progress"):
    """The file is a volume, which may take longer."""

    is_volume: bool


class Ready(msgspec.Struct, tag="ready"):
    """The worker may be sent a job. ``lacks`` is what of its sandbox the platform does not have."""

    lacks: str = ""


class Bug(msgspec.Struct, tag="bug"):
    """A decoder raised what it should not: the class of the error, and where in imgd."""

    place: str


class Done(msgspec.Struct, tag="done"):
    """A job is done, every view of it answered. ``memory`` is what the worker holds, in bytes."""

    memory: int


FromWorker = Answer | Progress | Ready | Bug | Done

# Bytes. A worker that was taken over must not fill the daemon's memory.
MAX_HEADER: Final = 1 << 16
MAX_BODY: Final = 1 << 26


def frame(message: msgspec.Struct) -> bytes:
    """A message as it is sent, without the body that may follow it."""
    text = msgspec.json.encode(message)
    return len(text).to_bytes(4, "big") + text
