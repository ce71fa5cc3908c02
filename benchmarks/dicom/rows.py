"""What is measured: each class has its rows, and adds the figures of one round to them."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from email.parser import BytesParser
from email.policy import HTTP
from pathlib import Path

from benchmarks import loads
from benchmarks.dicom.inputs import Inputs
from benchmarks.dicom.servers import (
    ORTHANC,
    Client,
    Web,
    index,
    load,
    orthanc,
    uids,
    upload,
)
from benchmarks.dicom.waits import Waits
from benchmarks.pictures.report import IMGD, Floor, Row
from benchmarks.pictures.rows import MB, watched
from benchmarks.pictures.servers import calm, imgd, memory
from benchmarks.servers import Server

ACCEPT = 'multipart/related; type="application/octet-stream"; transfer-syntax=*'  # as OHIF


class Measurement:
    """``rows`` get figures by ``measure``, once in each round."""

    rows: Sequence[Row]

    def __init__(self, work: Path, inputs: Inputs, *, with_peers: bool) -> None:
        self.work, self.inputs, self.with_peers = work, inputs, with_peers
        self.sizes = inputs.sizes

    def measure(self) -> None:
        raise NotImplementedError

    def kinds(self) -> list[str]:
        """The servers that take part, in an order that changes."""
        names = [IMGD, *([ORTHANC] if self.with_peers else [])]
        return random.sample(names, len(names))

    @contextmanager
    def knowing(self, name: str, folder: Path) -> Iterator[Server]:
        """A new server of a kind that knows every file of a folder, and rests."""
        with start(name, self.work, self.inputs) as server:
            learn(server, folder)
            calm(server.process.pid)
            yield server


class Index(Measurement):
    """The CPU time of a server and its children until it knows a folder: imgd's of loading and
    indexing it, Orthanc's of taking its files. What starts with the first file has started, and is
    a row of its own.
    """

    def __init__(self, work: Path, inputs: Inputs, *, with_peers: bool) -> None:
        super().__init__(work, inputs, with_peers=with_peers)
        floors, side, small = (Floor(ORTHANC, 0.35),), self.sizes.side, self.sizes.small_side
        series, many = self.sizes.series, self.sizes.many
        self._by_folder = {
            inputs.series: Row(f"index {series} files of {side}x{side}, CPU", "ms/file", floors),
            inputs.many: Row(f"index {many:,} files of {small}x{small}, CPU", "ms/file", floors),
        }
        self.first = Row("index one file, the first of all, CPU", "ms")
        self.rows = (*self._by_folder.values(), self.first)

    def measure(self) -> None:
        for folder, row in self._by_folder.items():
            for name in self.kinds():
                first, rest = self._cpu(name, folder)
                self.first.add(name, first * 1000)
                row.add(name, rest * 1000 / count(folder))

    def _cpu(self, name: str, folder: Path) -> tuple[float, float]:
        """Seconds for the first file of all, and for a folder after it."""
        with start(name, self.work, self.inputs) as server:
            used = [calm(server.process.pid)]
            for each in (self.inputs.one, folder):
                learn(server, each)
                used.append(calm(server.process.pid))
        return used[1] - used[0], used[2] - used[1]


class Metadata(Measurement):
    """The metadata of a series, asked for the second time and later, over one connection."""

    TIMES = 5

    def __init__(self, work: Path, inputs: Inputs, *, with_peers: bool) -> None:
        super().__init__(work, inputs, with_peers=with_peers)
        name = f"metadata of {self.sizes.series} instances, second answer"
        self.wall = Row(name, "ms", (Floor(ORTHANC, 0.2),))
        self.cpu = Row("the same, CPU", "ms")
        self.size = Row("the same, its size", "kB")
        self.rows = (self.wall, self.cpu, self.size)

    def measure(self) -> None:
        for name in self.kinds():
            with self.knowing(name, self.inputs.series) as server:
                self._ask(name, server)

    def _ask(self, name: str, server: Server) -> None:
        client, web = Client(server), Web.of(server, self.inputs.series.name)
        study, series, _ = uids(client, web)
        path = web.metadata(study, series)
        found = client.json(path)
        assert len(found) == self.sizes.series, len(found)
        before, times, size = calm(server.process.pid), [], 0
        for _ in range(self.TIMES):
            begun = time.monotonic()
            size = len(client.fetch(path, Accept="application/dicom+json"))
            times.append(time.monotonic() - begun)
        self.wall.add(name, statistics.median(times) * 1000)
        self.cpu.add(name, (calm(server.process.pid) - before) * 1000 / self.TIMES)
        self.size.add(name, size / 1000)


class Frames(Measurement):
    """Frames of a series one by one, over kept connections, each a part of a multipart body."""

    def __init__(self, work: Path, inputs: Inputs, *, with_peers: bool) -> None:
        super().__init__(work, inputs, with_peers=with_peers)
        size = self.sizes.side**2 * 2 / 1000
        floors = (Floor(ORTHANC, 3, is_rate=True),)
        self.row = Row(f"frames of {size:.0f} kB, HTTP", "frames/s of CPU", floors)
        self.wall = Row("the same, wall", "frames/s")
        self.rows = (self.row, self.wall)

    def measure(self) -> None:
        pixels = []
        for name in self.kinds():
            with self.knowing(name, self.inputs.series) as server:
                client, web = Client(server), Web.of(server, self.inputs.series.name)
                study, series, instances = uids(client, web)
                paths = [web.frame(study, series, uid) for uid in sorted(instances)]
                assert len(paths) == self.sizes.series, len(paths)
                pixels.append(only_part(client, paths[0]))
                cost = wrk_paths(server, self.work, paths, self.sizes.seconds)
                self.row.add(name, cost.per_cpu_second)
                self.wall.add(name, cost.per_second)
        assert len(set(pixels)) == 1, "the servers give different frames"
        assert len(pixels[0]) == self.sizes.side**2 * 2


class Volume(Measurement):
    """A series as one .nii file, beside a file of its size that imgd serves."""

    FILE = "a file of that size"

    def __init__(self, work: Path, inputs: Inputs, *, with_peers: bool) -> None:
        super().__init__(work, inputs, with_peers=with_peers)
        files, size = self.sizes.volume, self.sizes.side**2 * 2 / 1000
        floors = (Floor(self.FILE, 0.8, is_rate=True),)
        name = f"SERIES.nii of {files} x {size:.0f} kB"
        self._by_tls = {
            tls: Row(f"{name}, {'HTTPS' if tls else 'HTTP'}", "MB/s of CPU", floors)
            for tls in (False, True)
        }
        self.rows = tuple(self._by_tls.values())

    def measure(self) -> None:
        with self.knowing(IMGD, self.inputs.volume) as server:
            client = Client(server)
            _, series, _ = uids(client, Web.of(server, self.inputs.volume.name))
            paths = {
                IMGD: f"collections/{self.inputs.volume.name}/dicom/{series}.nii",
                self.FILE: "v.nii",
            }
            volume, length = client.fetch(paths[IMGD]), (self.inputs.plain / "v.nii").stat().st_size
            assert (volume[344:348], len(volume)) == (b"n+1\0", length), (volume[:352], length)
            for tls, row in self._by_tls.items():
                for name in random.sample([*paths], 2):
                    times = self.sizes.downloads
                    loads.download(server, paths[name], tls=tls, times=1)
                    cost = loads.download(server, paths[name], tls=tls, times=times)
                    assert round(cost.amount * 1e9) == length * times, cost
                    row.add(name, cost.per_cpu_second * 1000)


class Stalls(Measurement):
    """What indexing many files does to the daemon, which others ask meanwhile."""

    IDLE = "idle"

    def __init__(self, work: Path, inputs: Inputs, *, with_peers: bool) -> None:
        super().__init__(work, inputs, with_peers=with_peers)
        self.took = Row(f"index {self.sizes.most:,} files, wall", "s")
        self.again = Row("the same, CPU of a second load", "s")
        self.wait = Row("longest wait for a file meanwhile", "ms")
        self.stall = Row("the same, without waiting for a core", "ms", (Floor(plus=50),))
        self.growth = Row("growth of the daemon at its peak", "MB", (Floor(plus=100),))
        self.kept = Row("the same, afterwards", "MB")
        self.worker = Row("peak memory of a worker", "MB")
        self.rows = (
            *(self.took, self.again, self.wait, self.stall),
            *(self.growth, self.kept, self.worker),
        )

    def measure(self) -> None:
        folder, number = self.inputs.most, self.sizes.most
        with imgd(self.work, self.inputs.plain, is_pinned=False) as server:
            pid = server.process.pid
            with Waits(server, "f.bin") as idle:
                time.sleep(2)
            calm(pid)
            before = memory(pid, "VmRSS")
            with Waits(server, "f.bin") as beside, watched(pid) as workers:
                begun = time.monotonic()
                load(server, folder, "most")
                index(server, "most", number)
                self.took.add(IMGD, time.monotonic() - begun)
            used = calm(pid)
            self.growth.add(IMGD, (memory(pid, "VmHWM") - before) / MB)
            self.kept.add(IMGD, (memory(pid, "VmRSS") - before) / MB)
            load(server, folder, "again")
            index(server, "again", number)
            self.again.add(IMGD, calm(pid) - used)
        for name, waits in ((self.IDLE, idle), (IMGD, beside)):
            self.wait.add(name, waits.longest * 1000)
            self.stall.add(name, waits.own * 1000)
        self.worker.add(IMGD, workers["resident"] / MB)


def start(name: str, work: Path, inputs: Inputs) -> AbstractContextManager[Server]:
    """A new server of a kind, with an empty store."""
    return orthanc(work) if name == ORTHANC else imgd(work, inputs.plain)


def learn(server: Server, folder: Path) -> None:
    """Have a server know every file of a folder; imgd calls the collection as the folder."""
    if server.name == ORTHANC:
        upload(server, folder)
    else:
        load(server, folder, folder.name)
        index(server, folder.name, count(folder))


def count(folder: Path) -> int:
    """The files below a folder."""
    return sum(path.is_file() for path in folder.rglob("*"))


def only_part(client: Client, path: str) -> bytes:
    """The body of the one part of a multipart answer."""
    body = client.fetch(path, Accept=ACCEPT)
    head = f"Content-Type: {client.content_type}\r\n\r\n".encode()
    [part] = BytesParser(policy=HTTP).parsebytes(head + body).iter_parts()
    pixels = part.get_payload(decode=True)
    assert isinstance(pixels, bytes)
    return pixels


def wrk_paths(
    server: Server,
    work: Path,
    paths: Sequence[str],
    seconds: float,
    accept: str = ACCEPT,
    connections: int = 32,
) -> loads.Cost:
    """These paths in turn, by default as OHIF asks for frames."""
    listed = work / "paths.txt"
    listed.write_text("".join(f"/{path}\n" for path in paths), "ascii")
    return loads.wrk(
        server,
        "",
        tls=False,
        seconds=seconds,
        script="paths.lua",
        variables={"PATHS": str(listed), "ACCEPT": accept},
        connections=connections,
    )
