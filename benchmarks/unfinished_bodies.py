"""What one client can make the daemon keep, with bodies and trailers that it never finishes.

``python -m benchmarks.unfinished_bodies [MEGABYTES]`` (250) starts a daemon on a free port, sends
that much at most, in equal shares of each kind, over connections that end unfinished, and prints
the daemon's memory.
"""

from __future__ import annotations

import contextlib
import socket
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from tests.daemons import Daemon

HEAD: Final = (
    b"POST /unload HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n"
)
PER_CONNECTION: Final = 900_000  # bytes
AT_ONCE: Final = 100  # connections that are held before they end together
MOST_ROUNDS: Final = 200
KINDS: Final = {
    "trailers": b"0\r\nX: " + b"a" * PER_CONNECTION,
    "chunks": b"fff0\r\n" + b"a" * PER_CONNECTION,
    "size lines": b"1;" + b"a" * PER_CONNECTION,
    "small trailers": b"0\r\nX: " + b"a" * 900,
    "nearly whole": b"fff0\r\n" + b"a" * 65_000,
}


def main() -> None:
    """Print the daemon's resident memory before, at its highest, at the end and a minute later."""
    total = int(sys.argv[1] if len(sys.argv) > 1 else "250") * 1_000_000
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "output").mkdir()
        daemon = Daemon(Path(folder), "--no-tls")
        try:
            talk(daemon, HEAD + b"0\r\n\r\n" * 5, 5)  # so that what is allocated once is there
            print("kind             before  highest      end    after  MiB")
            for kind, body in KINDS.items():
                measure(daemon, kind, HEAD + body, total)
        finally:
            daemon.stop()


def measure(daemon: Daemon, kind: str, data: bytes, total: int) -> None:
    """One kind of attack, a fifth of all that is sent."""
    before = highest = resident(daemon)
    rounds = max(1, total // len(KINDS) // len(data) // AT_ONCE)
    for _ in range(min(rounds, MOST_ROUNDS)):
        highest = max(highest, talk(daemon, data, AT_ONCE))
    end = resident(daemon)
    time.sleep(60)
    figures = (before, highest, end, resident(daemon))
    print(f"{kind:16}", *(f"{figure:7.1f} " for figure in figures), flush=True)


def talk(daemon: Daemon, data: bytes, connections: int) -> float:
    """Send this over so many connections, and end them all: the memory before they end."""
    held = [socket.create_connection(("127.0.0.1", daemon.port)) for _ in range(connections)]
    for connection in held:
        with contextlib.suppress(ConnectionError):  # refused
            connection.sendall(data)
    memory = resident(daemon)
    for connection in held:
        connection.close()
    return memory


def resident(daemon: Daemon) -> float:
    """Resident memory in MiB."""
    status = Path(f"/proc/{daemon.pid}/status").read_text("ascii")
    line = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) / 1024


if __name__ == "__main__":
    main()
