"""How fast ``imgd load`` checks URLs beside the daemon's own rate for HEAD, and in what memory.

    python benchmarks/client.py [--images 10000] [--listed 1000000]

The daemon's rate is taken with the client's number of connections on the same URLs. Wanted: the
client at no less than 60 % of it, and at most 150 MB for a million listed images. The daemon lists
the images too, in the same time and with the same core, so both figures are given.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import resource
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

WORKERS = 10
HERE = Path(__file__).resolve().parent
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(HERE.parent)}


@contextmanager
def daemon(folder: Path, *options: str) -> Iterator[str]:
    """A daemon on a free port; its URL."""
    command = [sys.executable, "-c", "from twisted.scripts.twistd import run; run()", "-n"]
    command += ["--pidfile=", "--logfile", str(folder / "log"), "imgd", "--port", "0", *options]
    command += ["--images-dir", str(folder / "frames"), "--state-dir", str(folder / "state")]
    process = subprocess.Popen(command, cwd=folder, env=ENVIRONMENT)
    said = folder / "state" / "daemon.json"
    try:
        while not said.exists():
            if process.poll() is not None:
                raise SystemExit("the daemon does not start")
            time.sleep(0.05)
        yield json.loads(said.read_text())["urls"][0]
    finally:
        process.terminate()
        process.wait()


def load(folder: Path, *options: str) -> tuple[dict[str, object], str]:
    """Run ``imgd load``; its manifest, and the last line of its progress."""
    command = [sys.executable, "-m", "imgd.client.cli", "load", *options, "--output", "-"]
    command += ["--state-dir", str(folder / "state"), "--workers", str(WORKERS)]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, check=True)
    return json.loads(done.stdout), done.stderr.strip().splitlines()[-1]


def rate_of_daemon(folder: Path, url: str, urls: list[str]) -> float:
    """HEAD requests a second that the daemon answers, with as many connections as the client.

    Asked by bare sockets in lockstep that look for the blank line and at nothing else: wrk waits
    for the body of a HEAD.
    """
    parts = urlsplit(url)
    assert parts.hostname
    requests = [_request(parts.netloc, urlsplit(u).path) for u in urls]
    connections = []
    for _ in range(WORKERS):
        plain = socket.create_connection((parts.hostname, parts.port))
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if parts.scheme == "https":
            context = ssl.create_default_context(cafile=str(folder / "state" / "ca.pem"))
            plain = context.wrap_socket(plain, server_hostname=parts.hostname)
        connections.append(plain)
    before = time.perf_counter()
    for start in range(0, len(requests), WORKERS):
        batch = list(zip(connections, requests[start : start + WORKERS], strict=False))
        for connection, request in batch:
            connection.sendall(request)
        for connection, _ in batch:
            answer = connection.recv(16384)
            assert answer.startswith(b"HTTP/1.1 200 "), answer
            assert answer.endswith(b"\r\n\r\n"), answer
    took = time.perf_counter() - before
    for connection in connections:
        connection.close()
    return len(requests) / took


def _request(host: str, path: str) -> bytes:
    return f"HEAD {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode("ascii")


def measure_rate(images: int, *options: str) -> None:
    """Both rates, five times, one beside the other."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        frames = folder / "frames"
        frames.mkdir()
        for number in range(images):
            (frames / f"frame {number:06}.png").write_bytes(b"x" * 2000)
        with daemon(folder, *options) as url:
            manifest, _ = load(folder, str(frames))
            urls = manifest["image_urls"]
            assert isinstance(urls, list)
            scheme = url.partition(":")[0]
            rate_of_daemon(folder, url, urls)  # the first look at each file is another matter
            for _ in range(5):
                theirs = rate_of_daemon(folder, url, urls)
                listing = rate_of_load(folder, frames, images, "none")
                whole = rate_of_load(folder, frames, images, "head")
                checking = 1 / (1 / whole - 1 / listing)
                print(
                    f"{scheme}: daemon {theirs:,.0f} HEAD/s; imgd load {whole:,.0f}/s with "
                    f"listing ({whole / theirs:.0%}), {checking:,.0f}/s without "
                    f"({checking / theirs:.0%})"
                )


def rate_of_load(folder: Path, frames: Path, images: int, how: str) -> float:
    """Images a second, as the client tells it."""
    manifest, line = load(folder, str(frames), "--verify", how)
    assert manifest["count"] == images, line
    found = re.search(r"([\d,]+)/s", line)
    assert found, line
    return float(found[1].replace(",", ""))


def measure_memory(listed: int) -> None:
    """List a million images of a server that makes pages up, in a process of its own."""
    done = subprocess.run(
        [sys.executable, str(HERE / "client_memory.py"), str(listed)],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
    )
    print(done.stdout.strip() or done.stderr)


def main() -> None:
    """Print every figure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--listed", type=int, default=1_000_000)
    options = parser.parse_args()
    measure_rate(options.images)
    measure_rate(options.images, "--no-tls")
    measure_memory(options.listed)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(f"(all processes together: {used.ru_utime + used.ru_stime:.0f} s of CPU)")


if __name__ == "__main__":
    main()
