"""What a worker may do once it is in its sandbox, tried in processes of their own."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from typing import Any

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from imgd.pictures.worker import sandbox
from tests.daemons import CHECKOUT, PATIENCE

# Each is tried in the sandbox; the program prints what became of it.
_TRY = """
import ctypes, io, json, mmap, os, resource, signal, socket, sys, threading
from imgd.pictures.worker import sandbox
libc = ctypes.CDLL(None, use_errno=True)
here, path = os.open(sys.argv[1], os.O_RDONLY), sys.argv[1]
def call(name, *args):
    result = getattr(libc, name)(*args)
    if result == -1:
        raise OSError(ctypes.get_errno(), name)
    return result
lacks = sandbox.enter()
def outcome(text):
    try:
        return "made: %r" % (eval(text),)
    except (OSError, RuntimeError, MemoryError) as error:
        return "refused: %s %s" % (type(error).__name__, getattr(error, "errno", ""))
print(json.dumps({"lacks": lacks, **{text: outcome(text) for text in json.loads(sys.argv[2])}}))
"""


class SandboxCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.path = os.path.abspath(self.mktemp())
        with open(self.path, "w") as file:
            file.write("data")

    def outcomes(self, *expressions: str) -> dict[str, Any]:
        done = subprocess.run(
            [sys.executable, "-c", _TRY, self.path, json.dumps(expressions)],
            cwd=CHECKOUT,
            env={"PYTHONPATH": str(CHECKOUT)},
            capture_output=True,
            timeout=PATIENCE,
        )
        self.assertEqual(done.returncode, 0, done.stderr)
        outcomes: dict[str, Any] = json.loads(done.stdout)
        self.lacks = outcomes.pop("lacks")
        return outcomes


class RefusedTests(SandboxCase):
    def assert_refused(self, *expressions: str) -> None:
        outcomes = self.outcomes(*expressions)
        if self.lacks:
            raise SkipTest(f"this platform has no {self.lacks}")
        for expression, outcome in outcomes.items():
            self.assertEqual(outcome, "refused: PermissionError 1", expression)

    def test_files(self) -> None:
        """No file is opened, made, changed, or even looked at."""
        self.assert_refused(
            *("open(path)", "open(path, 'w')", "os.open('/', os.O_RDONLY)", "os.listdir('/')"),
            *("os.stat(path)", "os.unlink(path)", "os.rename(path, path)", "os.mkdir(path + '2')"),
            *("os.chmod(path, 0)", "os.symlink(path, path)", "os.truncate(path, 0)"),
            *("os.ftruncate(here, 0)", "os.memfd_create('x')", "os.chdir('/')", "os.pipe()"),
            *("call('mount', 0, 0, 0, 0, 0)", "call('open_by_handle_at', here, 0, 0)"),
        )
        with open(self.path) as file:
            self.assertEqual(file.read(), "data")

    def test_network(self) -> None:
        """No socket is made, bound, or connected."""
        self.assert_refused(
            *("socket.socket()", "socket.socket(socket.AF_UNIX)", "socket.socketpair()"),
            *("call('connect', 0, 0, 0)", "call('bind', 0, 0, 0)", "call('listen', 0, 1)"),
            "call('accept', 0, 0, 0)",
        )

    def test_processes(self) -> None:
        """No process is made, looked into, or ended; no other program is run."""
        self.assert_refused(
            *("os.fork()", "os.execv('/bin/true', ['true'])", "os.kill(os.getppid(), 0)"),
            *("os.kill(os.getpid(), signal.SIGTERM)", "call('ptrace', 0, 0, 0, 0)"),
            *("os.posix_spawn('/bin/true', ['true'], {})", "call('unshare', 0)", "os.setuid(0)"),
            *("call('process_vm_readv', 1, 0, 0, 0, 0, 0)", "os.nice(-5)", "os.setsid()"),
            *("call('prctl', 1, 0, 0, 0, 0)", "call('syscall', 425, 1, 0)"),
        )

    def test_code(self) -> None:
        """No memory is made executable, neither by itself nor later."""
        self.assert_refused(
            "mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_EXEC)",
            "call('mprotect', 0, 4096, 4)",
        )

    def test_x32(self) -> None:
        """A system call by its number in another ABI is refused, too."""
        if os.uname().machine != "x86_64":
            raise SkipTest("this machine has no x32")
        self.assert_refused("call('syscall', 0x40000002, path.encode(), 0)")

    def test_threads(self) -> None:
        """No thread is started."""
        outcomes = self.outcomes("threading.Thread(target=print).start()")
        if not self.lacks:
            self.assertEqual(list(outcomes.values()), ["refused: RuntimeError "])


class AllowedTests(SandboxCase):
    def test_files(self) -> None:
        """What is open can be read, in whatever way."""
        outcomes = self.outcomes(
            "os.read(here, 2)", "os.pread(here, 9, 1)", "os.lseek(here, 0, 2)", "os.readv(here, [])"
        )
        made = ["made: b'da'", "made: b'ata'", "made: 4", "made: 0"]
        self.assertEqual(list(outcomes.values()), made)


class LimitTests(SandboxCase):
    def test_memory(self) -> None:
        """More than its address space is a MemoryError, which is no crash."""
        outcomes = self.outcomes("bytes(1 << 30)", "len(bytes(1 << 28))")
        self.assertEqual(list(outcomes.values()), ["refused: MemoryError ", f"made: {1 << 28}"])

    def test_limits(self) -> None:
        """The limits of the system hold it, too, if there is no seccomp."""
        limits = (
            (resource.RLIMIT_AS, sandbox.MAX_MEMORY),
            (resource.RLIMIT_CORE, 0),
            (resource.RLIMIT_FSIZE, 0),
            (resource.RLIMIT_NOFILE, sandbox.MAX_DESCRIPTORS),
        )
        program = (
            "import resource; from imgd.pictures.worker import sandbox, seccomp\n"
            "seccomp.install = lambda: 'seccomp'\n"
            "assert sandbox.enter() == 'seccomp'\n"
            f"print([resource.getrlimit(limit) for limit in {[limit for limit, _ in limits]}])\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", program], cwd=CHECKOUT, capture_output=True, timeout=PATIENCE
        )
        self.assertEqual(eval(done.stdout), [(most, most) for _, most in limits], done.stderr)

    def test_memory_gives_way(self) -> None:
        """The system that runs out of memory ends a worker before the daemon."""
        if sys.platform != "linux":
            raise SkipTest("this system has no oom_score_adj")
        program = (
            "from imgd.pictures.worker import sandbox\n"
            "score = open('/proc/self/oom_score_adj')\n"
            "sandbox.enter()\n"
            "print(score.read())\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", program], cwd=CHECKOUT, capture_output=True, timeout=PATIENCE
        )
        self.assertEqual(done.stdout.strip(), b"500", done.stderr)
