"""The servers that are compared: started, pinned to one core, counted, stopped."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

HERE = Path(__file__).resolve().parent
SERVER_CPU, LOAD_CPU = 0, 1
FILES = 40_000  # descriptors: 5,000 connections and what the limits of a shell leave
PEER_PACKAGES = ("aiohttp", "starlette", "uvicorn", "matplotlib")
PICTURE_PACKAGES = ("copyparty", "thumbor", "nibabel")


@dataclass
class Server:
    """A running server."""

    name: str
    process: subprocess.Popen[bytes]
    http: str
    https: str
    again: Callable[[], Server] | None = None  # starts another of the same kind
    notes: dict[str, str] = field(default_factory=dict)

    def url(self, path: str, *, tls: bool) -> str:
        """The URL of a file."""
        return (self.https if tls else self.http) + path

    def cpu(self) -> float:
        """CPU seconds used so far, user and system."""
        # The CPU clock of another process, clock_getcpuclockid(3), counts nanoseconds, while
        # /proc/PID/stat counts ticks of 10 ms. It includes threads that have ended.
        return time.clock_gettime((~self.process.pid << 3) | 2)

    def rss(self) -> int:
        """Resident memory in bytes."""
        pages = Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]
        return int(pages) * resource.getpagesize()

    def stop(self) -> None:
        """End it."""
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def pinned(command: list[str]) -> list[str]:
    """A command on the servers' core, with descriptors for thousands of connections."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    files = FILES if hard == resource.RLIM_INFINITY else min(FILES, hard)
    return ["prlimit", f"--nofile={files}:", "taskset", "-c", str(SERVER_CPU), *command]


def free_ports() -> tuple[int, int]:
    """Two ports that nobody uses at this moment."""
    with socket.socket() as one, socket.socket() as other:
        one.bind(("127.0.0.1", 0))
        other.bind(("127.0.0.1", 0))
        return one.getsockname()[1], other.getsockname()[1]


def peer_python(work: Path, packages: Sequence[str] = PEER_PACKAGES, name: str = "env") -> str:
    """The interpreter of the peers' own environment, made by pip if it is missing."""
    environment = work / name
    python = environment / "bin" / "python"
    if not (environment / "complete").exists():
        subprocess.run([sys.executable, "-m", "venv", str(environment)], check=True)
        install = [str(python), "-m", "pip", "install", "--quiet", *packages]
        subprocess.run(install, check=True)
        (environment / "complete").touch()
    return str(python)


@contextmanager
def all_running(work: Path, data: Path) -> Iterator[list[Server]]:
    """Every server that this machine has, imgd first; they are stopped at the end."""
    with ExitStack() as stack:
        servers = []
        for server in _start_all(work, data):
            stack.callback(server.stop)
            servers.append(server)
        yield servers


def find_nginx() -> str | None:
    """nginx, which Debian installs in a folder that is not on every user's PATH."""
    return shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin")


def _start_all(work: Path, data: Path) -> Iterator[Server]:
    """imgd first: it makes the certificates for all."""
    state = work / "state"
    kinds: list[Callable[[], Server]] = [partial(_imgd, work, data)]
    if nginx := find_nginx():
        kinds.append(partial(_nginx, nginx, work, data, state))
    python = peer_python(work)
    for name, interpreter, script in (
        ("stock static.File", sys.executable, "stock.py"),
        ("http.server", python, "http_server.py"),
        ("aiohttp", python, "aiohttp_static.py"),
        ("Starlette, uvicorn", python, "starlette_static.py"),
    ):
        kinds.append(partial(_peer, name, interpreter, script, work, data, state))
    for kind in kinds:
        server = kind()
        server.again = kind
        yield server


def _peer(name: str, interpreter: str, script: str, work: Path, data: Path, state: Path) -> Server:
    http, https = free_ports()
    command = [interpreter, str(HERE / "peers" / script), str(data), str(http), str(https)]
    pair = [str(state / "server.pem"), str(state / "server.key")]
    return _start(name, [*command, *pair], work, http, https)


def _imgd(work: Path, data: Path) -> Server:
    """The first uses the state folder that the others have their certificates from."""
    http, https = free_ports()
    state = work / "state"
    if (state / "daemon.json").exists():
        state = Path(tempfile.mkdtemp(prefix="state-", dir=work))
    command = [sys.executable, "-c", "from twisted.scripts.twistd import run; run()", "-n"]
    command += ["--pidfile=", "imgd", "--host", "127.0.0.1", "--port", str(https)]
    command += ["--http-port", str(http), "--images-dir", str(data), "--state-dir", str(state)]
    server = _start("imgd", command, work, http, https)
    for _ in range(100):  # its ports are bound before its certificates are made
        if (state / "daemon.json").exists():
            break
        time.sleep(0.1)
    return server


def _nginx(program: str, work: Path, data: Path, state: Path) -> Server:
    http, https = free_ports()
    text = (HERE / "nginx.conf").read_text()
    filled = text.format(work=work, data=data, state=state, http=http, https=https)
    (work / f"nginx-{http}.conf").write_text(filled)
    return _start("nginx", [program, "-c", str(work / f"nginx-{http}.conf")], work, http, https)


def _start(name: str, command: list[str], work: Path, http: int, https: int) -> Server:
    log = (work / f"{name.replace(' ', '-')}.log").open("wb")
    environment = {**os.environ, "PYTHONPATH": str(HERE.parent)}
    process = subprocess.Popen(pinned(command), stdout=log, stderr=log, cwd=work, env=environment)
    server = Server(name, process, f"http://127.0.0.1:{http}/", f"https://127.0.0.1:{https}/")
    for port in (http, https):
        await_port(server, port)
    return server


def await_port(server: Server, port: int) -> None:
    """Wait until a server listens; SystemExit if it does not within 20 seconds."""
    for _ in range(200):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            if server.process.poll() is not None:
                break
            time.sleep(0.1)
        else:
            return
    server.process.kill()
    raise SystemExit(f"{server.name} did not start; its log lies beside its data")
