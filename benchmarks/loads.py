"""Loads on a server, and what they cost it: each gives a ``Cost``."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.servers import HERE, LOAD_CPU, Server

CONNECTIONS = 32
LUA = HERE / "wrk"


@dataclass(frozen=True)
class Cost:
    """``amount`` of work (requests, GB, bytes …) in ``seconds``, for ``cpu`` seconds."""

    amount: float
    seconds: float
    cpu: float

    @property
    def per_cpu_second(self) -> float:
        """What one core would do, were it never waiting."""
        return self.amount / self.cpu

    @property
    def cpu_per_unit(self) -> float:
        """CPU seconds for one of them."""
        return self.cpu / self.amount


def validators(server: Server, path: str) -> dict[str, str]:
    """What a client would ask with that has the file, for wrk's scripts."""
    head = get(server, path, "-D", "-", "-o", "/dev/null")[0].decode()
    lines = (line.partition(":") for line in head.splitlines())
    found = {name.lower(): value.strip() for name, _, value in lines}
    return {"ETAG": found.get("etag", '"none"'), "SINCE": found["last-modified"]}


def wrk(server: Server, path: str, *, tls: bool, seconds: float, script: str = "") -> Cost:
    """Requests over 32 kept connections."""
    url = server.url(path, tls=tls)
    environment = os.environ | (validators(server, path) if script == "304.lua" else {})
    command = ["taskset", "-c", str(LOAD_CPU), "wrk", "-t1", f"-c{CONNECTIONS}"]
    command += ["-d", f"{max(1, round(seconds))}s", "--timeout", "20s"]
    if script:
        command += ["-s", str(LUA / script)]
    before = server.cpu()
    said = subprocess.run([*command, url], capture_output=True, text=True, env=environment).stdout
    used = server.cpu() - before
    found = re.search(r"(\d+) requests in ([\d.]+)(ms|s|m)", said)
    bad = re.search(r"Non-2xx.*", said)  # wrk counts from 400 on
    if found is None or bad is not None:
        raise RuntimeError(f"{server.name} {path}: {bad[0] if bad else said}")
    unit = {"ms": 0.001, "s": 1.0, "m": 60.0}[found[3]]
    return Cost(int(found[1]), float(found[2]) * unit, used)


def download(server: Server, path: str, *, tls: bool, times: int) -> Cost:
    """A large file again and again over one connection; the amount is in GB."""
    url = server.url(path, tls=tls)
    command = [
        "taskset",
        "-c",
        str(LOAD_CPU),
        "curl",
        "-sk",
        "--http1.1",
        "-w",
        "%{size_download} ",
    ]
    before, begun = server.cpu(), time.monotonic()
    targets = ["-o", "/dev/null", url] * times
    said = subprocess.run([*command, *targets], capture_output=True, text=True).stdout
    seconds, used = time.monotonic() - begun, server.cpu() - before
    return Cost(sum(map(int, said.split())) / 1e9, seconds, used)


def _client(server: Server, work: str, path: str, *args: object, tls: bool = True) -> list[str]:
    at = urlsplit(server.https if tls else server.http)
    program = [sys.executable, str(HERE / "clients.py"), work, str(at.hostname), str(at.port), path]
    return [*program, *map(str, args)]


def kept(server: Server, path: str, *, tls: bool, seconds: float, method: str) -> Cost:
    """Requests over 32 kept connections, by a client that knows HEAD."""
    scheme = "https-" if tls else "http-"
    command = _client(server, "kept", path, seconds, scheme + method, tls=tls)
    before = server.cpu()
    said = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    return Cost(said["count"], seconds, server.cpu() - before)


def handshakes(server: Server, path: str, *, seconds: float, resumed: bool) -> Cost:
    """One request for each new TLS connection, from four clients at once."""
    command = _client(server, "handshakes", path, seconds, "resumed" if resumed else "full")
    before = server.cpu()
    clients = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(4)]
    said = [json.loads(client.communicate()[0]) for client in clients]
    used = server.cpu() - before
    count, reused = (sum(one[key] for one in said) for key in ("count", "reused"))
    if reused != (count - len(said) if resumed else 0):
        raise RuntimeError(f"{server.name}: {reused} of {count} connections resumed")
    return Cost(count, seconds, used)


@contextmanager
def connections(server: Server, work: str, path: str, count: int) -> Iterator[float]:
    """While ``count`` idle or slow connections are open; the growth of RSS in bytes for each."""
    before = server.rss()
    client = subprocess.Popen(
        _client(server, work, path, count), stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        assert client.stdout is not None
        said = client.stdout.readline()
        if not said:
            raise RuntimeError(f"{server.name}: the {work} clients failed")
        time.sleep(0.5)
        yield (server.rss() - before) / json.loads(said)["count"]
    finally:
        client.communicate(b"\n")
        time.sleep(1)


def get(server: Server, path: str, *options: str) -> tuple[bytes, float]:
    """One request by curl: the body, and how long it took in seconds."""
    begun = time.monotonic()
    command = ["curl", "-sk", *options, server.url(path, tls=False)]
    body = subprocess.run(command, capture_output=True, check=True).stdout
    return body, time.monotonic() - begun


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
