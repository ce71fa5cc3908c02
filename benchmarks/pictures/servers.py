"""imgd, thumbor and copyparty, which make the pictures, and what each and its children cost."""

from __future__ import annotations

import json
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.servers import (
    HERE,
    PICTURE_PACKAGES,
    Server,
    await_port,
    free_ports,
    peer_python,
    pinned,
)

THUMBOR_SETTINGS = """\
LOADER = "thumbor.loaders.file_loader"
FILE_LOADER_ROOT_PATH = {root!r}
STORAGE = "thumbor.storages.no_storage"
"""
CALM = 0.1  # seconds in which a server that has nothing to do uses less than a tenth of the CPU


def peers_python(work: Path) -> str:
    """The interpreter of the environment that has thumbor, copyparty and nibabel."""
    return peer_python(work, PICTURE_PACKAGES, "pictures-env")


@contextmanager
def imgd(work: Path, root: Path, *options: str, is_pinned: bool = True) -> Iterator[Server]:
    """A daemon of its own with a new state folder: nothing is cached, no worker runs."""
    with tempfile.TemporaryDirectory(prefix="state-", dir=work) as state:
        command = [sys.executable, "-c", "from twisted.scripts.twistd import run; run()", "-n"]
        command += ["--pidfile=", "imgd", "--host", "127.0.0.1", "--port", "0", "--http-port", "0"]
        command += ["--images-dir", str(root), "--state-dir", state]
        server = _start("imgd", [*command, *options], work, is_pinned=is_pinned)
        server.notes["state"] = state
        try:
            server.https, server.http = _published_urls(server, Path(state) / "daemon.json")
            yield server
        finally:
            server.stop()


def _published_urls(server: Server, path: Path) -> list[str]:
    """The URLs at which imgd says that it is reached; SystemExit if it says none in a minute."""
    for _ in range(1200):
        if path.exists():
            urls: list[str] = json.loads(path.read_text("utf-8"))["urls"]
            return urls
        if server.process.poll() is not None:
            break
        time.sleep(0.05)
    raise SystemExit(f"{server.name} did not start; its log lies beside its data")


@contextmanager
def thumbor(work: Path, root: Path) -> Iterator[Server]:
    """thumbor that reads files and stores nothing, otherwise with its defaults."""
    settings = work / "thumbor.conf"
    settings.write_text(THUMBOR_SETTINGS.format(root=str(root)))
    http, _ = free_ports()
    command = [peers_python(work), "-m", "thumbor.server", "-i", "127.0.0.1", "-p", str(http)]
    server = _start("thumbor", [*command, "-c", str(settings)], work, http)
    try:
        yield server
    finally:
        server.stop()


@contextmanager
def copyparty(work: Path, root: Path) -> Iterator[Server]:
    """copyparty with thumbnails of the same size as the others', whole and not cropped."""
    http, _ = free_ports()
    with tempfile.TemporaryDirectory(prefix="copyparty-", dir=work) as cache:
        command = [peers_python(work), "-m", "copyparty", "-q", "-i", "127.0.0.1", "-p", str(http)]
        command += ["-v", f"{root}::r", "--hist", cache, "--th-size", "256x256", "--th-crop", "fn"]
        server = _start("copyparty", command, work, http, home=cache)
        try:
            yield server
        finally:
            server.stop()


def thumbnail_path(server: Server, name: str) -> str:
    """Where a server has the thumbnail of a file, at most 256 pixels wide and high."""
    match server.name:
        case "thumbor":
            return f"unsafe/fit-in/256x256/{name}"
        case "copyparty":
            return f"{name}?th=jf"
    return f"{name}?thumb=256"


def family(pid: int) -> list[int]:
    """A process and all its descendants."""
    try:
        children = [
            int(child)
            for task in Path(f"/proc/{pid}/task").iterdir()
            for child in (task / "children").read_text().split()
        ]
    except OSError:  # it ended
        return [pid]
    return [pid, *(each for child in children for each in family(child))]


def family_cpu(pid: int) -> float:
    """CPU seconds, user and system, of a process and all its descendants, the ended ones too."""
    total = 0.0
    for each in family(pid):
        try:
            fields = Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split()
            total += time.clock_gettime((~each << 3) | 2)  # nanoseconds; see Server.cpu
        except OSError:
            continue
        total += (int(fields[13]) + int(fields[14])) / os.sysconf("SC_CLK_TCK")
    return total


def calm(pid: int) -> float:
    """Wait until a server works no more; the CPU seconds that it has used by then."""
    used = family_cpu(pid)
    while True:
        time.sleep(CALM)
        before, used = used, family_cpu(pid)
        if used - before < CALM / 10:
            return used


def memory(pid: int, field: str) -> int:
    """``VmRSS``, ``VmHWM`` (its peak) or ``VmPeak`` (of its address space) in bytes; 0 if ended."""
    try:
        found = re.search(rf"{field}:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    except OSError:
        return 0
    return int(found[1]) * 1024 if found else 0


def peak(pids: list[int], field: str) -> int:
    """The largest of these processes."""
    return max((memory(pid, field) for pid in pids), default=0)


def address_space_limit(pid: int) -> int:
    """RLIMIT_AS of a process in bytes."""
    return resource.prlimit(pid, resource.RLIMIT_AS)[0]


def _start(
    name: str,
    command: list[str],
    work: Path,
    *ports: int,
    is_pinned: bool = True,
    home: str | None = None,
) -> Server:
    """With ``home`` as the folder that it may write its own settings to."""
    environment = {**os.environ, "PYTHONPATH": str(HERE.parent)}
    if home is not None:
        environment = {**os.environ, "HOME": home, "XDG_CONFIG_HOME": home}
    with (work / f"{name}.log").open("wb") as log:
        process = subprocess.Popen(
            pinned(command) if is_pinned else command,
            stdout=log,
            stderr=log,
            cwd=work,
            env=environment,
        )
    server = Server(name, process, f"http://127.0.0.1:{ports[0]}/" if ports else "", "")
    for port in ports:
        await_port(server, port)
    return server
