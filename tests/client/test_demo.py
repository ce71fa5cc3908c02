"""``imgd demo`` as a process."""

from __future__ import annotations

import json
import os
from pathlib import Path

from twisted.trial.unittest import TestCase

from imgd.client.cli import guarded, perform
from imgd.client.options import parse
from imgd.host import instance_lock
from tests.client.command_process import CommandProcess
from tests.client.fake_imgd import TestContext
from tests.daemons import environment


class Demo(TestCase):
    timeout = 120

    async def test_demo(self) -> None:
        """``imgd demo`` serves frames and a volume, and leaves nothing when it is stopped."""
        for signal in ("INT", "TERM"):
            folder = Path(self.mktemp()).absolute()
            (folder / "tmp").mkdir(parents=True)
            # Another daemon's settings are no concern of the demo's.
            command = CommandProcess(
                self,
                folder,
                "demo",
                "--no-browser",
                TMPDIR=str(folder / "tmp"),
                IMGD_CERT="/gone.pem",
                IMAGE_SERVER_PORT="1",
            )
            await command.says("Ctrl-C stops it")
            for part in ("24 frames", "/images/frame_0000.png", "spheres.nii.gz", "https://"):
                self.assertIn(part, command.out)
            [demo] = (folder / "tmp").glob("imgd-demo-*")
            state_dir = str(demo / "state")
            found = instance_lock.find(state_dir)
            assert found is not None
            context = TestContext(self)
            words = ["load", str(demo / "images" / "frames"), "--state-dir", state_dir]
            options = parse([*words, "--verify", "get", "--output", "-"])
            self.assertEqual(await guarded(context, perform(context, options)), 0)
            self.assertEqual(json.loads(context.printed)["count"], 24)
            command.handle.signalProcess(signal)
            self.assertEqual(await command.ended, 0, command.err)
            self.assertEqual(list((folder / "tmp").glob("imgd-demo-*")), [])
            self.assertRaises(ProcessLookupError, os.kill, found.pid, 0)

    async def test_a_daemon_that_does_not_start(self) -> None:
        """Where the daemon does not start, what it said is told, and nothing is left."""
        folder = Path(self.mktemp()).absolute()
        (folder / "tmp").mkdir(parents=True)
        broken = folder / "broken"
        (broken / "twisted").mkdir(parents=True)
        (broken / "sitecustomize.py").write_text(
            "import sys\nif sys.argv[:1] == ['-c']: sys.exit('no twistd today')\n"
        )
        command = CommandProcess(
            self,
            folder,
            "demo",
            "--no-browser",
            TMPDIR=str(folder / "tmp"),
            PYTHONPATH=os.pathsep.join([environment(folder)["PYTHONPATH"], str(broken)]),
        )
        self.assertEqual(await command.ended, 1)
        self.assertIn("The daemon did not start", command.err)
        self.assertEqual(list((folder / "tmp").glob("imgd-demo-*")), [])
