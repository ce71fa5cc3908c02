"""A real daemon keeps its secrets: the token, private keys and the key that signs links."""

from __future__ import annotations

import os
import re
import shutil
from base64 import b64encode
from pathlib import Path

from twisted.trial.unittest import SkipTest, TestCase

from tests.daemons import Daemon, curl, curl_json, run, shared_daemon


class SecretsTests(TestCase):
    def setUp(self) -> None:
        if os.name != "posix":
            raise SkipTest("there are no such permissions here")
        self.folder = Path(self.mktemp()).resolve()
        self.state = self.folder / "state"

    def test_files_are_private(self) -> None:
        """Only their owner may read the secrets in the state folder, and the folder itself."""
        state = shared_daemon("tls").ca.parent
        self.assertEqual(state.stat().st_mode & 0o777, 0o700)
        secret = [p for p in state.iterdir() if ".key" in p.name or p.name == "token"]
        self.assertEqual(
            {p.name for p in secret},
            {"ca.key", "server.key", "server-ec.key", "links.key", "token"},
        )
        for path in secret:
            self.assertEqual(path.stat().st_mode & 0o077, 0, path)

    def test_open_files_are_refused(self) -> None:
        """A start with a secret that others can read ends with status 1, and names the file."""
        shutil.copytree(shared_daemon("tls").ca.parent, self.state)
        for name in ("ca.key", "server.key", "links.key", "token", "catalog.sqlite3"):
            path = self.state / name
            path.chmod(0o644)
            options = ("--port", "0", "--state-dir", str(self.state))
            process = run(self.folder, "-n", "--pidfile=", "imgd", *options)
            self.assertEqual(process.returncode, 1, name)
            self.assertIn(f"chmod 600 {path}", process.stdout + process.stderr)
            self.assertNotIn("Traceback", process.stdout + process.stderr)
            path.chmod(0o600)
        Daemon(self.folder).stop()

    def test_no_secret_shown(self) -> None:
        """No log line, page, error or command line contains a secret, whatever the request."""
        daemon = Daemon(self.folder, "--no-tls", "--private", "--access-log", "-")
        self.addCleanup(daemon.stop)
        token, url = daemon.token, daemon.url
        bearer = ("-H", f"Authorization: Bearer {token}")
        json_body = ("-H", "Content-Type: application/json")
        link = curl_json(*bearer, *json_body, "-d", '{"path": "/x.nii"}', f"{url}links")
        signature = re.findall(r"/-/s/[0-9]+\.([^/]+)/", link["url"])[0]
        outputs = [
            curl("-i", *bearer, *more, url + path)
            for path in ("", "health", "nothing", "collections", "load-directory", "-/s/x/y")
            for more in ((), ("-H", "Accept: text/html"), ("-X", "POST"), ("-X", "TRACE"))
        ]
        outputs.append(curl("-i", link["url"], "-H", f"Referer: {link['url']}"))
        outputs.append(curl("-i", *bearer, "-d", "{", *json_body, f"{url}load-directory"))
        outputs.append(curl("-i", "-H", f"Authorization: Bearer {token}x", url))
        if Path("/proc").is_dir():
            outputs.append(Path(f"/proc/{daemon.pid}/cmdline").read_bytes())
        daemon.stop()
        outputs.append("\n".join(daemon.lines).encode())
        everything = b"\n".join(outputs)
        self.assertIn(b"/x.nii", everything)
        key = (self.state / "links.key").read_bytes()
        for secret in (token.encode(), signature.encode(), key, key.hex().encode(), b64encode(key)):
            self.assertFalse(secret in everything, secret)
