"""``twistd imgd`` under a service manager, a shell and logrotate, and with wrong settings."""

from __future__ import annotations

import json
import os
import re
import signal
import socket

from twisted.trial.unittest import SkipTest

from tests import samples
from tests.daemons import (
    PATIENCE,
    Background,
    DaemonCase,
    curl,
    curl_json,
    environment,
    run,
    shared_daemon,
)

JSON = "Content-Type: application/json"
# A line of twistd's log: time, system, message.
LOG_LINE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d{4} \[[^\]]+\] \S.*")
ACCESS_LINE = re.compile(r'\S+ - \S+ \[[^\]]+\] "[^"]*" \d{3} (\d+|-) "[^"]*" "[^"]*"')


class ServiceTests(DaemonCase):
    """The daemon under a service manager, a shell and logrotate."""

    def background(self, *options: str) -> Background:
        if not hasattr(os, "fork"):
            raise SkipTest("twistd daemonises on POSIX alone")
        daemon = Background(self.folder, *options)
        self.addCleanup(daemon.close)
        return daemon

    def test_daemonised(self) -> None:
        """twistd returns when imgd serves; SIGTERM ends it and removes the pidfile."""
        daemon = self.background()
        self.assertEqual((daemon.start.returncode, daemon.start.stderr), (0, ""))
        ca = str(self.folder / "state" / "ca.pem")
        self.assertEqual(curl_json("--cacert", ca, f"{daemon.url}health")["status"], "healthy")
        os.kill(daemon.pid, signal.SIGTERM)
        self.assertTrue(daemon.wait_for_end())
        self.assertFalse(daemon.pidfile.exists())
        self.assertIn("Server Shut Down", daemon.log()[-1])
        self.assertFalse((self.folder / "state" / "daemon.json").exists())

    def test_daemonised_failure(self) -> None:
        """Daemonised, a start that fails gives an exit status, one line and no pidfile."""
        with socket.create_server(("127.0.0.1", 0)) as server:
            daemon = self.background("--port", str(server.getsockname()[1]))
        self.assertEqual(daemon.start.returncode, 1)
        self.assertRegex(daemon.start.stderr, r"^imgd: Cannot listen on port .+ another port\.\n$")
        self.assertTrue(daemon.wait_for_end())
        self.assertIn("or choose another port.", daemon.log()[-1])
        self.assertFalse(daemon.pidfile.exists())

    def test_hangup(self) -> None:
        """After the access log is renamed, SIGHUP opens a new one, and no line is lost."""
        if not hasattr(signal, "SIGHUP"):
            raise SkipTest("there is no SIGHUP on this system")
        log, rotated = self.folder / "access.log", self.folder / "access.log.1"
        daemon = self.daemon("--no-tls", "--access-log", str(log))
        curl(f"{daemon.url}health?first")
        log.rename(rotated)
        curl(f"{daemon.url}health?second")
        self.assertFalse(log.exists())
        daemon.signal(signal.SIGHUP)
        for _ in range(1000):  # one or two turns of the daemon's loop are enough
            if log.exists():
                break
            curl(f"{daemon.url}health?between")
        curl(f"{daemon.url}health?third")
        daemon.stop()
        old, new = rotated.read_text().splitlines(), log.read_text().splitlines()
        self.assertIn("GET /health?first", old[0])
        self.assertIn("GET /health?second", old[1])
        self.assertIn("GET /health?third", new[-1])
        for line in [*old, *new]:
            self.assertRegex(line, ACCESS_LINE)

    def test_one_line_each(self) -> None:
        """Whatever the request, each event is one line: none is forged, none is a traceback."""
        samples.frames(self.folder / "a\nb\x1b[31m")
        daemon = self.daemon("--no-tls", "--access-log", "-")
        curl(
            *("-X", "POST", f"{daemon.url}load-directory", "-H", JSON),
            *("-d", json.dumps({"directory": str(self.folder / "a\nb\x1b[31m")})),
        )
        for path in ("%0a2026-01-01%20forged", "%1b[31mred", "%e2%80%ae", "..%2f..", "%ff%fe"):
            curl("--globoff", f"{daemon.url}{path}", "-A", "agent\x1b[0m\x85")
        with socket.create_connection(("127.0.0.1", daemon.port), PATIENCE) as raw:
            raw.sendall(b"GET /a\x1b[31m\x0bb HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            while raw.recv(65536):
                pass
        daemon.stop()
        for line in daemon.lines:
            self.assertRegex(line, LOG_LINE)
            self.assertTrue(line.isprintable(), line)
            self.assertNotIn("Traceback", line)
            self.assertNotIn("Unhandled", line)
        self.assertTrue(any(r"a\nb\x1b[31m as current" in line for line in daemon.lines))

    def test_signals(self) -> None:
        """SIGTERM and Ctrl-C end it in good order, without a traceback."""
        for number in (signal.SIGTERM, signal.SIGINT):
            daemon = self.daemon("--no-tls")
            curl(f"{daemon.url}health")  # the reactor runs now, and has its signal handlers
            daemon.signal(number)
            daemon.wait_for("Server Shut Down")
            self.assertIn(daemon.stop(), (0, -number))
            self.assertFalse([line for line in daemon.lines if "Traceback" in line])

    def test_plugin_cache(self) -> None:
        """If twistd cannot write its plugin cache, as in a system's site-packages, imgd runs and
        logs one line.
        """
        plugins = self.folder / "other" / "twisted" / "plugins"
        (plugins / "dropin.cache").mkdir(parents=True)
        (plugins / "harmless.py").write_text("")
        path = os.pathsep.join([str(plugins.parent.parent), environment(self.folder)["PYTHONPATH"]])
        daemon = self.daemon(env={"PYTHONPATH": path})
        self.assertEqual(json.loads(self.get(daemon, "health"))["status"], "healthy")
        warnings = [line for line in daemon.lines if "Unable to write to plugin cache" in line]
        self.assertEqual(len(warnings), 1)


class RefusedStartTests(DaemonCase):
    """A start that cannot succeed ends in a clear line and status 1, before anything is served."""

    def refused(self, *options: str, env: dict[str, str] | None = None) -> str:
        """The error: stderr, or the log's last line if twistd has begun to log."""
        state = () if "--state-dir" in options else ("--state-dir", str(self.folder / "state"))
        process = run(self.folder, "-n", "--pidfile=", "imgd", *state, *options, env=env)
        self.assertEqual(process.returncode, 1, process.stderr)
        self.assertNotIn("Traceback", process.stderr + process.stdout)
        self.assertNotIn("is ready", process.stdout)
        return process.stderr or process.stdout.rstrip("\n").rpartition("[stderr#error] ")[2]

    def test_port_in_use(self) -> None:
        """A port in use is named, with what to do, before anything is written."""
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
            error = self.refused("--port", str(port))
        self.assertEqual(
            error,
            f"imgd: Cannot listen on port {port} of 127.0.0.1: it is in use: stop what holds it, "
            "or choose another port.",
        )
        self.assertFalse((self.folder / "state").exists())

    def test_settings(self) -> None:
        """All problems in the settings are reported at once, each with its key and its value."""
        error = self.refused(
            *("--port", "99999", "--images-dir", "nowhere", "--cors-origin", "example.org"),
            env={"IMAGE_SERVER_TIMEOUT": "soon", "IMGD_TLS_NAMES": "a b"},
        )
        first, *problems = error.splitlines()
        self.assertEqual(first, "imgd: 5 problems in the settings:")
        for key, value in (
            *(("--port", "99999"), ("--images-dir", "nowhere"), ("--cors-origin", "example.org")),
            *(("IMAGE_SERVER_TIMEOUT", "soon"), ("IMGD_TLS_NAMES", "a b")),
        ):
            self.assertEqual(sum(key in p and value in p for p in problems), 1, (key, error))

    def test_certificates(self) -> None:
        """A certificate and a key that do not belong together are refused."""
        state = shared_daemon("tls").ca.parent
        error = self.refused(
            *("--port", "0", "--cert", str(state / "server.pem")),
            *("--key", str(state / "server-ec.key")),
        )
        self.assertIn("--cert", error)
        self.assertIn("match", error)
        for name, problem in (
            ("server.key", "server.key holds no certificate in PEM format"),
            ("server.pem", "server.pem holds no private key in PEM format"),
        ):
            pair = ("--cert", str(state / name), "--key", str(state / name))
            self.assertTrue(self.refused("--port", "0", *pair).endswith(f"{problem}\n"), name)

    def test_unusable_state_folders(self) -> None:
        """A state folder inside the document root, or one that is a file, is refused."""
        root = samples.studies(self.folder / "root")
        inside = str(root / "state")
        self.assertIn("state-dir", self.refused("-d", str(root), "--state-dir", inside))
        self.assertIn("photo.jpg", self.refused("--state-dir", str(root / "photo.jpg")))

    def test_help(self) -> None:
        """``twistd imgd --help`` names every option of the contract, and exits with status 0; so
        does ``-h``.
        """
        process = run(self.folder, "imgd", "--help")
        self.assertEqual((process.returncode, process.stderr), (0, ""))
        short = run(self.folder, "imgd", "-h")
        self.assertEqual((short.returncode, short.stdout), (0, process.stdout))
        for option in (
            *("port", "host", "http-port", "no-tls", "images-dir", "output-dir", "outputs-dir"),
            *("cert", "key", "tls-name", "generate-certs", "state-dir", "timeout", "access-log"),
            *("frame-base-dir", "allow-root", "token", "allow-host", "cors-origin", "public-url"),
            *("follow-symlinks", "env-file"),
        ):
            self.assertRegex(process.stdout, rf"--{option}\b")
