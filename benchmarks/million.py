"""A directory of a million files: loaded, listed, told of, while ``/health`` is asked all along."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.loads import get
from benchmarks.servers import LOAD_CPU, Server

EVERY = 0.005  # seconds between two looks at /health


def make(folder: Path, count: int) -> None:
    """So many empty images."""
    if (folder.parent / f"{folder.name}.complete").exists():
        return
    folder.mkdir(exist_ok=True)
    place = os.open(folder, os.O_RDONLY)
    for i in range(count):
        os.close(os.open(f"slice_{i:07}.dcm", os.O_CREAT | os.O_WRONLY, 0o644, dir_fd=place))
    os.close(place)
    (folder.parent / f"{folder.name}.complete").touch()


class Watch(threading.Thread):
    """Asks for ``/health`` over one connection, and keeps the longest time that it took."""

    def __init__(self, server: Server) -> None:
        super().__init__(daemon=True)
        at = urlsplit(server.http)
        self._address = (str(at.hostname), at.port or 80)
        self._over = False
        self.longest = 0.0

    def run(self) -> None:
        """Until told to end."""
        with contextlib.suppress(AttributeError):
            os.sched_setaffinity(0, {LOAD_CPU})
        with socket.create_connection(self._address) as asking:
            while not self._over:
                begun = time.monotonic()
                asking.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
                asking.recv(4096)
                self.longest = max(self.longest, time.monotonic() - begun)
                time.sleep(EVERY)

    def end(self) -> float:
        """The longest, in milliseconds."""
        self._over = True
        self.join()
        return self.longest * 1000


def run(server: Server, folder: Path) -> dict[str, float]:
    """Seconds to load, MB of RSS more, seconds for pages and status, longest ``/health`` in ms."""
    before, found = server.rss(), {}
    watch = Watch(server)
    watch.start()
    order = json.dumps({"directory": str(folder)})
    loaded, found["load, s"] = get(
        server, "load-directory", "-H", "Content-Type: application/json", "-d", order
    )
    assert json.loads(loaded)["status"] == "success", loaded
    found["/health while loading, ms"] = watch.end()
    watch = Watch(server)
    watch.start()
    _, found["status, s"] = get(server, "")
    pages = [
        get(server, f"collections/current/images?limit=10000&after=slice_{at:07}.dcm")[1]
        for at in (0, 500_000, 980_000)
    ]
    found["page of 10,000, s"] = max(pages)
    found["/health while listing, ms"] = watch.end()
    found["RSS growth, MB"] = (server.rss() - before) / 1e6
    get(server, "unload", "-X", "POST")
    return found
