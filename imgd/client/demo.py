"""``imgd demo``: a daemon with something to see, gone without a trace when it is stopped."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Final

from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.error import ProcessExitedAlready
from twisted.internet.protocol import ProcessProtocol
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

import imgd
from imgd.client import samples
from imgd.client.desk import Desk
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


class _Process(ProcessProtocol):
    """twistd: keeps the last lines that it says, and knows when it has ended."""

    def __init__(self) -> None:
        self.said: deque[bytes] = deque(maxlen=KEPT_LINES)
        self.has_ended = False
        self._waiting: list[Deferred[None]] = []

    def end(self) -> Deferred[None]:
        """Fires when it has ended; each who waits has a Deferred of their own to cancel."""
        if self.has_ended:
            return succeed(None)
        waiting: Deferred[None] = Deferred(self._waiting.remove)
        self._waiting.append(waiting)
        return waiting

    def outReceived(self, data: bytes) -> None:
        """twistd says something, on either of its outputs."""
        self.said.extend(data.splitlines())

    errReceived = outReceived

    def processEnded(self, reason: Failure) -> None:
        """Whoever waits hears of it."""
        self.has_ended = True
        waiting, self._waiting = self._waiting, []
        for one in waiting:
            one.callback(None)


class DemoDaemon:
    """An imgd of its own, on free ports, whose state lies in ``folder``."""

    def __init__(self, desk: Desk, folder: str) -> None:
        self._desk = desk
        self._folder = folder
        self._process = _Process()
        self._handle: Any = None
        self.state_dir = os.path.join(folder, "state")

    async def start(self) -> RunningDaemon:
        """Start it, and return where it listens; ClientError with what it said if it does not."""
        command = [sys.executable, "-c", _TWISTD, "-n", "--pidfile=", "imgd", "--port", "0"]
        command += ["--http-port", "0", "--images-dir", os.path.join(self._folder, "images")]
        command += ["--state-dir", self.state_dir]
        self._handle = self._desk.reactor.spawnProcess(
            self._process, command[0], command, _environment(self._desk.environ), self._folder
        )
        for _ in range(int(START_SECONDS / POLL_SECONDS)):
            found = instance_lock.find(self.state_dir)
            if found is not None:
                return found
            if self._process.has_ended:
                break
            await deferLater(self._desk.clock, POLL_SECONDS)
        raise ClientError(f"The daemon did not start. It said: {self._last_words()}")

    async def wait(self) -> str:
        """Wait until it ends by itself, and return what it said last."""
        await self._process.end()
        return self._last_words()

    async def stop(self) -> None:
        """End it: politely, and after some seconds not."""
        if self._handle is None or self._process.has_ended:
            return
        self._signal("TERM")
        late = self._desk.clock.callLater(STOP_SECONDS, self._signal, "KILL")
        await self._process.end()
        if late.active():
            late.cancel()

    def _signal(self, name: str) -> None:
        with suppress(ProcessExitedAlready):
            self._handle.signalProcess(name)

    def _last_words(self) -> str:
        return b"\n".join(self._process.said).decode("utf-8", "replace") or "nothing"


async def demo(desk: Desk, show: Callable[[str], object] | None) -> int:
    """Serve sample images until called off; ``show`` opens a URL in the user's browser."""
    folder = tempfile.mkdtemp(prefix="imgd-demo-")
    daemon = DemoDaemon(desk, folder)
    try:
        make_images(os.path.join(folder, "images"))
        found = await daemon.start()
        await _present(desk, folder, found)
        if show is not None:
            show(found.urls[-1])
        desk.say(f"the daemon ended: {await daemon.wait()}")
    except CancelledError:
        desk.say("stopping")
        return 0
    finally:
        await daemon.stop()
        shutil.rmtree(folder, ignore_errors=True)
    return 1


def make_images(folder: str) -> None:
    """Sample frames in ``folder/frames``, and a volume in ``folder/volumes``."""
    for name in ("frames", "volumes"):
        os.makedirs(os.path.join(folder, name))
    for number in range(FRAMES):
        path = os.path.join(folder, "frames", f"frame_{number:04}.png")
        write_file(path, samples.frame(number, FRAMES), mode=0o644)
    path = os.path.join(folder, "volumes", "spheres.nii.gz")
    write_file(path, samples.volume(), mode=0o644)


async def _present(desk: Desk, folder: str, found: RunningDaemon) -> None:
    images = os.path.join(folder, "images")
    server = find_server({}, state_dir=os.path.join(folder, "state"))
    client = desk.client(server)
    frames = await client.load(os.path.join(images, "frames"))
    volumes = await client.load(os.path.join(images, "volumes"), name="volumes")
    first = (await client.images_page(limit=1)).images[0].url
    volume = (await client.images_page("volumes", limit=1)).images[0].url
    desk.tell(f"imgd {imgd.__version__} runs with {frames.image_count} frames and a volume:")
    desk.tell(f"  open in a browser   {found.urls[-1]}")
    desk.tell(f"  the same over TLS   {found.urls[0]}")
    desk.tell(f"  one frame           {first}")
    desk.tell(f"  {volumes.collection.name:18}  {volume}")
    if found.ca:
        desk.tell(f"  fetch it            curl --cacert {found.ca} -O {volume}")
    desk.say("Ctrl-C stops it and removes everything.")


def _environment(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment less other daemons' settings, and with this imgd to be found."""
    kept = {name: value for name, value in environ.items() if not name.startswith(_FOREIGN)}
    home = os.path.dirname(os.path.dirname(os.path.abspath(imgd.__file__)))
    kept["PYTHONPATH"] = os.pathsep.join(filter(None, [home, environ.get("PYTHONPATH")]))
    return kept
