"""The command ``imgd`` before its reactor runs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from imgd import __version__
from tests.daemons import PATIENCE, environment

HALTED = "import os, signal\nos.write(1, b'importing')\nsignal.pause()\n"


class MainTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()

    def test_interrupted_import(self) -> None:
        """Ctrl-C while modules are imported ends the command quietly, as shells expect it."""
        if os.name != "posix":
            raise SkipTest("there is no signal.pause here")
        (self.folder / "msgspec.py").write_text(HALTED)
        env = environment(self.folder)
        env["PYTHONPATH"] = os.pathsep.join([str(self.folder), env["PYTHONPATH"]])
        command = [sys.executable, "-m", "imgd", "status"]
        with subprocess.Popen(
            command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as process:
            assert process.stdout is not None
            self.assertEqual(process.stdout.read(9), b"importing")
            process.send_signal(signal.SIGINT)
            _, said = process.communicate(timeout=PATIENCE)
        self.assertEqual((process.returncode, said), (130, b""))

    def test_module(self) -> None:
        """``python -m imgd`` is the command."""
        done = subprocess.run(
            [sys.executable, "-m", "imgd", "--version"],
            env=environment(self.folder),
            capture_output=True,
            text=True,
            check=False,
        )
        self.assertEqual((done.returncode, done.stdout), (0, f"imgd {__version__}\n"))
