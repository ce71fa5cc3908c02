"""A worker process, as the daemon sees it: started, sent a job, heard, and ended."""

from __future__ import annotations

import errno
import os
import socket
import sys
from collections.abc import Sequence
from typing import Any, Final, Protocol

from twisted.internet.error import ProcessTerminated
from twisted.internet.interfaces import ITransport
from twisted.internet.protocol import Factory, ProcessProtocol
from twisted.internet.protocol import Protocol as StreamProtocol
from twisted.python.failure import Failure

from imgd.logs import Logger
from imgd.pictures.framing import BadFrame, FrameReader
from imgd.pictures.messages import FromWorker, Job, Ready, frame

# -P and -s: nothing is imported from the working folder or the user's own packages, but for what
# the daemon itself found there.
COMMAND: Final = (sys.executable, "-P", "-s", "-m", "imgd.pictures.worker")
_MAX_COMPLAINT: Final = 2000  # bytes that are kept of what a worker prints before it is ready
_ONE_THREAD: Final = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")


class WorkerOwner(Protocol):
    """Whom a worker tells what happens."""

    def heard(self, message: FromWorker, body: bytes) -> None:
        """It sent a message; the first is Ready."""

    def ended(self, reason: str) -> None:
        """It is no more. ``reason`` is for the log, without a full stop."""


class WorkerProcess:
    """A process that runs ``command`` with a socket to this one as standard input."""

    log = Logger()

    def __init__(self, reactor: Any, owner: WorkerOwner, command: Sequence[str]) -> None:
        self._owner = owner
        self._was_ready = False
        self._complaint = b""
        self._fault = ""
        self._is_over = False
        if not os.access(command[0], os.X_OK):  # else Twisted would leave its pipes open
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), command[0])
        ours, theirs = socket.socketpair()
        with ours, theirs:
            ours.setblocking(False)
            self._process = reactor.spawnProcess(
                _Process(self),
                command[0],
                command,
                env=_environment(),
                # What it prints comes here: were descriptor 1 free, a file might be given it.
                childFDs={0: theirs.fileno(), 1: "r", 2: "r"},
            )
            factory = Factory.forProtocol(lambda: _Stream(self))
            stream = reactor.adoptStreamConnection(ours.fileno(), socket.AF_UNIX, factory)
        self._stream: Any = stream

    @property
    def pid(self) -> int | None:
        """The number of the process; None if there is none any more."""
        pid = self._process.pid
        return None if pid is None else int(pid)

    def send(self, job: Job, fds: Sequence[int]) -> bool:
        """Send a job with the descriptors of its files, at once: they may be closed afterwards.
        False if it cannot be sent; the worker is killed then.
        """
        data = frame(job)
        try:
            sent = socket.send_fds(self._stream.getHandle(), [data], list(fds))
        except OSError:  # it has ended, or a descriptor is no more
            sent = 0
        if sent != len(data):  # a worker that has no job reads all of it: a job is small
            self.kill("it takes no job")
        return sent == len(data)

    def kill(self, fault: str) -> None:
        """End it whatever it does; ``fault`` becomes the reason of its end."""
        self._fault = self._fault or fault
        if not self._is_over and self._process.pid is not None:
            self._process.signalProcess("KILL")

    # What its socket and its process tell

    def _received(self, message: FromWorker, body: bytes) -> None:
        self._was_ready = self._was_ready or isinstance(message, Ready)
        if not self._fault:
            self._owner.heard(message, body)

    def _printed(self, data: bytes) -> None:
        """Why it cannot start is told; later, what libraries print may be out of a file."""
        if not self._was_ready:
            self._complaint = (self._complaint + data)[-_MAX_COMPLAINT:]

    def _exited(self, failure: Failure) -> None:
        self._is_over = True
        self._stream.abortConnection()
        lines = self._complaint.decode("utf-8", "replace").strip().splitlines()
        complaint = lines[-1] if lines and not self._was_ready else ""
        self._owner.ended(self._fault or complaint or _how_it_ended(failure))


class _Process(ProcessProtocol):
    def __init__(self, worker: WorkerProcess) -> None:
        self._worker = worker

    def childDataReceived(self, childFD: int, data: bytes) -> None:
        self._worker._printed(data)

    def processEnded(self, reason: Failure) -> None:
        self._worker._exited(reason)


class _Stream(StreamProtocol):
    transport: ITransport

    def __init__(self, worker: WorkerProcess) -> None:
        self._worker = worker
        self._frames = FrameReader()

    def dataReceived(self, data: bytes) -> None:
        try:
            for message, body in self._frames.feed(data):
                self._worker._received(message, body)
        except BadFrame as error:
            self._worker.kill(f"it sent {error}")
            self.transport.loseConnection()


def _how_it_ended(failure: Failure) -> str:
    error = failure.value
    if isinstance(error, ProcessTerminated) and error.signal is not None:
        return f"signal {error.signal}"
    return f"exit status {getattr(error, 'exitCode', None)}"


def _environment() -> dict[str, str]:
    """Nothing but where Python finds what this process finds, and that libraries start no thread:
    the sandbox refuses them.
    """
    folders = dict.fromkeys(os.path.abspath(folder) for folder in sys.path)
    threads = dict.fromkeys(_ONE_THREAD, "1")
    return {"PYTHONPATH": os.pathsep.join(folders), "PYTHONDONTWRITEBYTECODE": "1", **threads}
