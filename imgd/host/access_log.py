"""The access log: one line for each request in Apache's combined format, which cannot be forged."""

from __future__ import annotations

import os
import re
import time
from functools import lru_cache
from typing import Final

from imgd.errors import StartError
from imgd.logs import Logger

_MODE: Final = 0o640  # log readers are often a group of their own
# Never waiting: a pipe whose reader is slow loses lines, and no request stands still.
_FLAGS: Final = (
    os.O_WRONLY
    | os.O_APPEND
    | os.O_CREAT
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_BINARY", 0)
)
_MONTHS: Final = "JanFebMarAprMayJunJulAugSepOctNovDec"
_UNSAFE: Final = re.compile(r'[^ -~]|["\\]')
_UNSAFE_WORD: Final = re.compile(r'[^!-~]|["\\]')  # where a space would end the field

Text = bytes | str | None


class AccessLog:
    """A file that lines are appended to; StartError if it cannot be opened.

    Written to by one thread. A line that cannot be written is lost: the daemon's log has one line
    of it, and one when lines are written again; no request fails for it.
    """

    log = Logger()

    def __init__(self, path: str) -> None:
        self._path = os.path.abspath(path)  # the same file after a daemon changes its folder
        self._lost = 0
        self._torn = False
        try:
            self._descriptor: int | None = os.open(self._path, _FLAGS, _MODE)
        except OSError as error:
            raise StartError(
                f"The access log {path} cannot be opened: {error.strerror}."
            ) from error

    @property
    def is_losing(self) -> bool:
        """Whether the last line could not be written."""
        return bool(self._lost)

    def write(self, line: bytes | str) -> None:
        """Append a line, given without its end."""
        if self._descriptor is None:
            return
        raw = line if isinstance(line, bytes) else line.encode("utf-8", "backslashreplace")
        whole = (b"\n" if self._torn else b"") + raw + b"\n"
        try:
            written = os.write(self._descriptor, whole)
        except OSError as error:
            self._note_lost(error.strerror)
            return
        self._torn = written < len(whole)  # the next line must not run into this one
        if self._torn:
            self._note_lost("only a part was written")
        elif self._lost:
            self.log.info("The access log is written again; {lost} lines are lost", lost=self._lost)
            self._lost = 0

    def reopen(self) -> None:
        """Open the file anew, as after it was rotated; the old one stays if that fails."""
        if self._descriptor is None:
            return
        try:
            fresh = os.open(self._path, _FLAGS, _MODE)
        except OSError as error:
            self.log.error(  # noqa: TRY400 (one line says it all)
                "The access log {path} cannot be reopened, and the old file goes on: {why}",
                path=self._path,
                why=error.strerror,
            )
            return
        os.close(self._descriptor)
        self._descriptor, self._torn = fresh, False

    def close(self) -> None:
        """Close the file; lines written later are dropped. A second close does nothing."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _note_lost(self, why: object) -> None:
        if not self._lost:
            self.log.error(
                "The access log {path} cannot be written, and lines are lost: {why}",
                path=self._path,
                why=why,
            )
        self._lost += 1


def combined(
    *,
    peer: Text,
    user: Text,
    when: float,
    request: Text,
    status: int,
    size: int,
    referer: Text,
    agent: Text,
) -> str:
    r"""A line of Apache's combined log format, without its end.

    ``when`` is in seconds since the epoch, ``size`` in bytes of the body; what is missing is ``-``.
    Quotes, backslashes and everything outside printable ASCII are written as ``\xHH``, as nginx
    does. https://httpd.apache.org/docs/2.4/logs.html#combined
    """
    return (
        f"{_word(peer)} - {_word(user)} [{_stamp(int(when))}] {_quoted(request)} "
        f"{status} {size or '-'} {_quoted(referer)} {_quoted(agent)}"
    )


@lru_cache(maxsize=4)
def _stamp(second: int) -> str:
    """``10/Oct/2000:13:55:36 -0700``, with English months whatever the locale."""
    t = time.localtime(second)
    return (
        f"{t.tm_mday:02}/{_MONTHS[3 * t.tm_mon - 3 : 3 * t.tm_mon]}/{t.tm_year}:"
        f"{t.tm_hour:02}:{t.tm_min:02}:{t.tm_sec:02} {time.strftime('%z', t)}"
    )


def _word(text: Text) -> str:
    return _UNSAFE_WORD.sub(_hex, _bytewise(text)) or "-"


def _quoted(text: Text) -> str:
    return f'"{_UNSAFE.sub(_hex, _bytewise(text)) or "-"}"'


def _bytewise(text: Text) -> str:
    """The text with one character for each of its bytes."""
    if text is None:
        return ""
    raw = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    return raw.decode("latin-1")


def _hex(match: re.Match[str]) -> str:
    return f"\\x{ord(match[0]):02X}"
