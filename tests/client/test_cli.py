"""The command as a process: signals, exit statuses and streams."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from unittest import skipUnless

from twisted.trial.unittest import TestCase

from imgd.host import instance_lock
from tests.client.command_process import CommandProcess
from tests.client.fake_imgd import FakeImgd, turn
from tests.client.faulty import FaultyServer, answer


class LimitedProcess(CommandProcess):
    """``imgd`` that may open 100 files."""

    prefix = ("sh", "-c", 'ulimit -n 100; exec "$@"', "sh")


class Processes(TestCase):
    timeout = 120

    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir(parents=True)
        self.imgd = FakeImgd(self)
        self.env = {"IMGD_SERVER": self.imgd.url, "IMGD_STATE_DIR": str(self.folder / "state")}

    def run_imgd(self, *words: str, prefix: tuple[str, ...] = (), **env: str) -> CommandProcess:
        return CommandProcess(self, self.folder, *words, prefix=prefix, **{**self.env, **env})

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

    async def interrupted(self, signal: str) -> CommandProcess:
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
        """Ctrl-C, SIGTERM and a closed terminal leave a whole manifest, and a command line that
        goes on with it.
        """
        for signal in ("INT", "TERM", "HUP"):
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

    @skipUnless(os.name == "posix", "there is no such signal there")
    async def test_nohup(self) -> None:
        """If a closed terminal is to be ignored, as with nohup, the load goes on."""
        self.imgd.images("/data/frames", 1)
        self.imgd.held = []
        ignoring = ("sh", "-c", 'trap "" HUP; exec "$0" "$@"')
        command = self.run_imgd("load", "/data/frames", prefix=ignoring)
        while not self.imgd.held:
            await turn()
        command.handle.signalProcess("HUP")
        self.imgd.release()
        self.assertEqual(await command.ended, 0, command.err)

    async def test_resumed_as_before(self) -> None:
        """A resumed load verifies as the load before did, and reads the folders below if that did,
        unless it is told otherwise.
        """
        self.imgd.images("/data/frames", 5)
        self.imgd.hooks["i 0003.png"] = lambda _request, body: body[1:]
        words = ("load", "/data/frames", "--verify", "get", "--recursive", "--name", "ct")
        failed = self.run_imgd(*words)
        self.assertEqual(await failed.ended, 1)
        for more, verify in (((), "get"), (("--verify", "none"), "none"), ((), "none")):
            self.imgd.log.clear()
            self.imgd.posts.clear()
            self.imgd.loaded.clear()
            path = self.folder / "output" / "json" / "ct.json"
            resumed = self.run_imgd("load", "--resume", str(path), *more)
            self.assertEqual(await resumed.ended, 1 if verify == "get" else 0, resumed.err)
            asked = [line.split()[0] for line in self.imgd.log if "0003.png" in line]
            self.assertEqual(asked, ["GET"] if verify == "get" else [])
            manifest = json.loads(path.read_text())
            self.assertEqual((manifest["verify"], manifest["recursive"]), (verify, True))
            self.assertTrue(self.imgd.posts[0][1]["recursive"])

    async def test_deadline(self) -> None:
        """``--deadline`` stops a load as Ctrl-C does, and says that it was that."""
        self.imgd.images("/data/frames", 20)
        self.imgd.held = []
        command = self.run_imgd("load", "/data/frames", "--deadline", "0.5")
        self.assertEqual(await command.ended, 1)
        self.assertIn("not done within 0.5 seconds", command.err)
        self.imgd.held = None

    async def test_status_into_a_closed_pipe(self) -> None:
        """Where nobody reads its results, the command ends quietly."""
        command = self.run_imgd("status")
        command.handle.closeStdout()
        self.assertEqual((await command.ended, command.err), (1, ""))

    async def test_load_into_a_closed_pipe(self) -> None:
        """So does a load that writes its manifest there, however little of it was read."""
        self.imgd.images("/data/frames", 3000)
        script = '"$0" "$@" --output - --quiet --verify none | head -c 1; exit "${PIPESTATUS[0]}"'
        head = self.run_imgd("load", "/data/frames", prefix=("bash", "-c", script))
        self.assertEqual((await head.ended, head.out, head.err), (1, "{", ""))

    @skipUnless(os.path.exists("/dev/full"), "no /dev/full here")
    async def test_full_output(self) -> None:
        """If its results cannot be written, a command says so in one line."""
        self.imgd.images("/data/frames", 3)
        for words in (("status",), ("load", "/data/frames", "--output", "-", "--quiet")):
            script = '"$0" "$@" >/dev/full'
            full = self.run_imgd(*words, prefix=("sh", "-c", script))
            self.assertEqual(await full.ended, 1)
            self.assertRegex(
                full.err,
                r"^imgd: (/data/frames: )?standard output: No space left on device\n$",
            )

    async def test_output_of_another_encoding(self) -> None:
        """A result that standard output cannot take is told in one line."""
        self.imgd.images("/data/ü", 1)
        words = ("load", "/data/ü", "--quiet")
        narrow = self.run_imgd(*words, PYTHONIOENCODING="ascii:strict")
        self.assertEqual(await narrow.ended, 1)
        self.assertTrue(narrow.err.endswith("takes ascii alone: set PYTHONIOENCODING=utf-8\n"))

    @skipUnless(os.name == "posix", "there such a folder cannot be removed")
    async def test_a_working_folder_that_is_gone(self) -> None:
        """If the working folder is gone, that is said."""
        gone = self.folder / "gone"
        gone.mkdir()
        script = f'rmdir "{gone}"; exec "$0" "$@"'
        for words in (("status",), ("load", "/data/frames")):
            gone.mkdir(exist_ok=True)
            command = CommandProcess(self, gone, *words, prefix=("sh", "-c", script), **self.env)
            self.assertEqual(await command.ended, 1)
            self.assertIn(
                "imgd: the working folder cannot be used: No such file or directory\n", command.err
            )

    @skipUnless(os.name == "posix", "streams are closed otherwise there")
    async def test_closed_streams(self) -> None:
        """Without standard output a command says so; without standard error it does its work."""
        for redirection, status, said in (
            (">&-", 1, "imgd: standard output is closed, so there is nowhere to write to\n"),
            ("2>&-", 0, ""),
            ("<&-", 0, ""),
            (">&- 2>&- <&-", 1, ""),
        ):
            prefix = ("sh", "-c", f'"$0" "$@" {redirection}')
            command = self.run_imgd("status", prefix=prefix)
            self.assertEqual((await command.ended, command.err), (status, said), redirection)

    async def test_env_file(self) -> None:
        """In a folder whose ``.env`` moves the daemon's state, the daemon is found."""
        (self.folder / "moved").mkdir(mode=0o700)
        (self.folder / ".env").write_text("IMGD_STATE_DIR=moved\n")
        held = instance_lock.acquire(str(self.folder / "moved"))
        self.addCleanup(held.release)
        held.publish([self.imgd.url], None)
        command = CommandProcess(self, self.folder, "status")
        self.assertEqual(await command.ended, 0, command.err)
        self.assertIn(f"imgd 9.9 at {self.imgd.url}", command.out)

    @skipUnless(os.name == "posix", "limits of open files are POSIX's")
    async def test_many_workers_and_few_files(self) -> None:
        """There are no more workers than the limit of open files has connections for."""
        self.imgd.images("/data/frames", 300)
        words = ("load", "/data/frames", "--workers", "300", "--batch-size", "1", "--output", "-")
        command = LimitedProcess(self, self.folder, *words, prefix=(), **self.env)
        self.assertEqual(await command.ended, 0, command.err)
        self.assertEqual(json.loads(command.out)["count"], 300)

    async def test_the_server_is_gone(self) -> None:
        """A command ends with one line where there is no server."""
        server = FaultyServer(answer())
        await server.stop()
        command = self.run_imgd("status", IMGD_SERVER=server.url)
        self.assertEqual(await command.ended, 1)
        self.assertEqual(
            command.err,
            "imgd: Nothing answers there: is the server running, and the port right?\n",
        )
