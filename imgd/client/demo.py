"""``imgd demo``: a daemon with sample images, gone without a trace when it is stopped."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Final

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ProcessExitedAlready
from twisted.internet.protocol import ProcessProtocol
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

import imgd
from imgd.client import samples
from imgd.client.commands import CliContext
from imgd.client.discovery import find_server
from imgd.client.errors import ClientError
from imgd.host import instance_lock
from imgd.host.atomic_files import write_file
from imgd.host.instance_lock import RunningDaemon

FRAMES: Final = 24
START_SECONDS: Final = 30.0
STOP_SECONDS: Final = 5.0
POLL_SECONDS: Final = 0.1
KEPT_LINES: Final = 20
_TWISTD: Final = "from twisted.scripts.twistd import run; run()"
# Settings of other daemons on this machine, which are not the demo's.
_FOREIGN: Final = ("IMGD_", "IMAGE_SERVER", "NIFTI_IMAGE_SERVER", "NGROK_", "STATE_DIRECTORY")


class DemoDaemon(ProcessProtocol):
    """An imgd under twistd, on free ports, in ``folder`` with its images and its state."""

    def __init__(self, context: CliContext, folder: str) -> None:
        self._context = context
        self._folder = folder
        self._lines: deque[bytes] = deque(maxlen=KEPT_LINES)
        self._ended: Deferred[None] = Deferred()
        self.images = os.path.join(folder, "images")
        self.state_dir = os.path.join(folder, "state")

    async def start(self) -> RunningDaemon:
        """Start it, and return where it listens; ClientError with its output if it does not."""
        command = [sys.executable, "-c", _TWISTD, "-n", "--pidfile=", "imgd", "--port", "0"]
        command += ["--http-port", "0", "--images-dir", self.images]
        command += ["--state-dir", self.state_dir]
        environ = _environment(self._context.environ)
        self._context.reactor.spawnProcess(self, command[0], command, environ, self._folder)
        for _ in range(int(START_SECONDS / POLL_SECONDS)):
            info = instance_lock.find(self.state_dir)
            if info is not None:
                return info
            if self._ended.called:
                break
            await deferLater(self._context.clock, POLL_SECONDS)
        raise ClientError(f"The daemon did not start. It said: {self.last_lines()}")

    def wait(self) -> Deferred[None]:
        """Fires when it has ended; each caller may cancel its own Deferred."""
        waiting: Deferred[None] = Deferred()
        self._ended.addCallback(lambda _: None if waiting.called else waiting.callback(None))
        return waiting

    async def stop(self) -> None:
        """End it: by SIGTERM, and after some seconds by SIGKILL."""
        if self.transport is None or self._ended.called:
            return
        self._signal("TERM")
        kill = self._context.clock.callLater(STOP_SECONDS, self._signal, "KILL")
        await self.wait()
        if kill.active():
            kill.cancel()

    def _signal(self, name: str) -> None:
        transport: Any = self.transport
        with suppress(ProcessExitedAlready):
            transport.signalProcess(name)

    def last_lines(self) -> str:
        return b"\n".join(self._lines).decode("utf-8", "replace") or "nothing"

    def outReceived(self, data: bytes) -> None:
        self._lines.extend(data.splitlines())

    errReceived = outReceived

    def processEnded(self, reason: Failure) -> None:
        self._ended.callback(None)


async def demo(context: CliContext, show: Callable[[str], object] | None) -> int:
    """Serve sample images until called off; ``show`` opens a URL in the user's browser."""
    folder = tempfile.mkdtemp(prefix="imgd-demo-")
    daemon = DemoDaemon(context, folder)
    try:
        make_images(daemon.images)
        info = await daemon.start()
        await _present(context, daemon, info)
        if show is not None:
            show(info.urls[-1])
        await daemon.wait()
        context.log(f"the daemon ended: {daemon.last_lines()}")
    except CancelledError:
        context.log("stopping")
        return 0
    finally:
        await daemon.stop()
        shutil.rmtree(folder, ignore_errors=True)
    return 1


def make_images(folder: str) -> None:
    """Sample frames in ``folder/frames``, and a volume in ``folder/volumes``."""
    files = {f"frames/frame_{n:04}.png": samples.frame(n, FRAMES) for n in range(FRAMES)}
    files["volumes/spheres.nii.gz"] = samples.volume()
    for name, content in files.items():
        path = os.path.join(folder, *name.split("/"))
        os.makedirs(os.path.dirname(path), exist_ok=True)
        write_file(path, content, mode=0o644)


async def _present(context: CliContext, daemon: DemoDaemon, info: RunningDaemon) -> None:
    client = context.client(find_server({}, state_dir=daemon.state_dir))
    frames = await client.load(os.path.join(daemon.images, "frames"))
    await client.load(os.path.join(daemon.images, "volumes"), name="volumes")
    frame = (await client.images_page(limit=1)).images[0].url
    volume = (await client.images_page("volumes", limit=1)).images[0].url
    context.print(f"imgd {imgd.__version__} runs with {frames.image_count} frames and a volume:")
    context.print(f"  open in a browser   {info.urls[-1]}")
    context.print(f"  the same over TLS   {info.urls[0]}")
    context.print(f"  one frame           {frame}")
    context.print(f"  volumes             {volume}")
    if info.ca:
        context.print(f"  fetch it            curl --cacert {info.ca} -O {volume}")
    context.log("Ctrl-C stops it and removes everything.")


def _environment(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment less other daemons' settings, and with this imgd to be found."""
    kept = {name: value for name, value in environ.items() if not name.startswith(_FOREIGN)}
    home = os.path.dirname(os.path.dirname(os.path.abspath(imgd.__file__)))
    kept["PYTHONPATH"] = os.pathsep.join(filter(None, [home, environ.get("PYTHONPATH")]))
    return kept
