"""One worker process: how it is started, what it gets, and how it ends."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from typing import Any

from twisted.internet.defer import inlineCallbacks
from twisted.trial.unittest import SkipTest, SynchronousTestCase

from tests.daemons import CHECKOUT, PATIENCE
from tests.pictures.pool_case import PoolCase

# A daemon in short: a pool that has made a picture, and says by which process; then it makes one
# that never ends, or none.
_DAEMON = """
import sys
from twisted.internet import reactor
from imgd.files.disk import Root, open_file
from imgd.host.health_monitor import HealthMonitor
from imgd.pictures.pool import PicturePool
from imgd.pictures.views import View, ViewKind
from tests.pictures.decoders import COMMAND
pool = PicturePool(reactor, workers=1, max_pixels=1, timeout=1000,
    health_monitor=HealthMonitor(reactor.seconds), command=(*COMMAND, sys.argv[2]))
file = open_file(Root(sys.argv[1]), ("file",))
view = View(ViewKind.THUMB)
def made(picture):
    pool.make(b"2", [file], view).addErrback(lambda _: None)
    print(picture.body.split()[1].decode(), flush=True)
pool.make(b"1", [file], view).addCallback(made)
reactor.run()
"""


class EndTests(SynchronousTestCase):
    def worker(self, decoder: str) -> tuple[subprocess.Popen[bytes], int]:
        """A daemon, and a descriptor that is readable when its worker has ended."""
        if not hasattr(os, "pidfd_open"):
            raise SkipTest("this system has no pidfd")
        folder = os.path.realpath(self.mktemp())
        os.makedirs(folder)
        with open(os.path.join(folder, "file"), "wb") as file:
            file.write(b"data")
        daemon = subprocess.Popen(
            [sys.executable, "-c", _DAEMON, folder, decoder],
            cwd=CHECKOUT,
            env={"PYTHONPATH": str(CHECKOUT)},
            stdout=subprocess.PIPE,
        )
        self.addCleanup(daemon.communicate)
        self.addCleanup(daemon.kill)
        assert daemon.stdout is not None
        pidfd = os.pidfd_open(int(daemon.stdout.readline()))
        self.addCleanup(os.close, pidfd)
        return daemon, pidfd

    def test_killed_daemon(self) -> None:
        """No worker outlives a daemon that is killed, whatever it is doing."""
        for decoder in ("counting", "first_of_all"):
            daemon, pidfd = self.worker(decoder)
            daemon.send_signal(signal.SIGKILL)
            self.assertTrue(select.select([pidfd], [], [], PATIENCE)[0], decoder)


class StartTests(PoolCase):
    @inlineCallbacks
    def test_environment(self) -> Any:
        """A worker gets nothing of the daemon's environment but where Python finds imgd, and no
        descriptor but its socket and what it prints to.
        """
        self.patch(os, "environ", {**os.environ, "IMGD_TOKEN": "secret"})
        facts = (yield self.body(self.ask(self.pool("surroundings"), b"data"))).split()
        names, fds = facts[0].split(","), facts[1].split(",")
        self.assertNotIn("IMGD_TOKEN", names)
        self.assertLessEqual(
            set(names),
            {"PYTHONPATH", "PYTHONDONTWRITEBYTECODE", "LC_CTYPE"}
            | {"OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"},
        )
        self.assertLessEqual(len(fds), 7)
