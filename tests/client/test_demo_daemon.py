"""What is done when the demo has gone; ``test_demo`` kills one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.daemons import PATIENCE, environment

WATCH = (
    "import os; from imgd.client.demo_daemon import end_with_demo; end_with_demo(0, os.getcwd())"
)


class EndTests(SynchronousTestCase):
    def test_folder(self) -> None:
        """The process ends when its standard input does; only a demo's folder is removed."""
        for name, stays in (("imgd-demo-x", False), ("home", True)):
            folder = Path(self.mktemp()).absolute() / name
            folder.mkdir(parents=True)
            (folder / "ca.key").write_text("secret")
            done = subprocess.run(
                [sys.executable, "-c", WATCH],
                cwd=folder,
                env=environment(folder),
                input=b"what is written does not matter",
                timeout=PATIENCE,
                check=False,
            )
            self.assertEqual(done.returncode, -signal.SIGTERM)
            self.assertEqual(os.path.exists(folder / "ca.key"), stays)
