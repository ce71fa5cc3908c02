"""The daemon of ``imgd demo``: it ends, and its folder goes, when the demo has gone.

A demo that is killed cannot stop its daemon. But its end of the daemon's standard input is closed.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
from threading import Thread
from typing import Final

from twisted.scripts.twistd import run

PREFIX: Final = "imgd-demo-"  # of the folder; nothing else is removed


def main() -> None:
    """``twistd`` with this process's arguments, in the demo's folder."""
    watched = (sys.stdin.fileno(), os.getcwd())
    Thread(target=end_with_demo, args=watched, daemon=True).start()
    run()


def end_with_demo(stdin: int, folder: str) -> None:
    while os.read(stdin, 1):
        pass
    if os.path.basename(folder).startswith(PREFIX):
        shutil.rmtree(folder, ignore_errors=True)  # the CA's key first: to end may take a while
    os.kill(os.getpid(), signal.SIGTERM)
