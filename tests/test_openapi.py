"""The description of the API: that it is true of a running daemon, and the same everywhere."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

from twisted.trial.unittest import SkipTest, TestCase

from imgd.core.routes import RESERVED
from imgd.web.pages import ASSETS
from tests.daemons import CHECKOUT, PATIENCE, Daemon, curl, environment

DESCRIPTION = ASSETS["openapi.yaml"][1]
# Not among them: that valid data is accepted, and invalid data refused. What a directory or a URL
# must be to be accepted is no matter of its shape.
CHECKS = (
    "not_a_server_error,status_code_conformance,content_type_conformance,"
    "response_headers_conformance,response_schema_conformance,unsupported_method"
)


def schemathesis() -> str:
    """The program beside the interpreter that runs the tests, or on the PATH."""
    beside = shutil.which("schemathesis", path=str(Path(sys.executable).parent))
    found = beside or shutil.which("schemathesis")
    if found is None:
        raise SkipTest("schemathesis is not installed: pip install schemathesis")
    return found


class DescriptionTests(TestCase):
    def test_one_description(self) -> None:
        """What docs/ has is what the daemon serves."""
        path = CHECKOUT / "docs" / "openapi.yaml"
        self.assertEqual(path.read_bytes(), DESCRIPTION, "copy imgd/web/assets/openapi.yaml there")

    def test_complete(self) -> None:
        """Every first segment that is imgd's own is described."""
        described = re.findall(r"^  /([^/\s:]*)\S*:$", DESCRIPTION.decode("utf-8"), re.MULTILINE)
        self.assertEqual(set(described) - {""}, set(RESERVED))


class LiveTests(TestCase):
    def check(self, *options: str) -> Daemon:
        """Let schemathesis try a daemon, and give it back alive."""
        program = schemathesis()
        folder = Path(self.mktemp()).resolve()
        frames = folder / "frames"
        frames.mkdir(parents=True)
        (frames / "a.png").write_bytes(b"png")
        daemon = Daemon(folder, "--no-tls", "--allow-root", str(frames), *options)
        self.addCleanup(daemon.stop)
        url = daemon.url
        order = f'{{"directory": "{frames}", "timeout_minutes": 0}}'
        curl("-d", order, "-H", "Content-Type: application/json", f"{url}load-directory")
        command = [program, "run", f"{url}-/openapi.yaml", "--url", url.rstrip("/"), "--no-color"]
        command += ["-H", f"Authorization: Bearer {daemon.token}", "--checks", CHECKS]
        command += ["--max-examples", "20", "--phases", "examples,coverage,fuzzing"]
        done = subprocess.run(
            command,
            cwd=folder,
            env=environment(folder),
            capture_output=True,
            text=True,
            timeout=5 * PATIENCE,
            check=False,
        )
        self.assertEqual(done.returncode, 0, done.stdout[-4000:] + done.stderr[-2000:])
        return daemon

    def test_daemon(self) -> None:
        """A daemon answers whatever schemathesis asks as described, and serves on."""
        daemon = self.check()
        self.assertIn(b"healthy", curl(f"{daemon.url}health"))

    def test_private(self) -> None:
        """So does one whose reading is private."""
        daemon = self.check("--private")
        self.assertIn(b"healthy", curl(f"{daemon.url}health"))
