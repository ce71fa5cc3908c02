"""How long a file is waited for while a daemon works, and how much of that is the machine's."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Mapping

from benchmarks.dicom.servers import Client
from benchmarks.servers import Server

EVERY = 0.01  # seconds between two requests


class Waits(threading.Thread):
    """Asks for a file of 20 kB over one connection while it is entered; every answer must be 200.

    ``longest`` is in seconds. ``own`` is the longest without the time in which the daemon's thread
    that waited longest for a core, or this one, had none: other programs had it then.
    """

    def __init__(self, server: Server, path: str) -> None:
        super().__init__(daemon=True)
        self._client, self._pid, self._path = Client(server), server.process.pid, path
        self._over = threading.Event()
        self._failure: Exception | None = None
        self.longest = self.own = 0.0

    def __enter__(self) -> Waits:
        self._client.fetch(self._path)
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self.join()
        if self._failure is not None:
            raise self._failure

    def run(self) -> None:
        """Ask until it is left."""
        try:
            while not self._over.wait(EVERY):
                self._ask()
        except Exception as error:
            self._failure = error

    def _ask(self) -> None:
        before, waited = delays(self._pid), own_delay()
        begun = time.monotonic()
        self._client.fetch(self._path)
        took = time.monotonic() - begun
        self.longest = max(self.longest, took)
        if took > self.own:
            waited = own_delay() - waited
            after = delays(self._pid)
            theirs = max((after[thread] - before.get(thread, 0.0) for thread in after), default=0.0)
            self.own = max(self.own, took - waited - theirs)


def delays(pid: int) -> Mapping[str, float]:
    """Seconds that each thread of a process was ready to run and had no core, so far."""
    found = {}
    for thread in os.listdir(f"/proc/{pid}/task"):
        try:
            found[thread] = _delay(f"/proc/{pid}/task/{thread}")
        except OSError:  # it ended
            continue
    return found


def own_delay() -> float:
    """The same of the calling thread."""
    return _delay("/proc/thread-self")


def _delay(folder: str) -> float:
    with open(f"{folder}/schedstat", encoding="ascii") as file:
        return int(file.read().split()[1]) / 1e9
