"""A directory of a million files is loaded and listed, and ``/health`` is asked all the time."""

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

EVERY = 0.005  # seconds between two requests for /health


def make(folder: Path, count: int) -> None:
    """Make so many empty images."""
    if (folder.parent / f"{folder.name}.complete").exists():
        return
    folder.mkdir(exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY)
    for i in range(count):
        os.close(os.open(f"slice_{i:07}.dcm", os.O_CREAT | os.O_WRONLY, 0o644, dir_fd=descriptor))
    os.close(descriptor)
    (folder.parent / f"{folder.name}.complete").touch()


class HealthClient(threading.Thread):
    """Asks for ``/health`` over one connection, and keeps the longest time that it took."""

    def __init__(self, server: Server) -> None:
        super().__init__(daemon=True)
        url = urlsplit(server.http)
        self._address = (str(url.hostname), url.port or 80)
        self._over = False
        self.longest = 0.0

    def run(self) -> None:
        """Ask until ``end`` is called."""
        with contextlib.suppress(AttributeError):
            os.sched_setaffinity(0, {LOAD_CPU})
        with socket.create_connection(self._address) as connection:
            while not self._over:
                begun = time.monotonic()
                connection.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
                connection.recv(4096)
                self.longest = max(self.longest, time.monotonic() - begun)
                time.sleep(EVERY)

    def end(self) -> float:
        """Stop; the longest time, in milliseconds."""
        self._over = True
        self.join()
        return self.longest * 1000


def run(server: Server, folder: Path) -> dict[str, float]:
    """Seconds to load, growth of RSS, seconds for pages and status, the longest ``/health``."""
    before, figures = server.rss(), {}
    health = HealthClient(server)
    health.start()
    body = json.dumps({"directory": str(folder)})
    loaded, figures["load, s"] = get(
        server, "load-directory", "-H", "Content-Type: application/json", "-d", body
    )
    assert json.loads(loaded)["status"] == "success", loaded
    figures["/health while loading, ms"] = health.end()
    health = HealthClient(server)
    health.start()
    _, figures["status, s"] = get(server, "")
    pages = [
        get(server, f"collections/current/images?limit=10000&after=slice_{number:07}.dcm")[1]
        for number in (0, 500_000, 980_000)
    ]
    figures["page of 10,000, s"] = max(pages)
    figures["/health while listing, ms"] = health.end()
    figures["RSS growth, MB"] = (server.rss() - before) / 1e6
    get(server, "unload", "-X", "POST")
    return figures
