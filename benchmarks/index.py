"""The index of a folder of 1,000,000 files, streamed: ``python -m benchmarks.index``.

Asks a daemon of its own for an index over plain HTTP, cold and then warm, on loopback alone, and
once more while it asks for ``/health`` all the time. Prints the CPU seconds of the daemon, the time
to the first byte, the longest wait for ``/health`` and the growth of the daemon's memory. Fails if
the floors are not held: those of CPU and of the first byte are of a warm index. Takes a minute;
making the files takes another, and ``--folder`` keeps them for the next time.
"""

from __future__ import annotations

import argparse
import http.client
import os
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


def index(server: Server, path: str, files: int, *, is_probed: bool) -> Figures:
    """Ask for an index, count its entries, and measure; /health costs CPU of its own."""
    health = Health(server)
    if is_probed:
        health.start()
    cpu, memory, begun = cpu_seconds(server.pid), resident(server.pid), time.monotonic()
    client = http.client.HTTPConnection(server.url.split("/")[2], timeout=120)
    client.request("GET", path)
    answer = client.getresponse()
    assert answer.status == 200, answer.read()
    entries, kept = -1, answer.read(1)  # the parent is none
    first_byte = time.monotonic() - begun
    peak = memory
    while piece := answer.read(1 << 20):
        text = kept + piece
        entries += text.count(b"<a href")
        kept = text[-6:]
        peak = max(peak, resident(server.pid))
    took = time.monotonic() - begun
    if is_probed:
        health.over.set()
        health.join()
    assert entries == files, entries
    grown = (peak - memory) * 1.048576
    return Figures(took, cpu_seconds(server.pid) - cpu, first_byte, health.longest, grown)


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
            report(server, options.files)
        finally:
            process.terminate()
            process.wait(60)


def report(server: Server, files: int) -> None:
    """Cold, then warm; memory is counted from the start."""
    print("| index | took | CPU | first byte | longest /health | memory |")
    print("|---|---|---|---|---|---|")
    rows = [
        (name, index(server, "/-/files/big/", files, is_probed="/health" in name))
        for name in ("cold", "warm", "warm, /health")
    ]
    for name, row in rows:
        print(
            f"| {name} | {row.took:.1f} s | {row.cpu:.1f} s | {row.first_byte * 1000:.0f} ms "
            f"| {row.stall * 1000:.0f} ms | +{row.memory:.0f} MB |"
        )
    warm = rows[1][1]
    memory, stall = sum(row.memory for _, row in rows), max(row.stall for _, row in rows)
    if warm.cpu > CPU or warm.first_byte > FIRST_BYTE or memory > MEMORY or stall > STALL:
        raise SystemExit("A floor is not held.")


if __name__ == "__main__":
    main()
