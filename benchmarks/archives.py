"""A folder of 1,000,000 files, and a file of 9 GB, as archives: ``python -m benchmarks.archives``.

For each: when the first byte came, how much CPU time the daemon took, how much its memory grew,
and the longest time that ``/health`` took meanwhile. On loopback alone.
"""

from __future__ import annotations

import argparse
import http.client
import os
import tempfile
import time
from itertools import cycle
from pathlib import Path

from benchmarks.lists import SteadyClient
from benchmarks.million import make
from benchmarks.slow import Server, imgd, wait_for

HUGE = 9 * 10**9  # bytes of the one file


def cpu_seconds(pid: int) -> float:
    """CPU time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def megabytes(pid: int, key: str) -> float:
    """``VmRSS``, or ``VmHWM`` for the most so far."""
    for line in Path(f"/proc/{pid}/status").read_text("ascii").splitlines():
        if line.startswith(f"{key}:"):
            return int(line.split()[1]) / 1000
    raise SystemExit(f"no {key} on this system")


def fetch(server: Server, path: str) -> tuple[float, int]:
    """Seconds to the first bytes of the body, and how many bytes there are."""
    begun = time.monotonic()
    client = http.client.HTTPConnection(server.url.split("/")[2], timeout=600)
    client.request("GET", path)
    answer = client.getresponse()
    assert answer.status == 200, answer.read()
    promised, buffer = int(answer.headers["Content-Length"]), bytearray(1 << 20)
    size = answer.readinto(buffer)
    first = time.monotonic() - begun
    while count := answer.readinto(buffer):
        size += count
    client.close()
    assert size == promised, f"{size} of {promised} bytes came"
    return first, size


def measure(folder: Path, path: str) -> str:
    """A row of the table, by a daemon of its own over ``folder/root``."""
    process, server = imgd(folder, 100, tls=False)
    try:
        wait_for(int(server.url.split(":")[2].rstrip("/")))
        health = SteadyClient(server, cycle(["/health"]), 0.02)
        health.start()
        time.sleep(1)
        before, cpu = megabytes(process.pid, "VmRSS"), cpu_seconds(process.pid)
        first, size = fetch(server, path)
        cpu = cpu_seconds(process.pid) - cpu
        grown = megabytes(process.pid, "VmHWM") - before
        health.over.set()
        health.join()
    finally:
        process.terminate()
        process.wait(60)
    longest = max(health.times) * 1000
    return (
        f"| {path} | {size:,} | {first:.1f} s | {cpu:.1f} s | {grown:.0f} MB | {longest:.0f} ms |"
    )


def main() -> None:
    """The table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.archives", description=__doc__)
    parser.add_argument("--files", type=int, default=1_000_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="imgd-archives-") as name:
        folder = Path(name)
        (folder / "root" / "huge").mkdir(parents=True)
        with (folder / "root" / "huge" / "volume.nii").open("wb") as file:
            file.truncate(HUGE)
        make(folder / "root" / "many", options.files)
        print("| archive | bytes | first byte | CPU | memory grew by | /health at most |")
        print("|---|---|---|---|---|---|")
        for path in ("many", "huge"):
            for suffix in ("tar", "zip"):
                print(measure(folder, f"/{path}/?archive={suffix}"), flush=True)


if __name__ == "__main__":
    main()
