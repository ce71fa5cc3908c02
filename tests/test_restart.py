"""A real daemon that is killed or ended and started again, and one that stands in another's way."""

from __future__ import annotations

import os
import signal
import socket
import sqlite3
from pathlib import Path
from unittest import skipUnless

from twisted.trial.unittest import SynchronousTestCase

from tests import daemons
from tests.daemons import Daemon
from tests.fakes import write
from tests.kill_rounds import Rounds, ask, collections, start


class RestartCase(SynchronousTestCase):
    """A folder for everything that a daemon needs, and a directory of one image."""

    def setUp(self) -> None:
        self.folder = os.path.realpath(self.mktemp())
        self.images = os.path.join(self.folder, "images")
        write(os.path.join(self.images, "a.png"))

    def daemon(self) -> Daemon:
        daemon = start(self.folder)
        self.addCleanup(daemon.kill)
        return daemon

    def load(self, daemon: Daemon, **order: object) -> None:
        ask(daemon, "POST", "/load-directory", {"directory": self.images, **order})


class RestartTests(RestartCase):
    """What is there again."""

    @skipUnless(hasattr(signal, "SIGKILL"), "no SIGKILL here")
    def test_killed(self) -> None:
        """What was acknowledged survives a kill in that very moment, with the time it had left."""
        rounds = Rounds(self.folder)
        for _ in range(6):
            rounds.run()

    def test_ended(self) -> None:
        """After SIGTERM, too, all is there again, and the log says so."""
        daemon = self.daemon()
        self.load(daemon)
        daemon.stop()
        again = self.daemon()
        self.assertEqual(ask(again, "GET", "/")["image_list"], ["a.png"])
        told = [line for line in again.lines if "Restored current: 1 images of" in line]
        self.assertEqual(len(told), 1, again.lines)

    def test_missing_directory(self) -> None:
        """A directory that vanished meanwhile is kept, told as missing, and served once back."""
        daemon = self.daemon()
        self.load(daemon)
        self.load(daemon, name="other")
        daemon.kill()
        os.rename(self.images, self.images + "-away")
        again = self.daemon()
        for told in collections(again).values():
            self.assertEqual((told["available"], told["image_count"]), (False, 1))
        os.rename(self.images + "-away", self.images)
        for name, told in collections(again).items():
            self.assertIs(told["available"], True)
            self.assertEqual(ask(again, "GET", f"/collections/{name}/images")["count"], 1)
        again.stop()
        missing = [line for line in again.lines if "is missing: " in line]
        self.assertEqual(len(missing), 2, again.lines)

    def test_unusable_state(self) -> None:
        """A state file that is corrupt, or of a later version, is moved aside, and told."""
        state = os.path.join(self.folder, "state")
        path = os.path.join(state, "catalog.sqlite3")

        def newer() -> None:
            connection = sqlite3.connect(path)
            connection.execute("PRAGMA user_version = 999")
            connection.commit()
            connection.close()

        for number, spoil in enumerate((lambda: write(path, b"no database" * 1000), newer), 1):
            daemon = self.daemon()
            self.load(daemon)
            daemon.stop()
            spoil()
            again = self.daemon()
            self.assertEqual(collections(again), {})
            self.assertEqual(len([line for line in again.lines if "was moved to" in line]), 1)
            again.stop()
            aside = [n for n in os.listdir(state) if ".sqlite3.corrupt-" in n and n[-1] == "Z"]
            self.assertEqual(len(aside), number)


class NoStartTests(RestartCase):
    """A daemon that cannot start says why in one line, has status 1, and does no harm."""

    def refusal(self, *options: str) -> str:
        arguments = ["-n", "--pidfile=", "imgd", "--no-tls", "--images-dir", self.images, *options]
        done = daemons.run(Path(self.folder), *arguments)
        said = [line for line in (done.stdout + done.stderr).splitlines() if "imgd: " in line]
        self.assertEqual((done.returncode, len(said)), (1, 1), done)
        self.assertNotIn("Traceback", done.stdout + done.stderr)
        return said[0]

    def test_state_folder_held(self) -> None:
        """A second daemon says who holds the state folder; the first goes on, and is found."""
        first = self.daemon()
        self.load(first)
        state = os.path.join(self.folder, "state")
        for _ in range(2):
            said = self.refusal("--port", "0", "--state-dir", state)
            self.assertIn(f"Another imgd (pid {first.pid}, {first.url}) holds", said)
            self.assertIn(state, said)
        self.load(first, name="more")
        first.kill()
        self.assertEqual(set(collections(self.daemon())), {"current", "more"})

    def test_port_in_use(self) -> None:
        """A port that another program has is named, and nothing was made in the state folder."""
        taken = socket.socket()
        self.addCleanup(taken.close)
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        state = os.path.join(self.folder, "state")
        said = self.refusal("--port", str(port), "--state-dir", state)
        self.assertIn(f"port {port} of 127.0.0.1: it is in use", said)
        self.assertFalse(os.path.exists(state))
