"""The description of the API (imgd/web/assets/openapi.yaml) is true of a running daemon."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

from twisted.trial.unittest import SkipTest, TestCase

from imgd.core.routes import RESERVED
from imgd.web.pages import ASSETS
from tests.daemons import PATIENCE, Daemon, curl, environment

DESCRIPTION = ASSETS["openapi.yaml"][1]
# Not among them: that valid data is accepted and invalid data refused. Whether a directory or a URL
# is accepted does not depend on its shape.
CHECKS = (
    "not_a_server_error,status_code_conformance,content_type_conformance,"
    "response_headers_conformance,response_schema_conformance,unsupported_method"
)


def schemathesis() -> str:
    """The program beside the interpreter that runs the tests, or on the PATH."""
    program = shutil.which("schemathesis", path=str(Path(sys.executable).parent))
    program = program or shutil.which("schemathesis")
    if program is None:
        raise SkipTest("schemathesis is not installed: pip install schemathesis")
    return program


class DescriptionTests(TestCase):
    def test_complete(self) -> None:
        """Every reserved first segment of a path is described."""
        described = re.findall(r"^  /([^/\s:]*)\S*:$", DESCRIPTION.decode("utf-8"), re.MULTILINE)
        self.assertEqual(set(described) - {""}, set(RESERVED))


class LiveTests(TestCase):
    def check(self, phases: str, *options: str) -> Daemon:
        """Run schemathesis against a daemon; returns the daemon."""
        program = schemathesis()
        folder = Path(self.mktemp()).resolve()
        frames = folder / "frames"
        frames.mkdir(parents=True)
        (frames / "a.png").write_bytes(b"png")
        daemon = Daemon(folder, "--no-tls", "--allow-root", str(frames), *options)
        self.addCleanup(daemon.stop)
        url = daemon.url
        load = f'{{"directory": "{frames}", "timeout_minutes": 0}}'
        curl("-d", load, "-H", "Content-Type: application/json", f"{url}load-directory")
        command = [program, "run", f"{url}-/openapi.yaml", "--url", url.rstrip("/"), "--no-color"]
        command += ["-H", f"Authorization: Bearer {daemon.token}", "--checks", CHECKS]
        command += ["--max-examples", "20", "--phases", phases]
        process = subprocess.run(
            command,
            cwd=folder,
            env=environment(folder),
            capture_output=True,
            text=True,
            timeout=5 * PATIENCE,
            check=False,
        )
        self.assertEqual(process.returncode, 0, process.stdout[-4000:] + process.stderr[-2000:])
        return daemon

    def test_daemon(self) -> None:
        """A daemon answers every request of schemathesis as described, and goes on serving."""
        daemon = self.check("examples,coverage,fuzzing")
        self.assertIn(b"healthy", curl(f"{daemon.url}health"))

    def test_private(self) -> None:
        """So does a private daemon, which differs in who may read, not in what it takes: it is not
        fuzzed again.
        """
        daemon = self.check("examples,coverage", "--private")
        self.assertIn(b"healthy", curl(f"{daemon.url}health"))
