"""Loads on a server, and what they cost it: each gives a ``Cost``."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.servers import HERE, LOAD_CPU, Server

CONNECTIONS = 32
LUA = HERE / "wrk"


@dataclass(frozen=True)
class Cost:
    """``amount`` of work (requests, GB) done in ``seconds`` with ``cpu`` seconds of the server."""

    amount: float
    seconds: float
    cpu: float

    @property
    def per_cpu_second(self) -> float:
        """The rate of a server that never waits."""
        return self.amount / self.cpu

    @property
    def cpu_per_unit(self) -> float:
        """CPU seconds for one unit of work."""
        return self.cpu / self.amount

    @property
    def per_second(self) -> float:
        """The rate by the clock on the wall."""
        return self.amount / self.seconds

    @property
    def seconds_per_unit(self) -> float:
        """Seconds by the clock on the wall for one unit of work."""
        return self.seconds / self.amount


def validators(server: Server, path: str) -> dict[str, str]:
    """The validators that a client with a copy of the file sends, as wrk's scripts take them."""
    head = get(server, path, "-D", "-", "-o", "/dev/null")[0].decode()
    lines = (line.partition(":") for line in head.splitlines())
    headers = {name.lower(): value.strip() for name, _, value in lines}
    return {"ETAG": headers.get("etag", '"none"'), "SINCE": headers["last-modified"]}


def wrk(
    server: Server,
    path: str,
    *,
    tls: bool,
    seconds: float,
    script: str = "",
    variables: Mapping[str, str] | None = None,
    connections: int = CONNECTIONS,
) -> Cost:
    """Requests over kept connections; ``variables`` are what the script reads."""
    url = server.url(path, tls=tls)
    environment = {**os.environ, **(variables or {})}
    if script == "304.lua":
        environment |= validators(server, path)
    command = ["taskset", "-c", str(LOAD_CPU), "wrk", "-t1", f"-c{connections}"]
    command += ["-d", f"{max(1, round(seconds))}s", "--timeout", "20s"]
    if script:
        command += ["-s", str(LUA / script)]
    before = server.cpu()
    output = subprocess.run([*command, url], capture_output=True, text=True, env=environment).stdout
    cpu = server.cpu() - before
    summary = re.search(r"(\d+) requests in ([\d.]+)(ms|s|m)", output)
    errors = re.search(r"Non-2xx.*", output)  # wrk counts from 400 on
    if summary is None or errors is not None:
        raise RuntimeError(f"{server.name} {path}: {errors[0] if errors else output}")
    unit = {"ms": 0.001, "s": 1.0, "m": 60.0}[summary[3]]
    return Cost(int(summary[1]), float(summary[2]) * unit, cpu)


def download(server: Server, path: str, *, tls: bool, times: int) -> Cost:
    """A large file again and again over one connection; the amount is in GB."""
    url = server.url(path, tls=tls)
    command = ["taskset", "-c", str(LOAD_CPU), "curl", "-sk", "--http1.1"]
    command += ["-w", "%{size_download} "]
    before, begun = server.cpu(), time.monotonic()
    targets = ["-o", "/dev/null", url] * times
    sizes = subprocess.run([*command, *targets], capture_output=True, text=True).stdout
    seconds, cpu = time.monotonic() - begun, server.cpu() - before
    return Cost(sum(map(int, sizes.split())) / 1e9, seconds, cpu)


def _client(server: Server, work: str, path: str, *args: object, tls: bool = True) -> list[str]:
    url = urlsplit(server.https if tls else server.http)
    program = [sys.executable, str(HERE / "clients.py"), work, str(url.hostname), str(url.port)]
    return [*program, path, *map(str, args)]


def kept(server: Server, path: str, *, tls: bool, seconds: float, method: str) -> Cost:
    """Requests over 32 kept connections, by a client that knows HEAD."""
    scheme = "https-" if tls else "http-"
    command = _client(server, "kept", path, seconds, scheme + method, tls=tls)
    before = server.cpu()
    report = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    return Cost(report["count"], report["seconds"], server.cpu() - before)


def handshakes(server: Server, path: str, *, seconds: float, resumed: bool) -> Cost:
    """One request for each new TLS connection, from four clients at once."""
    command = _client(server, "handshakes", path, seconds, "resumed" if resumed else "full")
    before = server.cpu()
    clients = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(4)]
    reports = [json.loads(client.communicate()[0]) for client in clients]
    cpu = server.cpu() - before
    count, reused = (sum(report[key] for report in reports) for key in ("count", "reused"))
    if reused != (count - len(reports) if resumed else 0):
        raise RuntimeError(f"{server.name}: {reused} of {count} connections resumed")
    return Cost(count, max(report["seconds"] for report in reports), cpu)


@contextmanager
def connections(server: Server, work: str, path: str, count: int) -> Iterator[float]:
    """While ``count`` idle or slow connections are open; the growth of RSS in bytes for each."""
    before = server.rss()
    client = subprocess.Popen(
        _client(server, work, path, count), stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        assert client.stdout is not None
        report = client.stdout.readline()
        if not report:
            raise RuntimeError(f"{server.name}: the {work} clients failed")
        time.sleep(0.5)
        yield (server.rss() - before) / json.loads(report)["count"]
    finally:
        client.communicate(b"\n")
        time.sleep(1)


def get(server: Server, path: str, *options: str) -> tuple[bytes, float]:
    """One request by curl: the body, and how long it took in seconds."""
    begun = time.monotonic()
    command = ["curl", "-sk", *options, server.url(path, tls=False)]
    body = subprocess.run(command, capture_output=True, check=True).stdout
    return body, time.monotonic() - begun


def fill_page_cache(data: Path) -> None:
    """Read the large files once, so that no server waits for a disk."""
    for name in ("v.nii", "g.nii"):
        with (data / name).open("rb", buffering=0) as file:
            while file.read(1 << 24):
                pass


def make_files(data: Path, large_gb: int = 1) -> None:
    """What is served: small files, one of 128 MB, and one of 1 GB."""
    if (data / "complete").exists():
        return
    (data / "many").mkdir(parents=True, exist_ok=True)
    for name in ("f.jpg", *(f"many/{i}.jpg" for i in range(200))):
        (data / name).write_bytes(os.urandom(20_000))
    piece = os.urandom(1 << 24)
    for name, pieces in (("v.nii", 8), ("g.nii", 64 * large_gb)):
        with (data / name).open("wb") as file:
            for _ in range(pieces):
                file.write(piece)
    (data / "complete").touch()
