"""A start that fails: in the foreground, in the background, and because of twistd's own files."""

from __future__ import annotations

import io
import os
import socket
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from imgd.errors import NotFound, StartError, Unavailable
from imgd.host.start_failures import one_line_excepthook, problems_of_twistd
from tests.daemons import PATIENCE, Background, DaemonCase, environment, twistd
from tests.unprivileged import unprivileged


def unexpected(*_: object) -> NoReturn:
    raise AssertionError("the hook before was called")


class HookTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.err = io.StringIO()
        self.patch(sys, "stderr", self.err)

    def test_start_error(self) -> None:
        """An uncaught StartError is one printable line on stderr."""
        error = StartError("Port 1 is taken\nby \x1b[31manother")
        one_line_excepthook(unexpected)(StartError, error, None)
        self.assertEqual(self.err.getvalue(), "imgd: Port 1 is taken\\nby \\x1b[31manother\n")

    def test_terminal(self) -> None:
        """The line is told elsewhere, too, if standard error is the log."""
        terminal = io.StringIO()
        one_line_excepthook(unexpected, terminal.write)(StartError, StartError("Taken"), None)
        self.assertEqual((self.err.getvalue(), terminal.getvalue()), ("imgd: Taken\n",) * 2)

    def test_system_errors(self) -> None:
        """An error of the system, a machine that cannot, and Ctrl-C, are a line each."""
        for error, line in (
            (
                PermissionError(13, "Permission denied", "/a/b"),
                "Cannot start: /a/b: Permission denied.",
            ),
            (OSError(28, "No space left on device"), "Cannot start: No space left on device."),
            (Unavailable("The disk is full."), "The disk is full."),
            (KeyboardInterrupt(), "interrupted before it served."),
        ):
            one_line_excepthook(unexpected)(type(error), error, None)
            self.assertEqual(self.err.getvalue().splitlines()[-1], f"imgd: {line}")

    def test_others(self) -> None:
        """Other exceptions go to the previous hook."""
        errors: list[BaseException] = []

        def previous(
            _: type[BaseException], error: BaseException, __: TracebackType | None
        ) -> None:
            errors.append(error)

        for error in (NotFound(), OSError("odd")):
            one_line_excepthook(previous)(type(error), error, None)
            self.assertEqual((errors.pop(), self.err.getvalue()), (error, ""))


class BackgroundTests(DaemonCase):
    """What the terminal shows of a start in the background: the sentence, whole and alone."""

    def start(self, *options: str) -> Background:
        if not hasattr(os, "fork"):
            raise SkipTest("twistd daemonises on POSIX alone")
        daemon = Background(self.folder, *options)
        self.addCleanup(daemon.close)
        return daemon

    def test_long_sentence(self) -> None:
        """A sentence of more than 100 bytes, with whatever a path holds, is shown whole."""
        (self.folder / ("long " * 40 + "\n\xfc")).mkdir()
        state = self.folder / ("long " * 40 + "\n\xfc") / "state"
        state.mkdir()
        (state / "token").write_text("short")
        os.chmod(state / "token", 0o600)
        daemon = self.start("--state-dir", str(state))
        self.assertEqual(daemon.start.returncode, 1)
        shown = str(state).replace("\n", "\\n")
        self.assertEqual(
            daemon.start.stderr,
            f"imgd: The token {shown}/token is empty or malformed: delete it, so that a new one is "
            "made.\n",
        )
        self.assertTrue(daemon.wait_for_end())
        self.assertIn("is empty or malformed", daemon.log()[-1])
        self.assertFalse(daemon.pidfile.exists())

    def test_port_in_use(self) -> None:
        """Before the daemon is forked or after it: the same line."""
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
            daemon = self.start("--port", str(port))
        self.assertEqual(
            (daemon.start.returncode, daemon.start.stderr),
            (
                1,
                f"imgd: Cannot listen on port {port} of 127.0.0.1: it is in use: stop what holds "
                "it, or choose another port.\n",
            ),
        )

    def test_success(self) -> None:
        """If it succeeds, nothing is shown, and nobody is kept waiting at the terminal's end."""
        daemon = self.start()
        self.assertEqual((daemon.start.returncode, daemon.start.stderr), (0, ""))


class UnwritableTests(DaemonCase):
    """Folders that this user may not write, in the foreground and in the background."""

    def setUp(self) -> None:
        super().setUp()
        self.sealed = self.folder / "sealed"
        self.sealed.mkdir()
        os.chmod(self.sealed, 0o555)
        self.addCleanup(os.chmod, self.sealed, 0o755)

    def refused(self, *words: str) -> list[str]:
        """The lines of standard error, or of the log if that is standard output."""
        done = subprocess.run(
            [*unprivileged(), sys.executable, twistd(), *words],
            cwd=self.sealed,
            env=environment(self.folder),
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertNotIn("Traceback", done.stdout + done.stderr)
        lines = [line.rpartition("[stderr#error] ")[2] for line in done.stdout.splitlines()]
        return done.stderr.splitlines() or lines[-1:]

    def test_document_root(self) -> None:
        """A default document root that cannot be made is named, with what to do."""
        state = str(self.folder / "state")
        said = self.refused("-n", "--pidfile=", "imgd", "--port", "0", "--state-dir", state)
        root = self.sealed / "output"
        self.assertEqual(
            said,
            [
                f"imgd: Cannot make the document root {root}: Permission denied. Name another by "
                "--images-dir."
            ],
        )

    def test_files_of_twistd(self) -> None:
        """Its pidfile and its log are named by their options before anything is begun."""
        problems = [
            f"  --pidfile: '{self.sealed}/twistd.pid' cannot be written; name another, or none by "
            "--pidfile=",
            f"  --logfile: '{self.sealed}/twistd.log' cannot be written; name another",
        ]
        self.assertEqual(self.refused("imgd")[1:], problems)
        self.assertEqual(self.refused("-n", "imgd")[1:], problems[:1])

    def test_state_folder(self) -> None:
        """A state folder that cannot be made is named."""
        words = ("-n", "--pidfile=", "imgd", "--port", "0", "--state-dir", "state")
        self.assertEqual(
            self.refused(*words),
            [f"imgd: Cannot make the state folder {self.sealed}/state: Permission denied."],
        )


class TwistdTests(SynchronousTestCase):
    def test_problems(self) -> None:
        """Which files twistd writes, by its options, and what is wrong with them."""
        here = Path(self.mktemp()).absolute()
        here.mkdir()
        options: dict[str, Any] = {"chroot": None, "pidfile": "", "logfile": None}
        for changes, said in (
            ({}, []),
            ({"nodaemon": True, "pidfile": f"{here}/a.pid"}, []),
            ({"pidfile": f"{here}/gone/a.pid"}, ["lies in a folder that does not exist; name an"]),
            ({"pidfile": str(here)}, ["is a folder, not a file; name another, or none"]),
            ({"logfile": f"{here}/gone/log"}, ["lies in a folder that does not exist; name"]),
            ({"logfile": "-"}, []),
            ({"logfile": f"{here}/gone/log", "syslog": True}, []),
            ({"logfile": f"{here}/gone/log", "chroot": "/"}, []),
        ):
            problems = list(problems_of_twistd({**options, **changes}))
            self.assertEqual(len(problems), len(said), changes)
            for problem, part in zip(problems, said, strict=True):
                self.assertIn(part, problem)
