"""One daemon per state folder, and how it is found."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import textwrap
from unittest import skipIf, skipUnless

from twisted.trial.unittest import SynchronousTestCase

from imgd.errors import StartError
from imgd.host import instance_lock
from imgd.host.instance_lock import InstanceLock, RunningDaemon

URLS = ["https://localhost:8888/", "http://localhost:8000/"]
HOLDER = textwrap.dedent(
    """
    import sys
    from imgd.host import instance_lock

    lock = instance_lock.acquire(sys.argv[1])
    lock.publish(["https://localhost:8888/"], None)
    print("held", flush=True)
    sys.stdin.read()
    lock.release()
    """
)


class LockTests(SynchronousTestCase):
    """A state folder."""

    def setUp(self) -> None:
        self.folder = self.mktemp()
        os.mkdir(self.folder)

    def lock(self) -> InstanceLock:
        lock = instance_lock.acquire(self.folder)
        self.addCleanup(lock.release)
        return lock

    @skipUnless(hasattr(os, "geteuid"), "POSIX owners")
    def test_folder_of_another_user(self) -> None:
        """A folder of another user is refused in one sentence, and nothing in it is touched."""
        try:
            other = os.geteuid() + 1
            os.chown(self.folder, other, -1)
        except PermissionError:
            self.skipTest("only root can give a folder to another user")
        with self.assertRaises(StartError) as caught:
            self.lock()
        self.assertIn(f"{self.folder} belongs to user {other}, and", caught.exception.detail)
        self.assertIn("--state-dir", caught.exception.detail)
        self.assertEqual(os.listdir(self.folder), [])
        os.chown(self.folder, os.geteuid(), -1)
        self.lock()

    def test_no_folder(self) -> None:
        """A folder that went away meanwhile is one sentence too."""
        os.rmdir(self.folder)
        with self.assertRaises(StartError) as caught:
            self.lock()
        self.assertIn("cannot be used: No such file", caught.exception.detail)

    def other_process(self) -> subprocess.Popen[bytes]:
        """A process that holds the folder until its stdin is closed."""
        process = subprocess.Popen(
            [sys.executable, "-c", HOLDER, self.folder],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        assert process.stdin is not None
        assert process.stdout is not None
        stdin, stdout = process.stdin, process.stdout

        def end() -> None:
            stdin.close()
            process.wait()
            stdout.close()

        self.addCleanup(end)
        self.assertEqual(stdout.readline().strip(), b"held")
        return process

    def running(self) -> RunningDaemon:
        daemon = instance_lock.find(self.folder)
        assert daemon is not None
        return daemon

    def test_nobody(self) -> None:
        """If no daemon ever ran, none is found, and looking leaves no trace."""
        self.assertIsNone(instance_lock.find(self.folder))
        self.assertEqual(os.listdir(self.folder), [])
        self.assertIsNone(instance_lock.find(os.path.join(self.folder, "missing")))

    def test_found(self) -> None:
        """A daemon that published its URLs is found, with what it published."""
        self.lock().publish(URLS, "/state/ca.pem")
        daemon = self.running()
        self.assertEqual((daemon.pid, daemon.urls, daemon.ca), (os.getpid(), URLS, "/state/ca.pem"))
        self.assertGreater(daemon.started_at, 0)

    def test_path_that_is_not_utf8(self) -> None:
        """The certificate's path comes back byte for byte."""
        ca = os.fsdecode(b"/caf\xe9/ca.pem")
        self.lock().publish(URLS, ca)
        self.assertEqual(self.running().ca, ca)

    def test_starting(self) -> None:
        """A daemon that holds the folder and has not published its URLs is not found yet."""
        self.lock()
        self.assertIsNone(instance_lock.find(self.folder))

    def test_released(self) -> None:
        """After a release nothing is found, and another may hold; releasing again is harmless."""
        first = self.lock()
        first.publish(URLS, None)
        first.release()
        self.assertIsNone(instance_lock.find(self.folder))
        second = self.lock()
        second.publish(URLS, None)
        first.release()
        self.assertIsNotNone(instance_lock.find(self.folder))

    def test_conflict(self) -> None:
        """A second daemon fails with who holds the folder, and what to do."""
        process = self.other_process()
        with self.assertRaises(StartError) as caught:
            instance_lock.acquire(self.folder)
        self.assertEqual(
            caught.exception.detail,
            f"Another imgd (pid {process.pid}, https://localhost:8888/) holds the state folder "
            f"{self.folder}; stop it, or give this one its own --state-dir.",
        )
        self.assertEqual(self.running().pid, process.pid)

    def test_conflict_while_starting(self) -> None:
        """A second daemon is refused also while the first has not published its URLs."""
        self.lock()
        with self.assertRaises(StartError) as caught:
            instance_lock.acquire(self.folder)
        self.assertIn("Another imgd holds the state folder", caught.exception.detail)

    @skipUnless(hasattr(signal, "SIGKILL"), "no SIGKILL here")
    def test_killed(self) -> None:
        """A daemon that was killed is not found, and does not stand in the next one's way."""
        process = self.other_process()
        process.kill()
        process.wait()
        self.assertIn("daemon.json", os.listdir(self.folder))
        self.assertIsNone(instance_lock.find(self.folder))
        self.lock()
        self.assertIsNone(instance_lock.find(self.folder))  # nor by what the old one published

    def test_malformed_file(self) -> None:
        """A daemon.json that makes no sense is no daemon, and no obstacle."""
        self.lock()
        for content in (b"", b"{", b"[]", b'{"pid": "x"}', b"\xff"):
            with open(os.path.join(self.folder, "daemon.json"), "wb") as file:
                file.write(content)
            self.assertIsNone(instance_lock.find(self.folder))

    @skipIf(os.name != "posix", "POSIX modes")
    def test_private(self) -> None:
        """What lies in the folder is for its owner alone."""
        self.lock().publish(URLS, None)
        for name in os.listdir(self.folder):
            mode = stat.S_IMODE(os.stat(os.path.join(self.folder, name)).st_mode)
            self.assertEqual(mode, 0o600, name)

    def test_unusable_folder(self) -> None:
        """A folder that cannot be used is one sentence."""
        file = self.mktemp()
        with open(file, "wb"):
            pass
        with self.assertRaises(StartError) as caught:
            instance_lock.acquire(file)
        self.assertIn(file, caught.exception.detail)
