"""The processes in which a real daemon makes pictures: when they begin, and that they end."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import urllib.request
from pathlib import Path
from typing import Any
from unittest import SkipTest

from tests.daemons import PATIENCE, Daemon, DaemonCase

try:
    from PIL import Image
except ImportError as error:  # what imgd[dev] brings
    raise SkipTest(f"no {error.name} here") from error


class ProcessTests(DaemonCase):
    def serve(self, *options: str) -> Daemon:
        output = self.folder / "output"
        output.mkdir()
        Image.linear_gradient("L").save(output / "photo.png")
        return self.daemon("--no-tls", *options)

    def read(self, daemon: Daemon, path: str) -> bytes:
        with urllib.request.urlopen(daemon.url + path, timeout=PATIENCE) as answer:
            body: bytes = answer.read()
        return body

    def health(self, daemon: Daemon) -> Any:
        return json.loads(self.read(daemon, "health"))["pictures"]

    def workers(self, daemon: Daemon) -> list[int]:
        """The processes that the daemon started."""
        children = Path(f"/proc/{daemon.pid}/task/{daemon.pid}/children")
        if not children.exists():
            raise SkipTest("no list of child processes here")
        return [int(pid) for pid in children.read_text().split()]

    def watched_worker(self, daemon: Daemon) -> int:
        """A descriptor that is readable once the only worker has ended."""
        [pid] = self.workers(daemon)
        pidfd = os.pidfd_open(pid)
        self.addCleanup(os.close, pidfd)
        return pidfd

    def assert_ended(self, pidfd: int) -> None:
        self.assertTrue(select.select([pidfd], [], [], PATIENCE)[0])

    def test_lazy(self) -> None:
        """A daemon that makes no picture starts no process; /health counts what it makes."""
        daemon = self.serve("--picture-workers", "2")
        self.read(daemon, "photo.png")
        self.assertEqual(self.workers(daemon), [])
        none = {"workers": 2, "busy": 0, "waiting": 0, "made": 0, "failed": 0}
        self.assertEqual(self.health(daemon), none)
        self.read(daemon, "photo.png?thumb")
        self.assertEqual(len(self.workers(daemon)), 1)
        self.assertEqual(self.health(daemon)["made"], 1)

    def test_end(self) -> None:
        """No process outlives the daemon, whether it is stopped or killed."""
        for end in (Daemon.stop, Daemon.kill):
            self.folder /= "next"
            self.folder.mkdir()
            daemon = self.serve()
            self.read(daemon, "photo.png?thumb")
            pidfd = self.watched_worker(daemon)
            end(daemon)
            self.assert_ended(pidfd)

    def test_end_under_way(self) -> None:
        """Nor one that is making a picture, however long that would take."""
        daemon = self.serve()
        self.read(daemon, "photo.png?thumb")
        pidfd = self.watched_worker(daemon)
        signal.pidfd_send_signal(pidfd, signal.SIGSTOP)
        with socket.create_connection(("127.0.0.1", daemon.port), PATIENCE) as client:
            client.sendall(b"GET /photo.png?thumb=512 HTTP/1.1\r\nHost: localhost\r\n\r\n")
            while not self.health(daemon)["busy"]:
                pass
            daemon.kill()
            self.assert_ended(pidfd)

    def test_status(self) -> None:
        """``--picture-workers 0`` is told by /health."""
        daemon = self.serve("--picture-workers", "0")
        self.assertEqual(self.health(daemon)["off"], "--picture-workers 0")
