"""Programs of others that listen on a port: proxies, forwarders and an SSH server."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SkipTest

from tests.daemons import PATIENCE, DaemonCase

GRACE = 10  # seconds that a program has to end by itself
SSHD = """
Port {port}
ListenAddress 127.0.0.1
HostKey {folder}/host
AuthorizedKeysFile {folder}/authorized
PidFile none
StrictModes no
UsePAM no
{more}
"""


def free_port() -> int:
    """A port for a server that cannot choose a free one and report it."""
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        port: int = server.getsockname()[1]
        return port


def program(name: str) -> str:
    """Its path, also from Debian's folders for administrators; SkipTest if not installed."""
    path = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if path is None:
        raise SkipTest(f"{name} is not installed")
    return path


def user_id(name: str) -> int:
    """SkipTest if there is no such user, or this process cannot become another user."""
    if os.geteuid() != 0:
        raise SkipTest("only root can start programs of other users")
    try:
        return pwd.getpwnam(name).pw_uid
    except KeyError:
        raise SkipTest(f"there is no user {name}") from None


class FrontCase(DaemonCase):
    """Starts such programs in front of daemons; ``readable`` is a folder for their files."""

    def setUp(self) -> None:
        super().setUp()
        # Readable by the proxies' own users, which the checkout need not be.
        self.readable = Path(tempfile.mkdtemp(prefix="imgd-fronts-"))
        self.addCleanup(shutil.rmtree, self.readable, ignore_errors=True)
        self.readable.chmod(0o755)

    @contextmanager
    def front(self, *command: str, port: int, **options: Any) -> Iterator[str]:
        """Start a proxy, and yield its URL once it listens."""
        errors = (self.readable / "errors").open("wb")
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=errors, stderr=errors, cwd="/", **options
        )
        errors.close()
        try:
            self.wait_for(port, process)
            yield f"http://localhost:{port}/"
        finally:
            process.terminate()  # so that nginx ends its worker as well
            try:
                process.wait(GRACE)
            except subprocess.TimeoutExpired:  # ssh may wait for a channel
                process.kill()
                process.wait(PATIENCE)

    def wait_for(self, port: int, process: subprocess.Popen[bytes]) -> None:
        """Until it listens. A connection before that is refused at once."""
        deadline = time.monotonic() + PATIENCE
        while process.poll() is None and time.monotonic() < deadline:
            try:
                socket.create_connection(("127.0.0.1", port), PATIENCE).close()
            except ConnectionRefusedError:
                continue
            return
        raise AssertionError((self.readable / "errors").read_text("utf-8", "replace"))

    @contextmanager
    def sshd(self, more: str = "") -> Iterator[tuple[str, ...]]:
        """Start an SSH server with these lines of configuration; yields the command of a client
        that it lets in as anybody, without its options and its host.
        """
        keygen = (program("ssh-keygen"), "-q", "-t", "ed25519", "-N", "")
        for key in ("host", "client"):
            subprocess.run((*keygen, "-f", f"{self.readable}/{key}"), check=True, timeout=PATIENCE)
        shutil.copy(self.readable / "client.pub", self.readable / "authorized")
        port, conf = free_port(), self.readable / "sshd_config"
        conf.write_text(SSHD.format(port=port, folder=self.readable, more=more), "utf-8")
        os.makedirs("/run/sshd", exist_ok=True)  # as its service makes it
        options = ("BatchMode=yes", "ExitOnForwardFailure=yes", "StrictHostKeyChecking=no")
        known = f"UserKnownHostsFile={self.readable}/known"
        with self.front(program("sshd"), "-D", "-e", "-f", str(conf), port=port):
            yield (
                *(program("ssh"), "-F", "none", "-N", "-p", str(port)),
                *("-i", f"{self.readable}/client"),
                *(word for option in (*options, known) for word in ("-o", option)),
            )
