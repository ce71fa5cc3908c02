"""What is measured: each class has its rows, and adds the figures of one round to them."""

from __future__ import annotations

import http.client
import json
import math
import random
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from benchmarks import loads
from benchmarks.pictures import bombs
from benchmarks.pictures.inputs import Inputs
from benchmarks.pictures.report import IMGD, Floor, Row
from benchmarks.pictures.servers import (
    address_space_limit,
    calm,
    copyparty,
    family,
    imgd,
    memory,
    peak,
    peers_python,
    thumbnail_path,
    thumbor,
)
from benchmarks.servers import HERE, Server

MB = 1e6
PROBE_EVERY = 0.005  # seconds between two requests of a client that measures waits


class Measurement:
    """``rows`` get figures by ``measure``, once in each round."""

    rows: Sequence[Row]

    def __init__(self, work: Path, inputs: Inputs, *, with_peers: bool) -> None:
        self.work, self.inputs, self.with_peers = work, inputs, with_peers

    def measure(self) -> None:
        raise NotImplementedError


class Thumbnails(Measurement):
    """The CPU time of thumbnails of photographs that were never asked for: in each round every
    server makes the same ones, in turn.
    """

    def __init__(self, work: Path, inputs: Inputs, *, with_peers: bool) -> None:
        super().__init__(work, inputs, with_peers=with_peers)
        floors = (Floor("thumbor", 1.3), Floor("copyparty", 0.5))
        self._by_name = {
            "hd": Row("cold thumbnail of 1920x1080, CPU", "ms", floors),
            "large": Row("cold thumbnail of 12 megapixels, CPU", "ms", floors),
        }
        self.rows = tuple(self._by_name.values())

    def measure(self) -> None:
        starts = [imgd, *([thumbor, copyparty] if self.with_peers else [])]
        random.shuffle(starts)
        with ExitStack() as stack:
            servers = [stack.enter_context(start(self.work, self.inputs.root)) for start in starts]
            for server in servers:  # so that what starts with the first picture has started
                fetch(server, thumbnail_path(server, self.inputs.renewed("hd-0.jpg")))
            for name, row in self._by_name.items():
                for server in servers:
                    row.add(server.name, self._cpu(server, self.inputs.photos(name)))

    @staticmethod
    def _cpu(server: Server, names: list[str]) -> float:
        """Milliseconds for each."""
        before = calm(server.process.pid)
        for name in names:
            assert fetch(server, thumbnail_path(server, name))[:2] == b"\xff\xd8", "no JPEG came"
        return (calm(server.process.pid) - before) * 1000 / len(names)


class WarmThumbnail(Measurement):
    """The rate of a thumbnail that was asked for, beside that of a file of its size."""

    FILE = "a file of that size"

    def __init__(self, work: Path, inputs: Inputs, *, with_peers: bool) -> None:
        super().__init__(work, inputs, with_peers=with_peers)
        row = Row("warm thumbnail", "requests/s of CPU", (Floor(self.FILE, 0.7, is_rate=True),))
        self.rows = (row,)

    def measure(self) -> None:
        [row], seconds = self.rows, self.inputs.sizes.seconds
        path = "large-0.jpg?thumb=256"
        with imgd(self.work, self.inputs.root) as server:
            body = fetch(server, path)
            plain = self.inputs.root / "thumb.bin"
            if not plain.exists() or plain.stat().st_size != len(body):
                plain.write_bytes(body)
                time.sleep(3)  # a file that changed a moment ago is not kept in memory
            pairs = [(IMGD, path), (self.FILE, plain.name)]
            random.shuffle(pairs)
            for _, target in pairs:
                loads.wrk(server, target, tls=False, seconds=1)
            for name, target in pairs:
                cost = loads.wrk(server, target, tls=False, seconds=seconds)
                row.add(name, cost.per_cpu_second)


class Volumes(Measurement):
    """Slices of a volume that was never asked for, beside nibabel reading the same values.

    nibabel is a process of its own, whose CPU time counts after its imports; imgd's is that of
    daemon and worker, and makes pictures of the values.
    """

    SLICE, PLANES = "nibabel dataobj", "nibabel get_fdata"

    def __init__(self, work: Path, inputs: Inputs, *, with_peers: bool) -> None:
        super().__init__(work, inputs, with_peers=with_peers)
        self.slice = Row("middle slice of a .nii.gz, CPU", "ms", (Floor(self.SLICE, 0.35),))
        self.planes = Row("three planes of it, CPU", "ms", (Floor(self.PLANES, 0.5),))
        self.peak = Row("the same, peak memory", "MB", (Floor(self.PLANES, 0.1),))
        self.growth = Row("the same, beyond an idle worker", "MB", (Floor(plus=60),))
        self.wall = Row("the same, wall", "ms")
        self.plain = Row("slice of an uncompressed .nii, wall", "ms", (Floor(plus=30),))
        self.plain_cpu = Row("the same, CPU", "ms")
        self.rows = (
            *(self.slice, self.planes, self.peak, self.growth, self.wall),
            *(self.plain, self.plain_cpu),
        )

    def measure(self) -> None:
        with imgd(self.work, self.inputs.root) as server:
            pid = server.process.pid
            fetch(server, self.inputs.renewed("hd-0.jpg") + "?thumb")  # a worker starts
            before = calm(pid)
            fetch(server, self.inputs.renewed("ct.nii.gz") + "?slice=axial")
            self.slice.add(IMGD, (calm(pid) - before) * 1000)
            self._uncompressed(server)
        with imgd(self.work, self.inputs.root) as server:
            self._three_planes(server)
        if self.with_peers:
            self.slice.add(self.SLICE, self._nibabel("slice")["cpu"] * 1000)
            theirs = self._nibabel("planes")
            self.planes.add(self.PLANES, theirs["cpu"] * 1000)
            self.peak.add(self.PLANES, theirs["peak"] / MB)

    def _three_planes(self, server: Server) -> None:
        """Asked for at once, as the viewer does, of a worker that made one small picture."""
        pid = server.process.pid
        fetch(server, self.inputs.renewed("hd-0.jpg") + "?thumb")
        before = calm(pid)
        idle = peak(family(pid)[1:], "VmHWM")
        name, begun = self.inputs.renewed("ct.nii.gz"), time.monotonic()
        sides = zip(("sagittal", "coronal", "axial"), self.inputs.sizes.volume, strict=True)
        paths = [f"{name}?slice={plane}:{side // 2}&depth=16" for plane, side in sides]
        with ThreadPoolExecutor(3) as threads:
            list(threads.map(lambda path: fetch(server, path), paths))
        self.wall.add(IMGD, (time.monotonic() - begun) * 1000)
        self.planes.add(IMGD, (calm(pid) - before) * 1000)
        largest = peak(family(pid)[1:], "VmHWM")
        self.peak.add(IMGD, largest / MB)
        self.growth.add(IMGD, (largest - idle) / MB)

    def _uncompressed(self, server: Server) -> None:
        name, slices = self.inputs.renewed("ct.nii"), self.inputs.sizes.volume[2]
        indexes = random.sample(range(slices), self.inputs.sizes.slices)
        before, times = calm(server.process.pid), []
        for index in indexes:
            begun = time.monotonic()
            fetch(server, f"{name}?slice=axial:{index}")
            times.append(time.monotonic() - begun)
        cpu = calm(server.process.pid) - before
        self.plain.add(IMGD, statistics.median(times) * 1000)
        self.plain_cpu.add(IMGD, cpu * 1000 / len(indexes))

    def _nibabel(self, what: str) -> dict[str, float]:
        program = [peers_python(self.work), str(HERE / "peers" / "nibabel_volume.py"), what]
        command = [*program, str(self.inputs.root / "ct.nii.gz")]
        report = subprocess.run(command, capture_output=True, check=True).stdout
        figures: dict[str, float] = json.loads(report)
        return figures


class Waiting(Measurement):
    """GETs of a small file, first alone, then while pictures wait to be made."""

    IDLE = "idle"

    def __init__(self, work: Path, inputs: Inputs, *, with_peers: bool) -> None:
        super().__init__(work, inputs, with_peers=with_peers)
        count = inputs.sizes.waiting
        self.p99 = Row(
            f"p99 of a 20 kB GET beside {count} waiting pictures", "ms", (Floor(self.IDLE, 2, 10),)
        )
        self.longest = Row("the same, the longest", "ms", (Floor(plus=50),))
        self.rows = (self.p99, self.longest)

    def measure(self) -> None:
        with imgd(self.work, self.inputs.root, is_pinned=False) as server:
            with probed(server, "f.bin", PROBE_EVERY):
                pass  # the first requests of a daemon and of a client are slower
            with probed(server, "f.bin", PROBE_EVERY) as idle:
                time.sleep(self.inputs.sizes.idle_seconds)
            paths = [f"{path}?thumb=1024" for path in self.inputs.waiting()]
            with probed(server, "f.bin", PROBE_EVERY) as beside:
                statuses = ask_at_once(server, paths)
        assert statuses["200"] == len(paths), statuses
        for name, times in ((self.IDLE, idle["times"]), (IMGD, beside["times"])):
            self.p99.add(name, percentile(times, 99) * 1000)
            self.longest.add(name, max(times) * 1000)


class Bombs(Measurement):
    """Files that claim too much, one after the other, while ``/health`` is asked."""

    def __init__(self, work: Path, inputs: Inputs, *, with_peers: bool) -> None:
        super().__init__(work, inputs, with_peers=with_peers)
        count = inputs.sizes.bombs
        self.growth = Row(f"growth of the daemon by {count} bombs", "MB", (Floor(plus=1),))
        self.space = Row("address space of a worker, of its limit", "%", (Floor(plus=100),))
        self.resident = Row("peak memory of a worker", "MB")
        self.health = Row("longest /health meanwhile", "ms", (Floor(plus=50),))
        self.rows = (self.growth, self.space, self.resident, self.health)
        folder = inputs.root / "bombs"
        self.names = [
            f"bombs/{path.name}" for path in bombs.write_all(folder, inputs.sizes.bomb_scale)
        ]

    def measure(self) -> None:
        with imgd(self.work, self.inputs.root, is_pinned=False) as server:
            pid = server.process.pid
            for name in self.names:
                self._ask(server, name)
            calm(pid)
            before = memory(pid, "VmRSS")
            with probed(server, "health", PROBE_EVERY) as health, watched(pid) as workers:
                for number in range(self.inputs.sizes.bombs):
                    self._ask(server, self.names[number % len(self.names)])
            calm(pid)
            self.growth.add(IMGD, (memory(pid, "VmRSS") - before) / MB)
        self.space.add(IMGD, workers["share of limit"] * 100)
        self.resident.add(IMGD, workers["resident"] / MB)
        self.health.add(IMGD, max(health["times"]) * 1000)

    def _ask(self, server: Server, name: str) -> None:
        """Every bomb is new: no failure is remembered. Some can be shown, and are."""
        status, body = ask(server, self.inputs.renewed(name) + "?thumb")
        assert status in (200, 413, 415, 422), (name, status, body[:300])


def fetch(server: Server, path: str) -> bytes:
    """The body of an answer of status 200."""
    status, body = ask(server, path)
    if status != 200:
        raise RuntimeError(f"{server.name} /{path}: {status} {body[:200]!r}")
    return body


def ask(server: Server, path: str) -> tuple[int, bytes]:
    """One request over a connection of its own."""
    client = http.client.HTTPConnection(urlsplit(server.http).netloc, timeout=120)
    client.request("GET", f"/{path}")
    answer = client.getresponse()
    body = answer.read()
    client.close()
    return answer.status, body


def _probe(*words: object) -> list[str]:
    return [sys.executable, str(HERE / "pictures" / "probe.py"), *map(str, words)]


@contextmanager
def probed(server: Server, path: str, every: float) -> Iterator[dict[str, Any]]:
    """While a client asks; what it reports is there at the end. All answers must be 200."""
    url = urlsplit(server.http)
    report: dict[str, Any] = {}
    with subprocess.Popen(
        _probe("every", url.hostname, url.port, f"/{path}", every),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as client:
        try:
            time.sleep(0.5)  # until it asks
            yield report
        except BaseException:
            client.kill()
            raise
        report.update(json.loads(client.communicate()[0]))
    assert report["statuses"].keys() == {"200"}, report["statuses"]


def ask_at_once(server: Server, paths: Sequence[str]) -> dict[str, int]:
    """The number of answers by status, when every path was answered."""
    url = urlsplit(server.http)
    lines = "".join(f"/{path}\n" for path in paths).encode()
    command = _probe("once", url.hostname, url.port)
    report = subprocess.run(command, input=lines, capture_output=True, check=True).stdout
    statuses: dict[str, int] = json.loads(report)["statuses"]
    return statuses


@contextmanager
def watched(pid: int) -> Iterator[dict[str, float]]:
    """The largest memory of the children of a process, in bytes, and address space."""
    largest = {"resident": 0.0, "share of limit": 0.0}
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.02):
            for worker in family(pid)[1:]:
                largest["resident"] = max(largest["resident"], memory(worker, "VmHWM"))
                try:
                    share = memory(worker, "VmPeak") / address_space_limit(worker)
                except OSError:
                    continue
                largest["share of limit"] = max(largest["share of limit"], share)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield largest
    finally:
        over.set()
        thread.join()


def percentile(values: Sequence[float], share: float) -> float:
    """By the nearest rank."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, math.ceil(len(ordered) * share / 100) - 1)]
