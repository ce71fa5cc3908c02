"""A real ``twistd`` in a process of its own. Nothing waits by sleeping: what is waited for is a
line of the log, or the end of the process.
"""

from __future__ import annotations

import atexit
import json
import os
import queue
import re
import select
import shutil
import signal
import ssl
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SkipTest, SynchronousTestCase

CHECKOUT = Path(__file__).resolve().parent.parent
PATIENCE = 60  # seconds: far more than anything here takes; a daemon that hangs fails its test
READY = re.compile(r" is ready: open (\S+)$")
_CA = re.compile(r"The CA certificate to trust is (.+) \(SHA-256 ([0-9A-F:]{95})\)$")
_LISTENING = re.compile(r"Listening on (\S+) \((\S+)\)$")
_TOKEN = re.compile(r"The token is in (.+)$")
_INHERITED = ("PATH", "TMPDIR", "TEMP", "SYSTEMROOT", "COVERAGE_PROCESS_START", "LD_LIBRARY_PATH")


def environment(home: Path, more: Mapping[str, str] | None = None) -> dict[str, str]:
    """An environment without the developer's own settings."""
    inherited = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    # So that twistd finds the checkout if imgd is not installed.
    path = os.pathsep.join(filter(None, [str(CHECKOUT), os.environ.get("PYTHONPATH")]))
    return {**inherited, "HOME": str(home), "LANG": "C.UTF-8", "PYTHONPATH": path, **(more or {})}


def twistd() -> str:
    """The twistd beside the interpreter that runs the tests."""
    program = shutil.which("twistd", path=str(Path(sys.executable).parent))
    program = program or shutil.which("twistd")
    if program is None:
        raise SkipTest("there is no twistd beside this Python, nor on the PATH")
    return program


class Daemon:
    """imgd under ``twistd -n``, on free ports, with its state in ``folder/state``; it is started in
    ``cwd``, or in ``folder``.

    The constructor returns once the log says that imgd is ready; ``lines`` is the log so far.
    ``program`` is run in place of the twistd beside this interpreter.
    """

    def __init__(
        self,
        folder: Path,
        *options: str,
        env: Mapping[str, str] | None = None,
        port: Sequence[str] = ("--port", "0"),
        cwd: Path | None = None,
        program: Sequence[str] = (),
    ) -> None:
        for made in (folder, cwd or folder):
            made.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.lines: list[str] = []
        self._queue: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        command = [*(program or [twistd()]), "-n", "--pidfile=", "imgd", *port]
        self._process = subprocess.Popen(
            [*command, "--state-dir", str(folder / "state"), *options],
            cwd=cwd or folder,
            env=environment(folder, env),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        try:
            self.wait_for(READY.pattern)
        except BaseException:
            self.kill()
            raise

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as stream:
            for line in stream:
                self._queue.put(line.decode("utf-8", "backslashreplace").removesuffix("\n"))
        self._queue.put(None)

    def wait_for(self, pattern: str) -> str:
        """The next line of the log that matches; AssertionError if the daemon ends before it."""
        while True:
            line = self._queue.get(timeout=PATIENCE)
            if line is None:
                raise AssertionError("twistd ended first:\n" + "\n".join(self.lines))
            self.lines.append(line)
            if re.search(pattern, line):
                return line

    def _matches(self, pattern: re.Pattern[str]) -> list[re.Match[str]]:
        return [match for line in self.lines if (match := pattern.search(line))]

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def url(self) -> str:
        """The main URL, with a slash at the end."""
        return self._matches(READY)[0][1]

    @property
    def port(self) -> int:
        """The number of the main port."""
        return port_of(self.url)

    @property
    def listening(self) -> list[tuple[str, str]]:
        """The URL and the address of each listener."""
        return [(match[1], match[2]) for match in self._matches(_LISTENING)]

    @property
    def http_url(self) -> str:
        """The URL of the plain HTTP listener."""
        return next(url for url, _ in self.listening if url.startswith("http:"))

    @property
    def ca(self) -> Path:
        """The file of the CA certificate."""
        return Path(self._matches(_CA)[0][1])

    @property
    def token(self) -> str:
        """The control token, out of the file that the log names."""
        return Path(self._matches(_TOKEN)[0][1]).read_text("ascii").strip()

    def tls(self) -> ssl.SSLContext:
        """Python's strictest context for clients; it trusts the CA of this daemon alone."""
        context = ssl.create_default_context(cafile=str(self.ca))
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        return context

    def signal(self, number: int) -> None:
        self._process.send_signal(number)

    def kill(self) -> None:
        """End it as ``kill -9`` does."""
        self._process.kill()
        self._end()

    def stop(self) -> int:
        """End it as a service manager does, and return its exit status."""
        if self._process.poll() is None:
            self._process.terminate()
        return self._end()

    def _end(self) -> int:
        try:
            return self._process.wait(PATIENCE)
        finally:
            self._process.kill()
            self._reader.join(PATIENCE)
            while not self._queue.empty():
                if (line := self._queue.get()) is not None:
                    self.lines.append(line)


def run(
    folder: Path,
    *arguments: str,
    env: Mapping[str, str] | None = None,
    patience: float = PATIENCE,
) -> subprocess.CompletedProcess[str]:
    """Run ``twistd`` to its end: for a start that fails, or ``--help``."""
    return subprocess.run(
        [twistd(), *arguments],
        cwd=folder,
        env=environment(folder, env),
        capture_output=True,
        text=True,
        timeout=patience,
        check=False,
    )


class Background:
    """imgd daemonised: ``twistd --pidfile --logfile imgd``, which returns once imgd serves.

    The daemon inherits one end of a pipe: the other reads end of file when the daemon has ended.
    """

    def __init__(self, folder: Path, *options: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.pidfile, self.logfile = folder / "imgd.pid", folder / "imgd.log"
        self._alive, inherited = os.pipe()
        files = ["--pidfile", str(self.pidfile), "--logfile", str(self.logfile)]
        settings = ["--port", "0", "--state-dir", str(folder / "state"), *options]
        try:
            self.start = subprocess.run(
                [twistd(), *files, "imgd", *settings],
                cwd=folder,
                env=environment(folder),
                pass_fds=(inherited,),
                capture_output=True,
                text=True,
                timeout=PATIENCE,
                check=False,
            )
        finally:
            os.close(inherited)

    @property
    def pid(self) -> int:
        return int(self.pidfile.read_text("ascii"))

    def log(self) -> list[str]:
        return self.logfile.read_text("utf-8").splitlines()

    @property
    def url(self) -> str:
        return next(match[1] for line in self.log() if (match := READY.search(line)))

    def wait_for_end(self) -> bool:
        """Whether the daemon ends within ``PATIENCE``."""
        readable, _, _ = select.select([self._alive], [], [], PATIENCE)
        return bool(readable) and os.read(self._alive, 1) == b""

    def close(self) -> None:
        if self.pidfile.exists():
            os.kill(self.pid, signal.SIGKILL)
        os.close(self._alive)


def curl(*arguments: str, data: bytes | None = None) -> bytes:
    """The output of curl with these arguments; SkipTest if there is no curl."""
    return curl_process(*arguments, data=data, check=True).stdout


def curl_process(
    *arguments: str, data: bytes | None = None, check: bool = False
) -> subprocess.CompletedProcess[bytes]:
    if shutil.which("curl") is None:
        raise SkipTest("there is no curl on this machine")
    command = ["curl", "--silent", "--show-error", "--max-time", str(PATIENCE), *arguments]
    done = subprocess.run(command, capture_output=True, input=data or b"", check=False)
    if check and done.returncode:
        raise AssertionError(f"{command} failed: {done.stderr.decode()}")
    return done


def curl_json(*arguments: str) -> Any:
    return json.loads(curl(*arguments))


def port_of(url: str) -> int:
    return int(url.rstrip("/").rpartition(":")[2])


@cache
def shared_daemon(folder: str, *options: str) -> Daemon:
    """A daemon for all tests of this process that ask for it; it runs to the end of the process.

    ``folder`` names its folder in trial's temporary one, and belongs to one set of options. A test
    may add files to ``output``, and changes nothing that others see; one that waits for a line of
    the log starts its own. (trial calls no setUpClass.)
    """
    daemon = Daemon(Path(folder).resolve(), *options)
    atexit.register(daemon.stop)
    return daemon


class DaemonCase(SynchronousTestCase):
    """Starts daemons in a temporary folder, and stops them at the end of the test."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).resolve()
        self.folder.mkdir(parents=True)

    def daemon(self, *options: str, **more: Any) -> Daemon:
        daemon = Daemon(self.folder, *options, **more)
        self.addCleanup(daemon.stop)
        return daemon

    def get(self, daemon: Daemon, path: str, **headers: str) -> bytes:
        """The body of an answer over verified HTTPS."""
        request = urllib.request.Request(daemon.url + path.lstrip("/"), headers=headers)
        with urllib.request.urlopen(request, timeout=PATIENCE, context=daemon.tls()) as answer:
            body: bytes = answer.read()
        return body
