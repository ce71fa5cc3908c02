"""What every harness has in common."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

try:
    import atheris
except ImportError:
    sys.exit("atheris is not installed: pip install atheris (CPython 3.11 to 3.13, Linux)")

MAX_LENGTH: Final = 32 * 1024  # bytes of one input: above every limit that is tried


class Failure(Exception):
    """What must hold does not."""


def must(holds: bool, *what: object) -> None:
    """Failure, which atheris reports with its input, unless this holds."""
    if not holds:
        raise Failure(*what)


def run(one_input: Callable[[bytes], None], words: tuple[bytes, ...]) -> None:
    """Fuzz for as many seconds as the command line says, 30 without; ends the process.

    ``words`` are what atheris begins with, and varies. What breaks is kept as ``crash-...`` in the
    working folder; to see it again, feed its bytes to ``one_input``.
    """
    seconds = sys.argv[1] if len(sys.argv) > 1 else "30"
    if not seconds.isdigit():
        sys.exit(f"{seconds!r} is no number of seconds")
    with tempfile.TemporaryDirectory(prefix="imgd-fuzz-") as folder:
        for number, word in enumerate(words):
            one_input(word)
            Path(folder, str(number)).write_bytes(word)
        child = os.fork()  # which libFuzzer ends as it pleases; the folder is removed here
        if not child:
            _fuzz(one_input, seconds, folder)
        _, status = os.waitpid(child, 0)
    sys.exit(os.waitstatus_to_exitcode(status))


def _fuzz(one_input: Callable[[bytes], None], seconds: str, folder: str) -> None:
    options = [f"-max_total_time={seconds}", f"-max_len={MAX_LENGTH}", "-print_final_stats=1"]
    options += ["-timeout=5", "-rss_limit_mb=1024", "-verbosity=0"]
    atheris.Setup([sys.argv[0], *options, folder], one_input)
    atheris.Fuzz()
