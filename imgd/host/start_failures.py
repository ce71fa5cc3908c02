"""A start that fails: one sentence on standard error, from a daemon in the background as well."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from types import TracebackType
from typing import Any, Final

from imgd.errors import StartError, Unavailable

MAX_SENTENCE: Final = 60_000  # bytes: less than a pipe holds, so that writing it never waits

ExceptHook = Callable[[type[BaseException], BaseException, TracebackType | None], Any]


class BackgroundStart:
    """Where a start in the background tells why it failed: on the terminal of who started it.

    twistd waits, in the process that was started, for the daemon that it forked. Of an exception
    there it gets 100 bytes, and writes them as ``b'...'`` to ``sys.__stderr__``: which is this
    object until the start is over. It writes what the daemon told instead, if that told anything.
    """

    def __init__(self) -> None:
        self._reading, self._writing = os.pipe()
        self._stderr = sys.__stderr__
        sys.__stderr__ = self  # type: ignore[misc, assignment]  # twistd only writes to it

    def tell(self, sentence: str) -> None:
        """Called in the daemon."""
        os.write(self._writing, sentence.encode("utf-8", "backslashreplace")[:MAX_SENTENCE])
        self.close()

    def write(self, text: str) -> None:
        """Called by twistd in the process that waits: it ends after this without flushing."""
        os.close(self._writing)
        with open(self._reading, encoding="utf-8") as told:
            text = told.read() or text
        if self._stderr is not None:
            self._stderr.write(text)
            self._stderr.flush()

    def close(self) -> None:
        """The start is over. Whoever reads the other end is not kept waiting."""
        sys.__stderr__ = self._stderr  # type: ignore[misc]
        os.close(self._reading)
        os.close(self._writing)


def one_line_excepthook(
    previous: ExceptHook, tell: Callable[[str], object] = lambda line: None
) -> ExceptHook:
    """A ``sys.excepthook`` that writes an error of the start as one line, and leaves others to
    ``previous``.

    The line goes to ``sys.stderr``, which is the log once twistd has begun one, and to ``tell``.
    The interpreter exits with status 1 after either.
    """

    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        sentence = _sentence(error)
        if sentence is None:
            previous(kind, error, trace)
            return
        shown = (c if c.isprintable() else ascii(c)[1:-1] for c in sentence)
        line = f"imgd: {''.join(shown)}\n"
        if sys.stderr is not None:
            sys.stderr.write(line)
        tell(line)

    return hook


def _sentence(error: BaseException) -> str | None:
    if isinstance(error, StartError | Unavailable):
        return error.detail
    if isinstance(error, KeyboardInterrupt):
        return "interrupted before it served."
    if isinstance(error, OSError) and error.strerror:
        file = f"{error.filename}: " if error.filename else ""
        return f"Cannot start: {file}{error.strerror}."
    return None


def problems_of_twistd(options: Mapping[str, Any]) -> Iterator[str]:
    """What would keep twistd from writing its own files, which it would tell by a traceback."""
    if options["chroot"] is not None:  # where its pidfile is then, is not known here
        return
    is_background = not options.get("nodaemon", True)
    if path := options["pidfile"]:
        yield from _unwritable("--pidfile", path, "; name another, or none by --pidfile=")
    path = options["logfile"] or ("twistd.log" if is_background else "-")
    if path != "-" and not options.get("syslog"):
        yield from _unwritable("--logfile", os.path.abspath(path), "; name another")


def _unwritable(option: str, path: str, advice: str) -> Iterator[str]:
    folder = os.path.dirname(path)
    if os.path.isdir(path):
        yield f"{option}: {path!r} is a folder, not a file{advice}"
    elif not os.path.isdir(folder):
        yield f"{option}: {path!r} lies in a folder that does not exist{advice}"
    elif not os.access(path if os.path.exists(path) else folder, os.W_OK):
        yield f"{option}: {path!r} cannot be written{advice}"
