"""A real daemon that is killed or ended and started again, and one whose state folder is in use."""

from __future__ import annotations

import os
import signal
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
    """What a restart keeps."""

    @skipUnless(hasattr(signal, "SIGKILL"), "no SIGKILL here")
    def test_killed(self) -> None:
        """An acknowledged change survives a kill right after it, with the time that was left."""
        rounds = Rounds(self.folder)
        for _ in range(6):
            rounds.run()

    def test_ended(self) -> None:
        """After SIGTERM everything is restored too, and the log says so."""
        daemon = self.daemon()
        self.load(daemon)
        daemon.stop()
        again = self.daemon()
        self.assertEqual(ask(again, "GET", "/")["image_list"], ["a.png"])
        restored = [line for line in again.lines if "Restored current: 1 images of" in line]
        self.assertEqual(len(restored), 1, again.lines)

    def test_missing_directory(self) -> None:
        """A directory that has vanished is kept, shown as missing, and served when it is back."""
        daemon = self.daemon()
        self.load(daemon)
        self.load(daemon, name="other")
        daemon.kill()
        os.rename(self.images, self.images + "-away")
        again = self.daemon()
        for collection in collections(again).values():
            self.assertEqual((collection["available"], collection["image_count"]), (False, 1))
        os.rename(self.images + "-away", self.images)
        for name, collection in collections(again).items():
            self.assertIs(collection["available"], True)
            self.assertEqual(ask(again, "GET", f"/collections/{name}/images")["count"], 1)
        again.stop()
        missing = [line for line in again.lines if "is missing: " in line]
        self.assertEqual(len(missing), 2, again.lines)

    def test_unusable_state(self) -> None:
        """A corrupt state file, or one of a later version, is moved aside, and the log says so."""
        state = os.path.join(self.folder, "state")
        path = os.path.join(state, "catalog.sqlite3")

        def raise_version() -> None:
            connection = sqlite3.connect(path)
            connection.execute("PRAGMA user_version = 999")
            connection.commit()
            connection.close()

        daemon = self.daemon()
        for number, spoil in enumerate(
            (lambda: write(path, b"no database" * 1000), raise_version), 1
        ):
            self.load(daemon)
            daemon.stop()
            spoil()
            daemon = self.daemon()
            self.assertEqual(collections(daemon), {})
            self.assertEqual(len([line for line in daemon.lines if "was moved to" in line]), 1)
            aside = [n for n in os.listdir(state) if ".sqlite3.corrupt-" in n and n[-1] == "Z"]
            self.assertEqual(len(aside), number)


class HeldStateTests(RestartCase):
    """A second daemon that cannot start does no harm to the first."""

    def refusal(self, *options: str) -> str:
        """The one line with which a start ends in status 1."""
        arguments = ["-n", "--pidfile=", "imgd", "--no-tls", "--images-dir", self.images, *options]
        process = daemons.run(Path(self.folder), *arguments)
        output = process.stdout + process.stderr
        lines = [line for line in output.splitlines() if "imgd: " in line]
        self.assertEqual((process.returncode, len(lines)), (1, 1), process)
        self.assertNotIn("Traceback", output)
        return lines[0]

    def test_state_folder_held(self) -> None:
        """A second daemon says who holds the state folder; the first goes on, and its state is
        kept.
        """
        first = self.daemon()
        self.load(first)
        state = os.path.join(self.folder, "state")
        for _ in range(2):
            line = self.refusal("--port", "0", "--state-dir", state)
            self.assertIn(f"Another imgd (pid {first.pid}, {first.url}) holds", line)
            self.assertIn(state, line)
            self.assertIn("--state-dir", line)
        self.load(first, name="more")
        first.kill()
        self.assertEqual(set(collections(self.daemon())), {"current", "more"})
