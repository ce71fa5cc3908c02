"""Ten minutes of everything at once: ``python -m benchmarks.soak --minutes 10``.

A daemon of its own on loopback, deadlines so short that all of them are reached, and loads of all
kinds (``benchmarks.soak_load``). Every half minute the load pauses; what the daemon then holds must
stay the same. Prints a table, and exits with status 1 if descriptors, threads or memory grow, a
body is a mix of two versions, a request hangs, or the log has an error.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from benchmarks.soak_load import Corpus, Load

SPELL = 24.0  # seconds of load
REST = 6.0  # seconds: more than any deadline given below
OPTIONS = (
    *("--header-timeout", "3", "--body-timeout", "3", "--handshake-timeout", "3"),
    *("--idle-timeout", "3", "--stall-timeout", "3", "--memory-cache", "8", "--timeout", "0"),
)
# What may be more after one pause than after another: a connection that is being closed, a thread
# that is needed for the first time. Memory is compared between the second and the last third,
# because allocators and caches fill first.
SPARE_DESCRIPTORS = 3
SPARE_THREADS = 2
SPARE_MEMORY = 0.05
READY = re.compile(r"Listening on (https?)://[^/]*:(\d+)/ \(127")
BAD = re.compile(r"Traceback|Unhandled|#critical|#error(?!\] Degraded)|Could not answer")


class Sample(NamedTuple):
    """What the daemon holds: descriptors, threads, resident kilobytes, and the CPU it has used."""

    when: float
    descriptors: int
    threads: int
    resident: int
    cpu: float


def sample(pid: int, started: float) -> Sample:
    """What a process holds now."""
    status = Path(f"/proc/{pid}/status").read_text()
    resident = int(re.search(r"VmRSS:\s+(\d+)", status)[1])  # type: ignore[index]
    threads = int(re.search(r"Threads:\s+(\d+)", status)[1])  # type: ignore[index]
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    cpu = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    descriptors = len(os.listdir(f"/proc/{pid}/fd"))
    return Sample(time.monotonic() - started, descriptors, threads, resident, cpu)


class Daemon:
    """A daemon in a folder, with its log."""

    def __init__(self, folder: Path, root: Path) -> None:
        self.log = folder / "imgd.log"
        command = [shutil.which("twistd", path=str(Path(sys.executable).parent)) or "twistd"]
        command += ["-n", "--pidfile=", "imgd", "--port", "0", "--http-port", "0", "-d", str(root)]
        self.process = subprocess.Popen(
            [*command, "--state-dir", str(folder / "state"), *OPTIONS],
            cwd=folder,
            stdout=self.log.open("wb"),
            stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parent.parent)},
        )
        self.ca = folder / "state" / "ca.pem"
        while "is ready" not in self.log.read_text("utf-8", "replace"):
            if self.process.poll() is not None:
                raise SystemExit(self.log.read_text("utf-8", "replace"))
            time.sleep(0.1)
        self.ports = {match[1]: int(match[2]) for match in READY.finditer(self.log.read_text())}

    def bad_lines(self) -> list[str]:
        """Lines of the log that should not be there."""
        lines = self.log.read_text("utf-8", "replace").splitlines()
        return [line for line in lines if BAD.search(line)]


def find_problems(samples: list[Sample], load: Load, daemon: Daemon) -> list[str]:
    """What is wrong, a line each."""
    first, last = samples[1], samples[-1]
    problems = []
    if last.descriptors > first.descriptors + SPARE_DESCRIPTORS:
        problems.append(f"descriptors grew from {first.descriptors} to {last.descriptors}")
    if last.threads > first.threads + SPARE_THREADS:
        problems.append(f"threads grew from {first.threads} to {last.threads}")
    third = max(1, len(samples) // 3)
    middle = statistics.mean(s.resident for s in samples[third : 2 * third])
    late = statistics.mean(s.resident for s in samples[-third:])
    if late > middle * (1 + SPARE_MEMORY):
        problems.append(f"memory grew from {middle / 1024:.1f} to {late / 1024:.1f} MiB")
    problems += [f"{load.count[what]} {what}" for what in ("torn", "hung") if load.count[what]]
    if bad := daemon.bad_lines():
        problems.append(f"{len(bad)} errors in the log, the first: {bad[0][:300]}")
    return problems


def soak(minutes: float) -> int:
    """Run it; the exit status."""
    with tempfile.TemporaryDirectory(prefix="imgd-soak-") as name:
        folder = Path(name)
        corpus = Corpus(folder / "root")
        daemon = Daemon(folder, corpus.root)
        try:
            load = Load(corpus, daemon.ports["https"], daemon.ports["http"], daemon.ca)
            samples = rounds(minutes, daemon.process.pid, load)
            load.end()
            daemon.process.send_signal(signal.SIGTERM)
            status = daemon.process.wait(60)
        finally:
            with contextlib.suppress(OSError):
                daemon.process.kill()
        problems = find_problems(samples, load, daemon)
        if status:
            problems.append(f"the daemon's exit status was {status}")
        requests = sum(n for what, n in load.count.items() if what.isdigit())
        print(f"\n{requests} requests answered; " + summary(load))
        print("\n".join(f"FAILED: {what}" for what in problems) or "Flat, and no error in the log.")
        return 1 if problems else 0


def rounds(minutes: float, pid: int, load: Load) -> list[Sample]:
    """Load and pause for so many minutes."""
    started = time.monotonic()
    samples = [sample(pid, started)]
    print(f"{'minute':>7}{'descriptors':>13}{'threads':>9}{'RSS MiB':>9}{'CPU s':>8}", flush=True)
    while True:
        last = samples[-1]
        print(
            f"{last.when / 60:7.1f}{last.descriptors:13}{last.threads:9}"
            f"{last.resident / 1024:9.1f}{last.cpu:8.1f}",
            flush=True,
        )
        if last.when >= minutes * 60 and len(samples) > 2:
            return samples
        load.run(SPELL)
        time.sleep(REST)
        samples.append(sample(pid, started))


def summary(load: Load) -> str:
    """What the load counted."""
    return ", ".join(f"{count} {what}" for what, count in sorted(load.count.items()))


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    raise SystemExit(soak(parser.parse_args().minutes))


if __name__ == "__main__":
    main()
