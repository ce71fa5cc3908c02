"""``imgd demo``: a daemon with sample images, gone without a trace when it is stopped."""

from __future__ import annotations

import gzip
import os
import struct
import sys
import tempfile
import zlib
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from subprocess import PIPE, Popen, TimeoutExpired
from typing import Final

from twisted.internet.defer import CancelledError
from twisted.internet.task import deferLater

import imgd
from imgd.client.commands import CliContext
from imgd.client.demo_daemon import PREFIX
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
_TWISTD: Final = "from imgd.client.demo_daemon import main; main()"
# Settings of other daemons on this machine, which are not the demo's.
_FOREIGN: Final = ("IMGD_", "IMAGE_SERVER", "NIFTI_IMAGE_SERVER", "NGROK_", "STATE_DIRECTORY")


async def demo(context: CliContext, show: Callable[[str], object] | None) -> int:
    with (
        tempfile.TemporaryDirectory(prefix=PREFIX, ignore_cleanup_errors=True) as folder,
        _running_daemon(context.environ, folder) as process,
    ):
        try:
            info = await _started(context, process, folder)
            await _present(context, folder, info)
            if show is not None:
                show(info.urls[-1])
            while process.poll() is None:
                await deferLater(context.clock, POLL_SECONDS)
            context.log(f"the daemon ended: {_last_lines(folder)}")
        except CancelledError:
            context.log("stopping")
            return 0
    return 1


@contextmanager
def _running_daemon(environ: Mapping[str, str], folder: str) -> Iterator[Popen[bytes]]:
    make_images(os.path.join(folder, "images"))
    home = os.path.dirname(os.path.dirname(os.path.abspath(imgd.__file__)))
    own = {key: value for key, value in environ.items() if not key.startswith(_FOREIGN)}
    own["PYTHONPATH"] = os.pathsep.join(filter(None, [home, environ.get("PYTHONPATH")]))
    command = [sys.executable, "-c", _TWISTD, "-n", "--pidfile=", "imgd"]
    command += ["--images-dir=images", "--state-dir=state", "--port=0", "--http-port=0"]
    with open(os.path.join(folder, "log"), "wb") as log:
        process = Popen(command, cwd=folder, env=own, stdin=PIPE, stdout=log, stderr=log)  # noqa: S603
    with process:  # whose standard input is open as long as this process lives
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(STOP_SECONDS)
            except TimeoutExpired:
                process.kill()


async def _started(context: CliContext, process: Popen[bytes], folder: str) -> RunningDaemon:
    for _ in range(int(START_SECONDS / POLL_SECONDS)):
        if info := instance_lock.find(os.path.join(folder, "state")):
            return info
        if process.poll() is not None:
            break
        await deferLater(context.clock, POLL_SECONDS)
    raise ClientError(f"The daemon did not start. It said: {_last_lines(folder)}")


def _last_lines(folder: str) -> str:
    with open(os.path.join(folder, "log"), encoding="utf-8", errors="replace") as log:
        return "".join(deque(log, KEPT_LINES)).rstrip() or "nothing"


async def _present(context: CliContext, folder: str, info: RunningDaemon) -> None:
    client = context.client(find_server({}, state_dir=os.path.join(folder, "state")))
    frames = await client.load(os.path.join(folder, "images", "frames"))
    await client.load(os.path.join(folder, "images", "volumes"), name="volumes")
    frame = (await client.images_page(limit=1)).images[0].url
    volume = (await client.images_page("volumes", limit=1)).images[0].url
    context.print(f"imgd {imgd.__version__} runs with {frames.image_count} frames and a volume:")
    context.print(f"  open in a browser   {info.urls[-1]}")
    context.print(f"  the same over TLS   {info.urls[0]}")
    context.print(f"  one frame           {frame}")
    context.print(f"  a volume            curl --cacert {info.ca} -O {volume}")
    context.log("Ctrl-C stops it and removes everything.")


def make_images(folder: str) -> None:
    for name in ("frames", "volumes"):
        os.makedirs(os.path.join(folder, name))
    for number in range(FRAMES):
        path = os.path.join(folder, "frames", f"frame_{number:04}.png")
        write_file(path, make_frame(number), mode=0o644)
    write_file(os.path.join(folder, "volumes", "spheres.nii.gz"), make_volume(), mode=0o644)


def make_frame(number: int, width: int = 320, height: int = 200) -> bytes:
    """Frame ``number`` as an RGB PNG (W3C PNG, section 5): a bar that moves over a gradient."""
    bar = width // 8
    first = (width - bar) * number // (FRAMES - 1)
    row = bytearray(3 * width)
    row[::3] = bytes(255 * column // width for column in range(width))
    row[3 * first : 3 * (first + bar)] = b"\xff\xf4\xd6" * bar
    pixels = (b"\0" + row) * height  # filter type: none
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    png = b"\x89PNG\r\n\x1a\n"
    for chunk in (b"IHDR" + head, b"IDAT" + zlib.compress(pixels), b"IEND"):
        png += struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk))
    return png


def make_volume(size: int = 48) -> bytes:
    """A gzipped NIfTI-1 volume of ``size`` cubed voxels of 2 mm: a sphere within a sphere."""
    header = bytearray(352)  # the last four for an empty extension
    struct.pack_into("<i", header, 0, 348)
    struct.pack_into("<8h", header, 40, 3, size, size, size, 1, 1, 1, 1)
    struct.pack_into("<hh", header, 70, 2, 8)  # datatype: uint8, in 8 bits
    struct.pack_into("<8f", header, 76, 1, 2, 2, 2, 1, 1, 1, 1)  # sizes of voxels
    struct.pack_into("<3fxxxB", header, 108, 352, 1, 0, 2)  # offset, slope, intercept; millimetres
    struct.pack_into("<hh", header, 252, 0, 1)  # qform unknown, sform: scanner
    struct.pack_into("<12f", header, 280, 2, 0, 0, -size, 0, 2, 0, -size, 0, 0, 2, -size)
    struct.pack_into("<4s", header, 344, b"n+1\0")
    squares = [(position - (size - 1) / 2) ** 2 for position in range(size)]
    far = (x + y + z for z in squares for y in squares for x in squares)
    outer, inner = (size * 0.45) ** 2, (size * 0.2) ** 2
    voxels = bytes(220 if square < inner else 110 if square < outer else 0 for square in far)
    return gzip.compress(header + voxels, 6, mtime=0)
