"""``imgd tunnel --start`` as a process, with an agent on its PATH that acts as ngrok's does."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path
from unittest import skipUnless

from twisted.trial.unittest import TestCase

from tests.client.command_process import CommandProcess
from tests.client.fake_imgd import FakeImgd, turn

# It serves the agent's API for one tunnel, until it is told to end.
AGENT = f"""#!{sys.executable}
import json, os, sys
from http.server import BaseHTTPRequestHandler, HTTPServer

class Api(BaseHTTPRequestHandler):
    def do_GET(self):
        tunnel = {{"public_url": "https://abc.ngrok.app", "config": {{"addr": sys.argv[2]}}}}
        body = json.dumps({{"tunnels": [tunnel]}}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

with HTTPServer(("127.0.0.1", int(os.environ["API_PORT"])), Api) as server:
    with open("agent", "w") as file:
        file.write(f"{{os.getpid()}} {{' '.join(sys.argv[1:])}}")
    server.serve_forever()
"""
REFUSED = (
    "#!/bin/sh\necho 'ERROR:  authentication failed:'\necho 'ERROR:  ERR_NGROK_4018' >&2\nexit 1\n"
)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@skipUnless(os.name == "posix", "programs are found by other rules here")
class Starting(TestCase):
    timeout = 120

    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).absolute()
        (self.folder / "bin").mkdir(parents=True)
        self.imgd = FakeImgd(self)
        self.port = free_port()

    def install(self, script: str) -> None:
        program = self.folder / "bin" / "ngrok"
        program.write_text(script)
        program.chmod(0o755)

    def start(self, *words: str) -> CommandProcess:
        return CommandProcess(
            self,
            self.folder,
            *("tunnel", "--start", "--agent", f"http://127.0.0.1:{self.port}", *words),
            PATH=str(self.folder / "bin"),
            API_PORT=str(self.port),
            IMGD_SERVER=self.imgd.url,
            IMGD_STATE_DIR=str(self.folder / "state"),
        )

    async def started(self) -> tuple[CommandProcess, int]:
        """The command when its tunnel is open, and the agent's process."""
        self.install(AGENT)
        command = self.start()
        await command.says("Ctrl-C closes the tunnel")
        pid, _, words = (self.folder / "agent").read_text().partition(" ")
        self.assertEqual(words, f"http {self.imgd.url}")
        return command, int(pid)

    async def test_stopped(self) -> None:
        """It opens a tunnel and prints what scripts read; Ctrl-C, SIGTERM or a closed terminal stop
        the agent, and local URLs are handed out again.
        """
        for signal in ("INT", "TERM", "HUP"):
            self.imgd.posts.clear()
            command, pid = await self.started()
            command.handle.signalProcess(signal)
            self.assertEqual(await command.ended, 0, command.err)
            self.assertEqual(
                command.out,
                "NGROK_URL=https://abc.ngrok.app\n"
                f"NGROK_WEB_INTERFACE=http://127.0.0.1:{self.port}\n",
            )
            self.assertRaises(ProcessLookupError, os.kill, pid, 0)
            urls = [body["url"] for _, body in self.imgd.posts]
            self.assertEqual(urls, ["https://abc.ngrok.app", None])

    async def test_agent_that_ends(self) -> None:
        """If the agent ends, so does the command, with status 1, and its URL is taken back."""
        command, pid = await self.started()
        os.kill(pid, 15)
        self.assertEqual(await command.ended, 1)
        self.assertIn("imgd: ngrok ended, and said: ", command.err)
        self.assertIsNone(self.imgd.posts[-1][1]["url"])

    async def test_agent_that_refuses(self) -> None:
        """An agent that cannot open a tunnel is quoted, in one line."""
        self.install(REFUSED)
        command = self.start()
        self.assertEqual(await command.ended, 1)
        said = "ngrok ended, and said: ERROR: authentication failed: ERROR: ERR_NGROK_4018\n"
        self.assertEqual(command.err.splitlines(keepends=True)[-1], f"imgd: {said}")
        self.assertEqual((command.out, self.imgd.posts), ("", []))

    async def test_interrupted_before(self) -> None:
        """Stopped while it waits for the tunnel, it stops the agent, too."""
        self.install(AGENT.replace("HTTPServer((", "HTTPServer(('localhost', 0) or ("))
        command = self.start("--wait", "50")
        await command.says("no ngrok agent answers; waiting")
        while not (self.folder / "agent").exists() or not (self.folder / "agent").read_text():
            await turn()
        pid = int((self.folder / "agent").read_text().split()[0])
        command.handle.signalProcess("INT")
        self.assertEqual(await command.ended, 0, command.err)
        self.assertRaises(ProcessLookupError, os.kill, pid, 0)
        self.assertEqual(self.imgd.posts, [])

    async def test_no_agent(self) -> None:
        """If none is installed, or none that runs, it says so."""
        command = self.start()
        self.assertEqual(await command.ended, 1)
        self.assertEqual(
            command.err,
            "imgd: no ngrok is on the PATH: install it, or run an agent elsewhere\n",
        )
        self.install("#!/gone/interpreter\n")
        command = self.start()
        self.assertEqual(await command.ended, 1)
        self.assertIn("bin/ngrok cannot be started: No such file", command.err)

    async def test_another_agent(self) -> None:
        """An agent that runs already is not joined by another."""
        first, _ = await self.started()
        command = self.start()
        self.assertEqual(await command.ended, 1)
        self.assertIn("already: run imgd tunnel without --start", command.err)
        first.handle.signalProcess("TERM")
        self.assertEqual(await first.ended, 0, first.err)
