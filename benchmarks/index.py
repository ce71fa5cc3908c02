"""The index of a folder of 1,000,000 files, streamed: ``python -m benchmarks.index``.

Has curl ask a daemon of its own for an index over plain HTTP, first and again, on loopback alone,
and once more while ``/health`` is asked for all the time. Prints the CPU seconds of the daemon, the
time to the first byte, the longest wait for ``/health`` and the growth of the daemon's memory.
Fails if the floors are not held. Takes a minute; making the files takes another, and ``--folder``
keeps them for the next time.
"""

from __future__ import annotations

import argparse
import http.client
import os
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from typing import NamedTuple

from benchmarks.million import make
from benchmarks.slow import Server, imgd, resident, wait_for

CPU, FIRST_BYTE, MEMORY, STALL = 6.0, 0.3, 60.0, 0.05  # seconds, seconds, MB, seconds
EVERY = 0.005  # seconds between two requests for /health


class Figures(NamedTuple):
    """One index: seconds, seconds of CPU, seconds to the first byte, longest /health, MB."""

    took: float
    cpu: float
    first_byte: float
    stall: float
    memory: float


class Health(threading.Thread):
    """Asks for ``/health`` over one connection, and keeps the longest time that it took."""

    def __init__(self, server: Server) -> None:
        super().__init__(daemon=True)
        self._address = server.url.split("/")[2]
        self.over = threading.Event()
        self.longest = 0.0

    def run(self) -> None:
        """Ask until ``over`` is set."""
        client = http.client.HTTPConnection(self._address, timeout=60)
        while not self.over.wait(EVERY):
            begun = time.monotonic()
            client.request("GET", "/health")
            client.getresponse().read()
            self.longest = max(self.longest, time.monotonic() - begun)
        client.close()


def cpu_seconds(pid: int) -> float:
    """What a process has used so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def index(server: Server, path: str, files: int, folder: Path, *, is_probed: bool) -> Figures:
    """Have curl fetch an index, and measure; then count its entries. /health costs CPU of its own.

    A client that does more than curl slows the server down where two cores are one.
    """
    health = Health(server)
    if is_probed:
        health.start()
    cpu, memory = cpu_seconds(server.pid), resident(server.pid)
    command = ["curl", "-sf", "-o", "index.html", "-w", "%{time_starttransfer} %{time_total}"]
    url = server.url.rstrip("/") + path
    curl = subprocess.Popen([*command, url], cwd=folder, stdout=subprocess.PIPE, text=True)
    peak = memory
    while curl.poll() is None:
        peak = max(peak, resident(server.pid))
        time.sleep(0.05)
    cpu = cpu_seconds(server.pid) - cpu
    if is_probed:
        health.over.set()
        health.join()
    first_byte, took = map(float, curl.communicate()[0].split())
    entries = (folder / "index.html").read_bytes().count(b"<a href") - 1  # the parent is none
    assert (curl.returncode, entries) == (0, files), (curl.returncode, entries)
    return Figures(took, cpu, first_byte, health.longest, (peak - memory) * 1.048576)


def main() -> None:
    """The table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.index", description=__doc__)
    parser.add_argument("--files", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    os.environ["IMGD_DISK_TIMEOUT"] = "600"  # seconds: so that a busy machine can be measured, too
    with tempfile.TemporaryDirectory(prefix="imgd-index-") as name:
        folder = Path(name)
        root = options.folder or folder / "files"
        root.mkdir(exist_ok=True)
        make(root / "big", options.files)
        (folder / "root").symlink_to(root)
        process, server = imgd(folder, 1000, tls=False)
        try:
            wait_for(int(server.url.split(":")[2].rstrip("/")))
            report(server, options.files, folder)
        finally:
            process.terminate()
            process.wait(60)


def report(server: Server, files: int, folder: Path) -> None:
    """First and again; memory is counted from the start."""
    print("| index | took | CPU | first byte | longest /health | memory |")
    print("|---|---|---|---|---|---|")
    rows = [
        (name, index(server, "/-/files/big/", files, folder, is_probed="/health" in name))
        for name in ("first", "again", "again, /health")
    ]
    for name, row in rows:
        print(
            f"| {name} | {row.took:.1f} s | {row.cpu:.1f} s | {row.first_byte * 1000:.0f} ms "
            f"| {row.stall * 1000:.0f} ms | +{row.memory:.0f} MB |"
        )
    again = rows[1][1]
    memory, stall = sum(row.memory for _, row in rows), max(row.stall for _, row in rows)
    if again.cpu > CPU or again.first_byte > FIRST_BYTE or memory > MEMORY or stall > STALL:
        raise SystemExit("A floor is not held.")


if __name__ == "__main__":
    main()
