"""Readers that hold every connection: ``python -m benchmarks.slow_readers``.

A daemon takes 256 connections. Four clients behind a proxy hold all of them: each connection reads
3,000 bytes of a large file every 1.5 s, with a small window, and is made again a second after it
was ended. Meanwhile an honest client asks for a small file every 0.2 s, over a new connection each
time. On loopback alone; takes four minutes.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from benchmarks.slow import free_port, wait_for

MOST = 256
FIRST = 75  # seconds until the first readers count as slow
LAST = 225
ASK = "GET /{name} HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-For: {client}\r\n{more}\r\n"


class Reader(threading.Thread):
    """One slow connection, again and again."""

    def __init__(self, port: int, client: str, over: threading.Event) -> None:
        super().__init__(daemon=True)
        self.port, self.client, self.over = port, client, over

    def run(self) -> None:
        """Hold a connection; make another when it is ended."""
        while not self.over.is_set():
            with contextlib.suppress(OSError), socket.socket() as connection:
                self.hold(connection)
            self.over.wait(1)

    def hold(self, connection: socket.socket) -> None:
        """Read a little now and then, until the daemon ends the connection."""
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 536)
        connection.connect(("127.0.0.1", self.port))
        connection.sendall(ASK.format(name="big.bin", client=self.client, more="").encode("ascii"))
        while connection.recv(3000) and not self.over.wait(1.5):
            pass


def is_served(port: int) -> bool:
    """Whether an honest client gets its answer."""
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        client.request("GET", "/small.bin", headers={"X-Forwarded-For": "198.51.100.1"})
        answer = client.getresponse()
        return answer.read() is not None and answer.status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        client.close()


def attack(port: int) -> None:
    """Print how many honest answers there were, before readers count as slow and after."""
    over = threading.Event()
    for number in range(MOST):
        Reader(port, f"192.0.2.{number % 4 + 1}", over).start()
    time.sleep(2)
    started = time.monotonic()
    for until in (FIRST, LAST):
        answers: list[bool] = []
        while time.monotonic() - started < until:
            answers.append(is_served(port))
            time.sleep(0.2)
        print(f"until {until} s: {sum(answers)} of {len(answers)} honest answers", flush=True)
    over.set()


def main() -> None:
    """One daemon, one attack."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.slow_readers", description=__doc__)
    parser.add_argument("--without-proxy", action="store_true", help="do not trust the proxy")
    without = parser.parse_args().without_proxy
    with tempfile.TemporaryDirectory(prefix="imgd-slow-") as name:
        folder, port = Path(name), free_port()
        (folder / "root").mkdir()
        (folder / "root" / "big.bin").write_bytes(os.urandom(20_000_000))
        (folder / "root" / "small.bin").write_bytes(os.urandom(2000))
        command = [shutil.which("twistd", path=str(Path(sys.executable).parent)) or "twistd"]
        command += ["-n", "--pidfile=", "imgd", "--no-tls", "--port", str(port)]
        command += ["--state-dir", str(folder / "state"), "-d", str(folder / "root")]
        command += ["--max-connections", str(MOST)]
        command += [] if without else ["--proxy", "127.0.0.1"]
        here = str(Path(__file__).resolve().parent.parent)
        with (folder / "imgd.log").open("ab") as log:
            process = subprocess.Popen(
                command, stdout=log, cwd=folder, env={**os.environ, "PYTHONPATH": here}
            )
        try:
            wait_for(port)
            attack(port)
        finally:
            process.terminate()
            process.wait(60)
        lines = (folder / "imgd.log").read_text().splitlines()
        print("\n".join(line.partition("] ")[2] for line in lines if "too slow" in line))


if __name__ == "__main__":
    main()
