"""A real daemon on a machine that fails: strace makes its system calls fail, or wait.

Skipped where strace is not there or may not trace.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import threading
import time
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SkipTest

from tests import samples
from tests.daemons import PATIENCE, Daemon, DaemonCase, run

STATS = ("stat", "lstat", "newfstatat", "statx")  # what systems call it
SIZE = 20_000_000  # bytes: more than the sockets between them hold


class Injection:
    """strace, attached to a daemon and all its threads until it is ended."""

    def __init__(self, daemon: Daemon, *rules: str, path: str | None = None) -> None:
        if shutil.which("strace") is None:
            raise SkipTest("there is no strace on this machine")
        calls = ",".join(sorted({rule.split(":")[0] for rule in rules}))
        command = ["strace", "-f", "-o", "/dev/null", "-p", str(daemon.pid), "-e", f"trace={calls}"]
        for rule in rules:
            command += ["-e", f"inject={rule}"]
        if path is not None:
            command += ["-P", path]
        self._process = subprocess.Popen(command, stderr=subprocess.PIPE)
        assert self._process.stderr is not None
        line = self._process.stderr.readline()
        if b"attached" not in line:
            self.end()
            raise SkipTest(f"strace may not trace: {line.decode()}")

    def end(self) -> None:
        """Everything works again."""
        self._process.terminate()
        self._process.wait(PATIENCE)
        assert self._process.stderr is not None
        self._process.stderr.close()


class FaultCase(DaemonCase):
    def start(self, *options: str, **more: Any) -> Daemon:
        self.root = self.folder / "root"
        samples.frames(self.root / "frames")
        (self.root / "big.bin").write_bytes(bytes(SIZE))
        (self.root / "a.txt").write_bytes(b"a" * 300_000)
        daemon = self.daemon("--no-tls", "-d", str(self.root), *options, **more)
        self.assertEqual(self.ask(daemon, "/health")[1]["status"], "healthy")
        return daemon

    def inject(self, daemon: Daemon, *rules: str, path: str | None = None) -> Injection:
        injection = Injection(daemon, *rules, path=path)
        self.addCleanup(injection.end)
        return injection

    def ask(self, daemon: Daemon, path: str, body: object = None) -> tuple[int, Any]:
        """Status and body, JSON where it is."""
        client = http.client.HTTPConnection("127.0.0.1", daemon.port, timeout=PATIENCE)
        sent = None if body is None else json.dumps(body)
        headers = {"Content-Type": "application/json"} if sent else {}
        try:
            client.request("POST" if sent else "GET", path, sent, headers)
            answer = client.getresponse()
            data = answer.read()
            if answer.status == 503:
                self.assertIsNotNone(answer.headers["Retry-After"])
            is_json = "/json" in (answer.headers["Content-Type"] or "")
            return answer.status, json.loads(data) if is_json else data
        finally:
            client.close()

    def health(self, daemon: Daemon) -> list[str]:
        """The reasons why not all is well."""
        status, body = self.ask(daemon, "/health")
        self.assertEqual(status, 200)
        self.assertEqual(body["status"], "degraded" if "reasons" in body else "healthy")
        reasons: list[str] = body.get("reasons", [])
        return reasons

    def until_healthy(self, daemon: Daemon) -> None:
        """Recovery needs no restart: the log says so, and nothing else meanwhile."""
        daemon.wait_for("Recovered")
        self.assertEqual(self.health(daemon), [])
        self.assert_logged_once(daemon)
        self.assertEqual(len([line for line in daemon.lines if "Recovered" in line]), 1)

    def assert_logged_once(self, daemon: Daemon) -> None:
        """However often the fault was met, the log has one line of it."""
        daemon.stop()
        self.assertEqual(len([line for line in daemon.lines if "Degraded" in line]), 1)
        self.assertFalse([line for line in daemon.lines if "Traceback" in line])


class StraceTests(FaultCase):
    def test_no_descriptor_for_a_file(self) -> None:
        """If no file can be opened it is 503 and not 404, logged once; then all is well again."""
        daemon = self.start()
        injection = self.inject(daemon, "openat:error=EMFILE")
        for _ in range(20):
            self.assertEqual(self.ask(daemon, "/a.txt")[0], 503)
            self.assertEqual(self.ask(daemon, "/?format=json")[0], 503)
        self.assertEqual(self.health(daemon), ["There is no file descriptor left."])
        injection.end()
        self.assertEqual(self.ask(daemon, "/a.txt")[0], 200)
        self.assert_logged_once(daemon)

    def test_no_descriptor_for_a_connection(self) -> None:
        """If no connection can be accepted that is logged once, and those after it get in."""
        daemon = self.start()
        injection = self.inject(daemon, "accept4:error=EMFILE:when=1..200", "accept:error=EMFILE")
        for _ in range(20):
            with socket.create_connection(("127.0.0.1", daemon.port), PATIENCE) as refused:
                refused.settimeout(0.1)
                with contextlib.suppress(OSError):
                    refused.recv(1)
        injection.end()
        self.assertEqual(self.health(daemon), ["There is no file descriptor left."])
        self.assert_logged_once(daemon)

    def test_read_error(self) -> None:
        """A file that cannot be read to its end ends the connection, so that nobody takes it for
        whole; logged once.
        """
        daemon = self.start()
        injection = self.inject(daemon, "sendfile:error=EIO:when=3+", "pread64:error=EIO:when=3+")
        for _ in range(10):
            with self.assertRaises((http.client.IncompleteRead, ConnectionError)):
                self.ask(daemon, "/big.bin")
        self.assertEqual(self.health(daemon), ["The disk failed."])
        injection.end()
        self.assertEqual(self.ask(daemon, "/big.bin")[0], 200)
        self.until_healthy(daemon)

    def test_no_facts_of_an_open_file(self) -> None:
        """Where the disk does not say what was opened it is 503, for a new file and for a known
        one, and no descriptor stays open.
        """
        daemon = self.start()
        path = self.root / "small.txt"
        path.write_bytes(b"small")
        for rule in ("newfstatat:error=EIO:when=3+", "newfstatat:error=ESTALE:when=2+2"):
            injection = self.inject(daemon, rule, path=str(path))
            for _ in range(10):
                self.assertEqual(self.ask(daemon, "/small.txt")[0], 503, rule)
            injection.end()
            self.assertEqual(self.ask(daemon, "/small.txt"), (200, b"small"))
            self.assertEqual(self.ask(daemon, "/health")[0], 200)  # in a later turn of the reactor
            descriptors = Path(f"/proc/{daemon.pid}/fd")
            self.assertNotIn(path, [descriptor.resolve() for descriptor in descriptors.iterdir()])

    def test_full_disk(self) -> None:
        """On a full disk loads fail, serving goes on, and what was loaded stays; then all is well
        again, without anybody loading anything.
        """
        daemon = self.start()
        frames = {"directory": str(self.root / "frames")}
        self.assertEqual(self.ask(daemon, "/load-directory", frames)[0], 200)
        injection = self.inject(daemon, "pwrite64:error=ENOSPC", "fsync:error=ENOSPC")
        for _ in range(5):
            status, body = self.ask(daemon, "/load-directory", {**frames, "name": "more"})
            self.assertEqual((status, "disk" in body["detail"]), (503, True), body)
        self.assertEqual(self.ask(daemon, "/a.txt")[0], 200)
        self.assertEqual(len(self.health(daemon)), 1)
        names = [c["name"] for c in self.ask(daemon, "/collections")[1]["collections"]]
        self.assertEqual(names, ["current"])
        injection.end()
        self.until_healthy(daemon)

    def test_directory_that_hangs(self) -> None:
        """A directory that does not answer is a 503 when its time is over; files, other directories
        and health are answered all the while.
        """
        daemon = self.start("--disk-timeout", "1")
        frames = self.root / "frames"
        other = samples.frames(self.folder / "other")
        hangs = self.inject(daemon, "getdents64:delay_enter=20s", path=str(frames))
        answers: list[tuple[int, Any]] = []
        loads = [
            threading.Thread(
                target=lambda: answers.append(
                    self.ask(daemon, "/load-directory", {"directory": str(frames)})
                )
            )
            for _ in range(4)
        ]
        for thread in loads:
            thread.start()
        for thread in loads:
            thread.join(PATIENCE)
        self.assertEqual([status for status, _ in answers], [503] * 4)
        self.assertEqual(self.ask(daemon, "/a.txt")[0], 200)
        self.assertEqual(self.ask(daemon, "/load-directory", {"directory": str(other)})[0], 200)
        self.assertEqual(self.ask(daemon, "/load-directory", {"directory": str(frames)})[0], 503)
        daemon.wait_for("Degraded")
        self.assertEqual(self.health(daemon), ["A directory does not answer."])
        threads = re.search(r"Threads:\s+(\d+)", Path(f"/proc/{daemon.pid}/status").read_text())
        assert threads is not None
        self.assertLess(int(threads[1]), 12)
        hangs.end()
        self.until_healthy(daemon)

    def test_collection_that_hangs(self) -> None:
        """A collection whose directory does not even say whether it is there counts as away; the
        status and the other collections are answered.
        """
        daemon = self.start()
        other = samples.frames(self.folder / "other")
        for name, directory in (("current", self.root / "frames"), ("other", other)):
            spec = {"directory": str(directory), "name": name}
            self.assertEqual(self.ask(daemon, "/load-directory", spec)[0], 200)
        hangs = self.inject(
            daemon, *(f"?{call}:delay_enter=30s" for call in STATS), path=str(self.root / "frames")
        )
        for path in ("/", "/collections", "/"):
            available = {
                c["name"]: c["available"] for c in self.ask(daemon, path)[1]["collections"]
            }
            self.assertEqual(available, {"current": False, "other": True})
        self.assertEqual(self.ask(daemon, "/")[1]["image_count"], 13)
        self.assertEqual(self.ask(daemon, "/collections/other/images")[0], 200)
        hangs.end()

    def test_file_that_hangs(self) -> None:
        """While the disk of a file hangs that must be read for what it is, every other file is
        answered, out of the same collection as well; and then so is it.
        """
        daemon = self.start("--disk-timeout", "2")
        path = self.root / "frames" / "IM0000"
        path.write_bytes(bytes(128) + b"DICM" + bytes(200))
        load = {"directory": str(self.root / "frames")}
        self.assertEqual(self.ask(daemon, "/load-directory", load)[1]["image_count"], 14)
        hangs = self.inject(daemon, "pread64:delay_enter=20s", path=str(path))
        answers: list[int] = []
        thread = threading.Thread(
            target=lambda: answers.append(self.ask(daemon, "/images/IM0000")[0])
        )
        thread.start()
        count = 0
        while thread.is_alive():
            self.assertEqual(self.ask(daemon, "/images/frame_0000.jpg")[0], 200)
            self.assertEqual(self.ask(daemon, "/a.txt")[0], 200)
            count += 1
        thread.join(PATIENCE)
        self.assertEqual(answers, [503])
        self.assertGreater(count, 2)
        hangs.end()
        self.until_healthy(daemon)

    def test_neighbour_of_one_that_hangs(self) -> None:
        """While all that asks for one directory hangs, another collection is loaded, listed and
        read, every time, and so is a folder beside it.
        """
        daemon = self.start("--disk-timeout", "2")
        frames, other = self.root / "frames", samples.frames(self.folder / "other")
        samples.frames(self.root / "beside")
        for name, directory in (("current", frames), ("other", other)):
            spec = {"directory": str(directory), "name": name}
            self.assertEqual(self.ask(daemon, "/load-directory", spec)[0], 200)
        calls = (*STATS, "getdents64", "openat")
        rules = [f"?{call}:delay_enter=20s" for call in calls]
        hangs = self.inject(daemon, *rules, path=str(frames))
        hanging = {"directory": str(frames)}
        requests: list[tuple[str, object]] = [
            *(("/load-directory", hanging), ("/collections/current/images", None)),
            *(("/images/?format=json", None), ("/frames/?format=json", None)),
        ]
        answers: list[int] = []
        threads = [
            threading.Thread(target=lambda path=path, body=body: answers.append(
                self.ask(daemon, path, body)[0]
            ))
            for path, body in requests * 3
        ]  # fmt: skip
        for thread in threads:
            thread.start()
        healthy = {"directory": str(other), "name": "other"}
        while any(thread.is_alive() for thread in threads):
            self.assertEqual(self.ask(daemon, "/load-directory", healthy)[0], 200)
            self.assertEqual(self.ask(daemon, "/collections/other/images")[0], 200)
            self.assertEqual(self.ask(daemon, "/collections/other/images?format=ndjson")[0], 200)
            self.assertEqual(self.ask(daemon, "/collections/other/files/?format=json")[0], 200)
            self.assertEqual(self.ask(daemon, "/beside/?format=json")[0], 200)
        for thread in threads:
            thread.join(PATIENCE)
        self.assertEqual(answers, [503] * len(threads))
        hangs.end()
        self.until_healthy(daemon)


class DefaultTimeoutTests(FaultCase):
    def test_killed(self) -> None:
        """The default timeout that was acknowledged is there after a kill, for loads too, until
        imgd is started with another one.
        """
        daemon = self.start()
        self.assertEqual(self.ask(daemon, "/timeout/7", {})[0], 200)
        daemon.kill()
        for options, minutes in (((), 7), (("--timeout", "60"), 60), ((), 30)):
            again = self.daemon("--no-tls", "-d", str(self.root), *options)
            self.assertEqual(self.ask(again, "/timeout")[1]["timeout_minutes"], minutes)
            spec = {"directory": str(self.root / "frames")}
            loaded = self.ask(again, "/load-directory", spec)[1]["collection"]
            self.assertIsNotNone(loaded["expires_at"])
            self.assertEqual(self.ask(again, "/")[1]["timeout_minutes"], minutes)
            again.kill()


class ClockTests(FaultCase):
    def test_jumps(self) -> None:
        """Deadlines run on when the wall clock jumps by a day, back or forward; nobody who is in
        time is cut off, and who is not, is.
        """
        libraries = list(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
        if not libraries:
            raise SkipTest("there is no libfaketime on this machine")
        clock_file = self.folder / "clock"
        self.folder.mkdir(exist_ok=True)
        clock_file.write_text("+0")
        env = {
            "LD_PRELOAD": str(libraries[0]),
            "FAKETIME_TIMESTAMP_FILE": str(clock_file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }
        daemon = self.start("--header-timeout", "2", env=env)
        for jump in ("-86400", "+86400", "+0"):
            with socket.create_connection(("127.0.0.1", daemon.port), PATIENCE) as slow:
                slow.sendall(b"GET /a.txt HTTP/1.1\r\n")
                fresh = clock_file.with_suffix(".new")
                fresh.write_text(jump)
                fresh.rename(clock_file)
                self.assertEqual(self.ask(daemon, "/a.txt")[0], 200)
                answer = slow.recv(65536)
                self.assertIn(b"408 Request Timeout", answer)
            date = re.search(rb"\r\nDate: ([^\r]+)", answer)
            assert date is not None
            ahead = parsedate_to_datetime(date[1].decode("ascii")).timestamp() - time.time()
            self.assertLess(abs(ahead - int(jump)), PATIENCE)
        self.assertEqual(self.health(daemon), [])


class StateFolderTests(FaultCase):
    def test_deleted(self) -> None:
        """A state folder that is deleted under the daemon, or replaced, is found out without a
        load; loads, unloads, timers and revocations are 503, and what they would have changed
        stays; files are served on; and all is well again once the folder is back.
        """
        daemon = self.start()
        frames = {"directory": str(self.root / "frames")}
        self.assertEqual(self.ask(daemon, "/load-directory", frames)[0], 200)
        link = self.ask(daemon, "/links", {"path": "/a.txt"})[1]["url"]
        state, away = self.folder / "state", self.folder / "away"
        state.rename(away)
        daemon.wait_for(r"Degraded \(state\)")
        self.assert_refused(daemon, link)
        shutil.copytree(away, state)
        self.assert_refused(daemon, link)
        shutil.rmtree(state)
        self.assertFalse(state.exists())
        away.rename(state)
        daemon.wait_for(r"Recovered \(state\)")
        self.assertEqual(self.health(daemon), [])
        self.assertEqual(self.ask(daemon, "/unload", {})[0], 200)
        shutil.rmtree(state)
        daemon.wait_for(r"Degraded \(state\)")
        self.assert_refused(daemon, link, loaded=[])
        self.assertEqual(daemon.stop(), 0)
        self.assertFalse(state.exists())
        self.assertFalse([line for line in daemon.lines if "Traceback" in line])

    def assert_refused(self, daemon: Daemon, link: str, loaded: list[str] | None = None) -> None:
        loaded = ["current"] if loaded is None else loaded
        frames = {"directory": str(self.root / "frames")}
        changes: list[tuple[str, object]] = [("/load-directory", {**frames, "name": "more"})]
        changes += [("/unload", {})] if loaded else []
        changes += [("/timeout/5", {}), ("/links/revoke", {})]
        for path, order in changes:
            status, body = self.ask(daemon, path, order)
            self.assertEqual((status, "deleted or replaced" in body["detail"]), (503, True), body)
        self.assertEqual(len(self.health(daemon)), 1)
        names = [c["name"] for c in self.ask(daemon, "/collections")[1]["collections"]]
        self.assertEqual(names, loaded)
        self.assertEqual(self.ask(daemon, "/a.txt")[0], 200)
        self.assertEqual(self.ask(daemon, "/" + link.partition("://")[2].partition("/")[2])[0], 200)


class AuthorityTests(DaemonCase):
    def test_damaged(self) -> None:
        """A CA whose key is damaged degrades health, of a daemon that runs and of one that starts,
        while both serve with the certificate that clients trust; put back, all is well again.
        """
        key = self.folder / "state" / "ca.key"
        daemon = self.daemon()
        ca, whole = daemon.ca.read_bytes(), key.read_bytes()
        key.write_bytes(whole[:99])
        daemon.signal(signal.SIGHUP)  # looks at once; it would within a minute
        line = daemon.wait_for(r"Degraded \(certificates\)")
        self.assertIn("move ca.pem and ca.key of the state folder away", line)
        self.assertEqual(self.status(daemon), "degraded")
        daemon.stop()
        again = self.daemon()
        self.assertEqual(self.status(again), "degraded")
        self.assertEqual(self.get(again, "/-/ca.pem"), ca)
        key.write_bytes(whole)
        again.signal(signal.SIGHUP)
        again.wait_for(r"Recovered \(certificates\)")
        self.assertEqual(self.status(again), "healthy")
        self.assertEqual(daemon.ca.read_bytes(), ca)

    def status(self, daemon: Daemon) -> str:
        status: str = json.loads(self.get(daemon, "/health"))["status"]
        return status

    def test_refused_name(self) -> None:
        """A start with a name that the CA does not permit ends with status 1 and one line."""
        self.daemon().stop()
        options = ("--port", "0", "--state-dir", str(self.folder / "state"))
        done = run(self.folder, "-n", "--pidfile=", "imgd", *options, "--tls-name", "a.example")
        self.assertEqual(done.returncode, 1)
        output = done.stdout + done.stderr
        self.assertIn(
            "does not permit a.example (--tls-name, --host): leave it out, or move", output
        )
        self.assertNotIn("Traceback", output)


class FullLogTests(FaultCase):
    def test_access_log(self) -> None:
        """An access log on a full disk loses lines and no request."""
        if not os.path.exists("/dev/full"):
            raise SkipTest("there is no /dev/full on this system")
        link = self.folder / "access.log"
        link.symlink_to("/dev/full")
        daemon = self.daemon("--no-tls", "--access-log", str(link))
        for _ in range(50):
            self.assertEqual(self.ask(daemon, "/health")[0], 200)
        daemon.wait_for("Degraded")
        self.assertEqual(self.health(daemon), ["The access log cannot be written."])
        link.unlink()
        daemon.signal(1)
        self.ask(daemon, "/health")  # is written, and so ends it
        daemon.wait_for("Recovered")
        self.assertEqual(self.health(daemon), [])
        daemon.stop()
        lines = [line for line in daemon.lines if "access log" in line.lower()]
        self.assertLessEqual(len(lines), 4, lines)
