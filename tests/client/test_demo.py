"""``imgd demo`` as a process, and its images as the programs read them that people use."""

from __future__ import annotations

import gzip
import io
import json
import os
import pty
import shutil
import subprocess
import sys
from pathlib import Path
from signal import SIGTERM
from unittest import skipUnless

import nibabel
from PIL import Image
from twisted.trial.unittest import SynchronousTestCase, TestCase

from imgd.client.cli import guarded, perform
from imgd.client.demo import FRAMES, make_frame, make_images, make_volume
from imgd.client.options import parse
from imgd.host import instance_lock
from tests.client.command_process import CommandProcess
from tests.client.fake_imgd import TestContext, turn
from tests.daemons import PATIENCE, environment


def is_running(pid: int) -> bool:
    """Whether the process runs; one that nobody waited for runs no more."""
    try:
        return "(zombie)" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False


class Demo(TestCase):
    timeout = 120

    async def test_demo(self) -> None:
        """``imgd demo`` serves frames and a volume, and leaves nothing when it is stopped."""
        for signal in ("INT", "TERM", "HUP"):
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

    async def test_killed(self) -> None:
        """If the demo is killed, its daemon ends by itself, and the folder with its keys goes."""
        folder = Path(self.mktemp()).absolute()
        (folder / "tmp").mkdir(parents=True)
        command = CommandProcess(self, folder, "demo", "--no-browser", TMPDIR=str(folder / "tmp"))
        await command.says("Ctrl-C stops it")
        [demo] = (folder / "tmp").glob("imgd-demo-*")
        daemon = instance_lock.find(str(demo / "state"))
        assert daemon is not None
        self.assertTrue((demo / "state" / "ca.key").exists())
        command.handle.signalProcess("KILL")
        await command.ended
        while is_running(daemon.pid):
            await turn()
        self.assertEqual(list((folder / "tmp").iterdir()), [])

    @skipUnless(shutil.which("setsid"), "no setsid here")
    async def test_closed_terminal(self) -> None:
        """If its terminal is closed, nothing is left either."""
        folder = Path(self.mktemp()).absolute()
        (folder / "tmp").mkdir(parents=True)
        env = environment(folder, {"TMPDIR": str(folder / "tmp")})
        words = [sys.executable, "-m", "imgd.client.cli", "demo", "--no-browser"]
        terminal, its_end = pty.openpty()
        command = subprocess.Popen(
            ["setsid", "--ctty", *words],
            cwd=folder,
            env=env,
            stdin=its_end,
            stdout=its_end,
            stderr=its_end,
        )
        os.close(its_end)
        said = b""
        while b"Ctrl-C stops it" not in said:
            said += os.read(terminal, 1000)
        os.close(terminal)
        self.assertEqual(command.wait(PATIENCE), 0)
        self.assertEqual(list((folder / "tmp").iterdir()), [])

    async def test_a_daemon_that_ends(self) -> None:
        """If the daemon ends by itself, so does the demo, with what it said; nothing is left."""
        folder = Path(self.mktemp()).absolute()
        (folder / "tmp").mkdir(parents=True)
        command = CommandProcess(self, folder, "demo", "--no-browser", TMPDIR=str(folder / "tmp"))
        await command.says("Ctrl-C stops it")
        [demo] = (folder / "tmp").glob("imgd-demo-*")
        daemon = instance_lock.find(str(demo / "state"))
        assert daemon is not None
        os.kill(daemon.pid, SIGTERM)
        self.assertEqual(await command.ended, 1)
        self.assertRegex(command.err, r"the daemon ended: [\s\S]*(Main loop terminated|Shut)")
        self.assertEqual(list((folder / "tmp").glob("imgd-demo-*")), [])

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


class Samples(SynchronousTestCase):
    def test_frames(self) -> None:
        """Frames are PNGs, each different."""
        frames = [make_frame(number, 60, 40) for number in range(FRAMES)]
        self.assertEqual(len(set(frames)), FRAMES)
        for frame in frames:
            image = Image.open(io.BytesIO(frame))
            image.load()
            self.assertEqual((image.format, image.mode, image.size), ("PNG", "RGB", (60, 40)))

    def test_volume(self) -> None:
        """The volume is NIfTI-1: two spheres, in millimetres."""
        image = nibabel.Nifti1Image.from_bytes(gzip.decompress(make_volume(16)))
        data = image.get_fdata()
        self.assertEqual((data.shape, image.header.get_zooms()), ((16,) * 3, (2.0,) * 3))
        self.assertEqual((data[8, 8, 8], data[8, 8, 3], data[0, 0, 0]), (220, 110, 0))
        self.assertEqual(image.header.get_xyzt_units()[0], "mm")
        self.assertEqual(list(image.affine[:, 3]), [-16, -16, -16, 1])

    def test_folders(self) -> None:
        """A folder of frames and one with a volume."""
        folder = self.mktemp()
        make_images(folder)
        self.assertEqual(len(os.listdir(os.path.join(folder, "frames"))), 24)
        self.assertEqual(os.listdir(os.path.join(folder, "volumes")), ["spheres.nii.gz"])
