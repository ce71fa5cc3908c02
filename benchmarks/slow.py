"""slowhttptest against imgd, and against nginx: ``python -m benchmarks.slow``.

1,000 connections that send or read slowly, for 30 seconds each, on loopback alone. During each
attack an honest client asks for a small file every 0.2 s, over a new connection each time. Takes
five minutes; needs slowhttptest and nginx.
"""

from __future__ import annotations

import argparse
import http.client
import os
import re
import shutil
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import NamedTuple

ATTACKS = {
    "head": "-H -i 1 -r 500 -t GET -x 24 -u {url}small.bin",
    "body": "-B -i 1 -r 500 -s 8192 -t POST -x 10 -f application/json -u {url}unload",
    "read": "-X -r 500 -w 512 -y 1024 -n 5 -z 32 -k 1 -u {url}big.bin",
}
NGINX = """
worker_processes 1; worker_rlimit_nofile 20000; pid {folder}/nginx.pid; daemon off;
error_log {folder}/nginx.err;
events {{ worker_connections {connections}; }}
http {{
  access_log off; sendfile on; keepalive_timeout 75s; client_header_timeout 20s;
  client_body_timeout 10s; send_timeout 10s;
  server {{
    listen 127.0.0.1:{port} backlog=1024; root {folder}/root;
    location /unload {{ proxy_pass http://127.0.0.1:1; }}
  }}
}}
"""


class Server(NamedTuple):
    """A server under attack, and the process that does the work."""

    name: str
    url: str
    pid: int


def free_port() -> int:
    """A port that nobody uses at this moment."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def imgd(folder: Path, connections: int, *, tls: bool) -> tuple[subprocess.Popen[bytes], Server]:
    """A daemon of its own."""
    port = free_port()
    scheme = "https" if tls else "http"
    command = [shutil.which("twistd", path=str(Path(sys.executable).parent)) or "twistd", "-n"]
    command += ["--pidfile=", "imgd", "--port", str(port), "--state-dir", str(folder / "state")]
    command += ["--body-timeout", "10", "--stall-timeout", "10", "-d", str(folder / "root")]
    command += ["--max-connections", str(connections)] + ["--no-tls"] * (not tls)
    here = str(Path(__file__).resolve().parent.parent)
    with (folder / "imgd.log").open("ab") as log:
        process = subprocess.Popen(
            command, stdout=log, cwd=folder, env={**os.environ, "PYTHONPATH": here}
        )
    return process, Server(f"imgd, {scheme}", f"{scheme}://127.0.0.1:{port}/", process.pid)


def nginx(folder: Path, connections: int) -> tuple[subprocess.Popen[bytes], Server]:
    """nginx, with one worker and the same deadlines."""
    port = free_port()
    config = folder / "nginx.conf"
    config.write_text(NGINX.format(folder=folder, port=port, connections=connections))
    process = subprocess.Popen(["nginx", "-c", str(config)], stderr=subprocess.DEVNULL)
    wait_for(port)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
    return process, Server("nginx, http", f"http://127.0.0.1:{port}/", int(children.split()[0]))


def wait_for(port: int) -> None:
    """Wait until a server listens."""
    for _ in range(200):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise SystemExit(f"nobody listens on port {port}")


class HonestClient(threading.Thread):
    """The client that asks during the attack."""

    def __init__(self, server: Server) -> None:
        super().__init__(daemon=True)
        self.server = server
        self.times: list[float] = []
        self.failed = 0
        self.over = threading.Event()

    def run(self) -> None:
        """Ask until ``over`` is set."""
        while not self.over.wait(0.2):
            started = time.monotonic()
            try:
                self.failed += self.ask() != 200
            except (OSError, http.client.HTTPException):
                self.failed += 1
            self.times.append(time.monotonic() - started)

    def ask(self) -> int:
        """The status of one answer."""
        host = self.server.url.split("/")[2]
        client: http.client.HTTPConnection
        if self.server.url.startswith("https:"):
            unverified = ssl._create_unverified_context()
            client = http.client.HTTPSConnection(host, timeout=5, context=unverified)
        else:
            client = http.client.HTTPConnection(host, timeout=5)
        try:
            client.request("GET", "/small.bin")
            answer = client.getresponse()
            answer.read()
            return answer.status
        finally:
            client.close()


def resident(pid: int) -> float:
    """Resident memory in MiB."""
    line = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    return int(line[1]) / 1024 if line else 0


def attack(kind: str, server: Server) -> str:
    """One attack: a row of the table."""
    honest, before = HonestClient(server), resident(server.pid)
    options = ATTACKS[kind].format(url=server.url).split()
    command = ["slowhttptest", "-c", "1000", *options, "-p", "3", "-l", "30"]
    honest.start()
    started = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    peak = before
    while process.poll() is None and time.monotonic() - started < 60:
        peak = max(peak, resident(server.pid))
        time.sleep(0.2)
    process.kill()
    honest.over.set()
    honest.join()
    assert process.stdout is not None
    output = process.stdout.read().decode("utf-8", "replace")
    connections = "all closed" if "No open connections" in output else "still open"
    return (
        f"| {server.name} | {kind} | {connections} after {time.monotonic() - started:.0f} s "
        f"| {len(honest.times) - honest.failed} of {len(honest.times)} "
        f"| {statistics.median(honest.times) * 1000:.1f} / {max(honest.times) * 1000:.0f} ms "
        f"| {peak - before:.1f} MiB |"
    )


def main() -> None:
    """Every attack on every server."""
    argparse.ArgumentParser(prog="python -m benchmarks.slow", description=__doc__).parse_args()
    print("| server | slow | connections | honest answers | median / worst | memory |")
    print("|---|---|---|---|---|---|", flush=True)
    for kind, connections in (("head", 5000), ("body", 5000), ("read", 5000), ("head", 256)):
        for number in range(3):
            with tempfile.TemporaryDirectory(prefix="imgd-slow-") as name:
                folder = Path(name)
                (folder / "root").mkdir()
                folder.chmod(0o755)
                (folder / "root" / "big.bin").write_bytes(os.urandom(20_000_000))
                (folder / "root" / "small.bin").write_bytes(os.urandom(2000))
                if number == 2:
                    process, server = nginx(folder, connections)
                else:
                    process, server = imgd(folder, connections, tls=number == 1)
                    wait_for(int(server.url.split(":")[2].rstrip("/")))
                limited = server._replace(name=f"{server.name}, at most {connections}")
                print(attack(kind, limited if connections < 1000 else server), flush=True)
                process.terminate()
                process.wait(60)


if __name__ == "__main__":
    main()
