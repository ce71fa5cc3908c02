"""The options of ``twistd imgd``, and how a start that fails ends."""

import io
import os
import subprocess
import sys
from pathlib import Path

from twisted.python.usage import UsageError
from twisted.trial.unittest import SynchronousTestCase

from imgd import __version__
from imgd.settings import load
from imgd.settings.table import TABLE
from imgd.tap import Options, makeService
from tests.daemons import PATIENCE, environment

PROJECT = Path(__file__).resolve().parent.parent


def parse(*words: str) -> Options:
    options = Options()
    options.parseOptions(words)
    return options


class ParsingOptions(SynchronousTestCase):
    def setUp(self) -> None:
        self.cwd = str(Path(self.mktemp()).resolve())
        os.mkdir(self.cwd)

    def test_every_option(self) -> None:
        """Every option of the table, and every alias, is understood under its own name."""
        for setting in TABLE:
            for option in setting.options:
                if setting.flag:
                    self.assertTrue(parse(f"--{option}")[option])
                    self.assertFalse(parse()[option])
                else:
                    value = parse(f"--{option}", "x")[option]
                    self.assertEqual(value, ["x"] if setting.many else "x")
                    self.assertIsNone(parse().get(option))

    def test_to_settings(self) -> None:
        """Options on a command line become settings."""
        os.mkdir(os.path.join(self.cwd, "images"))
        words = "-p 0 -d images --tls-name a.example --no-tls --tls-name b.example --timeout=0"
        settings = load(parse(*words.split()), {}, self.cwd)
        self.assertEqual(settings.port, 0)
        self.assertEqual(settings.images_dir, os.path.join(self.cwd, "images"))
        self.assertEqual(settings.tls_names, ("a.example", "b.example"))
        self.assertEqual((settings.tls, settings.timeout_minutes), (False, 0))

    def test_nothing_given(self) -> None:
        """Without options, the environment and the defaults count."""
        settings = load(parse(), {"IMAGE_SERVER_PORT": "1"}, self.cwd)
        self.assertEqual((settings.port, settings.tls, settings.timeout_minutes), (1, True, 30))

    def test_repeated_options(self) -> None:
        """An option that one command line repeats is not in the next one."""
        parse("--allow-host", "a")
        self.assertEqual(parse("--allow-host", "b")["allow-host"], ["b"])

    def test_usage_errors(self) -> None:
        """Unknown options, missing values and extra words are refused."""
        for words in (["--ports", "1"], ["--port"], ["folder"]):
            with self.assertRaises(UsageError):
                parse(*words)

    def test_help(self) -> None:
        """The help shows each option with its default and keys, the usage, and examples."""
        text = str(Options())
        self.assertTrue(text.startswith("Usage: twistd [twistd options] imgd [options]\n"))
        flat = " ".join(text.split())
        for setting in TABLE:
            self.assertIn(f"[default: {setting.default_text}]", flat)
            self.assertIn(setting.help, flat)
            for name in (*setting.options, *(variable.name for variable in setting.variables)):
                self.assertIn(name, text)
        self.assertIn("-p, --port=", text)
        self.assertIn("\nExamples:\n  twistd -n imgd ", text)

    def test_help_after_a_mistake(self) -> None:
        """After a mistake, which twistd prints below the help, a line is shown instead of it."""
        options = Options()
        self.assertRaises(UsageError, options.parseOptions, ["--prot", "1"])
        self.assertEqual(
            options.getUsage(), "The options of imgd are shown by: twistd imgd --help\n"
        )

    def test_version(self) -> None:
        """--version shows imgd's version, and exits with status 0."""
        out = io.StringIO()
        self.patch(sys, "stdout", out)
        with self.assertRaises(SystemExit) as caught:
            parse("--version")
        self.assertEqual((caught.exception.code, out.getvalue()), (0, f"imgd {__version__}\n"))


class Starting(SynchronousTestCase):
    def setUp(self) -> None:
        self.cwd = self.mktemp()
        os.mkdir(self.cwd)
        self.err = io.StringIO()
        self.patch(sys, "stderr", self.err)
        self.patch(sys, "excepthook", sys.excepthook)
        self.addCleanup(os.chdir, os.getcwd())
        os.chdir(self.cwd)

    def refuse(self, *words: str) -> list[str]:
        with self.assertRaises(SystemExit) as caught:
            makeService(parse(*words))
        self.assertEqual(caught.exception.code, 1)
        return self.err.getvalue().splitlines()

    def test_problems(self) -> None:
        """Problems are reported on stderr, one line each, and the status is 1."""
        self.assertEqual(
            self.refuse("--port", "x", "--images-dir", "gone"),
            [
                "imgd: 2 problems in the settings:",
                "  --port: 'x' is not a port; give a whole number from 0 to 65535",
                "  --images-dir: 'gone' does not exist",
            ],
        )

    def test_a_problem(self) -> None:
        """The headline of a single problem is in the singular."""
        self.assertEqual(self.refuse("--timeout", "x")[0], "imgd: 1 problem in the settings:")

    def test_certificates(self) -> None:
        """A certificate that cannot be used is reported together with other problems."""
        for name in ("cert.pem", "key.pem"):
            Path(name).write_text("nothing")
        lines = self.refuse("--cert", "cert.pem", "--key", "key.pem", "--timeout", "x")
        self.assertEqual(len(lines), 3)
        self.assertTrue(lines[2].startswith("  --cert, --key: "), lines)


class Importing(SynchronousTestCase):
    def test_no_reactor(self) -> None:
        """Importing the module and showing its help installs no reactor."""
        code = (
            "import sys, imgd.tap; str(imgd.tap.Options());"
            "print('twisted.internet.reactor' in sys.modules)"
        )
        process = subprocess.run(
            [sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True
        )
        self.assertEqual((process.stdout, process.stderr), ("False\n", ""))


class Running(SynchronousTestCase):
    PROGRAM = """
import gc
from twisted.internet import reactor
from imgd.tap import Options, makeService

options = Options()
options.parseOptions(["--port", "0", "--state-dir", "state"])
makeService(options)
reactor.callWhenRunning(lambda: print(gc.get_freeze_count()))
reactor.callWhenRunning(reactor.stop)
reactor.run()
"""

    def test_collector(self) -> None:
        """What is there when the daemon starts is never looked through by the collector again."""
        folder = self.mktemp()
        os.mkdir(folder)
        done = subprocess.run(
            [sys.executable, "-c", self.PROGRAM],
            cwd=folder,
            env=environment(Path(folder)),
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
        self.assertGreater(int(done.stdout or 0), 10_000, done.stderr)
