"""The command as a process: signals, exit statuses, streams, and ``imgd demo``."""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase

from imgd.host import instance_lock
from tests.client.fake_imgd import FakeImgd, turn
from tests.client.faulty import Server, answer
from tests.daemons import environment


class Command(ProcessProtocol):
    """``imgd`` with these arguments; ``ended`` fires with its exit status."""

    def __init__(self, case: TestCase, folder: Path, *words: str, **env: str) -> None:
        self.out = self.err = ""
        self.ended: Deferred[int | None] = Deferred()
        self._awaited: list[tuple[str, Deferred[None]]] = []
        command = [sys.executable, "-W", "error::DeprecationWarning", "-m", "imgd.client.cli"]
        command += words
        self.handle = reactor.spawnProcess(
            self, command[0], command, environment(folder, env), str(folder)
        )
        case.addCleanup(self._end)

    def outReceived(self, data: bytes) -> None:
        self.out += data.decode()
        self._look()

    def errReceived(self, data: bytes) -> None:
        self.err += data.decode()
        self._look()

    def says(self, pattern: str) -> Deferred[None]:
        """Fires when its output or its remarks have this."""
        said: Deferred[None] = Deferred()
        self._awaited.append((pattern, said))
        self._look()
        return said

    def _look(self) -> None:
        for pattern, said in self._awaited:
            if not said.called and re.search(pattern, self.out + self.err):
                said.callback(None)

    def processEnded(self, reason: Failure) -> None:
        for _, said in self._awaited:
            if not said.called:
                said.errback(AssertionError(f"it ended first: {self.out}{self.err}"))
        self.ended.callback(reason.value.exitCode)

    def _end(self) -> Deferred[Any] | None:
        if self.ended.called:
            return None
        self.handle.signalProcess("KILL")
        return self.ended


class Processes(TestCase):
    timeout = 120

    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir(parents=True)
        self.imgd = FakeImgd(self)
        self.env = {"IMGD_SERVER": self.imgd.url, "IMGD_STATE_DIR": str(self.folder / "state")}

    def run_imgd(self, *words: str, **env: str) -> Command:
        return Command(self, self.folder, *words, **{**self.env, **env})

    async def test_statuses_and_streams(self) -> None:
        """0, 1 and 2; stdout has the manifest's path, or the manifest, and nothing else."""
        self.imgd.images("/data/frames", 3)
        done = self.run_imgd("load", "/data/frames")
        self.assertEqual(await done.ended, 0, done.err)
        path = self.folder / done.out.removesuffix("\n")
        self.assertEqual(path.parent, self.folder / "output" / "json")
        self.assertEqual(json.loads(path.read_text())["count"], 3)
        self.assertIn("frames: 3 images good", done.err)
        done = self.run_imgd("load", "/data/frames", "--output", "-", "--quiet")
        self.assertEqual((await done.ended, done.err), (0, ""))
        self.assertEqual(json.loads(done.out)["count"], 3)
        done = self.run_imgd("load", "/data/gone")
        self.assertEqual((await done.ended, done.out), (1, ""))
        done = self.run_imgd("load")
        self.assertEqual((await done.ended, done.out), (2, ""))

    async def interrupted(self, signal: str) -> Command:
        """A load of 20 images, of which 5 are answered before the signal."""
        self.imgd.images("/data/frames", 20)
        self.imgd.held = []
        command = self.run_imgd("load", "/data/frames", "--workers", "1", "--name", "ct")
        for _ in range(5):
            while not self.imgd.held:
                await turn()
            self.imgd.release()
        while not self.imgd.held:
            await turn()
        command.handle.signalProcess(signal)
        self.assertEqual(await command.ended, 1, command.err)
        self.imgd.held = None
        return command

    async def test_interrupted_and_resumed(self) -> None:
        """Ctrl-C and SIGTERM leave a whole manifest, and a command line that goes on with it."""
        for signal in ("INT", "TERM"):
            command = await self.interrupted(signal)
            manifest = json.loads((self.folder / command.out.strip()).read_text())
            self.assertEqual((manifest["success"], manifest["count"]), (False, 5))
            self.assertIn("interrupted", manifest["message"])
            hint = re.search(r"imgd (load --resume \S+)", command.err)
            assert hint is not None
            self.imgd.log.clear()
            resumed = self.run_imgd(*hint[1].split())
            self.assertEqual(await resumed.ended, 0, resumed.err)
            self.assertEqual(len(self.imgd.checked), 15)
            manifest = json.loads((self.folder / resumed.out.strip()).read_text())
            self.assertEqual((manifest["success"], manifest["count"]), (True, 20))
            self.imgd.loaded.clear()

    async def test_deadline(self) -> None:
        """``--deadline`` stops a load as Ctrl-C does, and says that it was that."""
        self.imgd.images("/data/frames", 20)
        self.imgd.held = []
        command = self.run_imgd("load", "/data/frames", "--deadline", "2")
        self.assertEqual(await command.ended, 1)
        self.assertIn("not done within 2 seconds", command.err)
        self.imgd.held = None

    async def test_status_into_a_closed_pipe(self) -> None:
        """Where nobody reads its results, the command ends quietly."""
        command = self.run_imgd("status")
        command.handle.closeStdout()
        self.assertEqual((await command.ended, command.err), (1, ""))

    async def test_the_server_is_gone(self) -> None:
        """A command ends with one line where there is no server."""
        server = Server(answer())
        await server.stop()
        command = self.run_imgd("status", IMGD_SERVER=server.url)
        self.assertEqual(await command.ended, 1)
        self.assertEqual(
            command.err,
            "imgd: Nothing answers there: is the server running, and the port right?\n",
        )


class Demo(TestCase):
    timeout = 120

    async def test_demo(self) -> None:
        """``imgd demo`` serves frames and a volume, and leaves nothing when it is stopped."""
        for signal in ("INT", "TERM"):
            folder = Path(self.mktemp()).absolute()
            (folder / "tmp").mkdir(parents=True)
            # Another daemon's settings are no concern of the demo's.
            command = Command(
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
            load = Command(
                self,
                folder,
                "load",
                str(demo / "images" / "frames"),
                "--verify",
                "get",
                "--output",
                "-",
                IMGD_STATE_DIR=state_dir,
            )
            self.assertEqual(await load.ended, 0, load.err)
            self.assertEqual(json.loads(load.out)["count"], 24)
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
        command = Command(
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
