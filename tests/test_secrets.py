"""What must stay secret, in a real daemon: the token, private keys and the key of links."""

from __future__ import annotations

import os
import re
from base64 import b64encode
from pathlib import Path

from twisted.trial.unittest import SkipTest, TestCase

from tests.daemons import Daemon, curl, curl_json, run


class SecretsTests(TestCase):
    def setUp(self) -> None:
        if os.name != "posix":
            raise SkipTest("there are no such permissions here")
        self.folder = Path(self.mktemp()).resolve()
        self.state = self.folder / "state"

    def test_files_are_private(self) -> None:
        """Everything secret in the state folder is its owner's alone, and so is the folder."""
        Daemon(self.folder).stop()
        self.assertEqual(self.state.stat().st_mode & 0o777, 0o700)
        secret = [p for p in self.state.iterdir() if ".key" in p.name or p.name == "token"]
        self.assertEqual(
            {p.name for p in secret},
            {"ca.key", "server.key", "server-ec.key", "server-wildcard.key", "links.key", "token"},
        )
        for path in secret:
            self.assertEqual(path.stat().st_mode & 0o077, 0, path)

    def test_open_files_are_refused(self) -> None:
        """A start with a secret that others can read ends with status 1, and names the file."""
        Daemon(self.folder).stop()
        for name in ("ca.key", "server.key", "links.key", "token", "catalog.sqlite3"):
            path = self.state / name
            path.chmod(0o644)
            done = run(self.folder, "-n", "--pidfile=", "imgd", "--port", "0",
                       "--state-dir", str(self.state))  # fmt: skip
            self.assertEqual(done.returncode, 1, name)
            self.assertIn(f"chmod 600 {path}", done.stdout + done.stderr)
            self.assertNotIn("Traceback", done.stdout + done.stderr)
            path.chmod(0o600)
        Daemon(self.folder).stop()

    def test_nothing_tells(self) -> None:
        """No log line, page, error or process title holds a secret, whatever is asked."""
        daemon = Daemon(self.folder, "--no-tls", "--private", "--access-log", "-")
        self.addCleanup(daemon.stop)
        token, url = daemon.token, daemon.url
        bearer = ("-H", f"Authorization: Bearer {token}")
        json_body = ("-H", "Content-Type: application/json")
        made = curl_json(*bearer, *json_body, "-d", '{"path": "/x.nii"}', f"{url}links")
        signature = re.findall(r"/-/s/[0-9]+\.([^/]+)/", made["url"])[0]
        seen = [
            curl("-i", *bearer, *more, url + path)
            for path in ("", "health", "nothing", "collections", "load-directory", "-/s/x/y")
            for more in ((), ("-H", "Accept: text/html"), ("-X", "POST"), ("-X", "TRACE"))
        ]
        seen.append(curl("-i", made["url"], "-H", f"Referer: {made['url']}"))
        seen.append(curl("-i", *bearer, "-d", "{", *json_body, f"{url}load-directory"))
        seen.append(curl("-i", "-H", f"Authorization: Bearer {token}x", url))
        if Path("/proc").is_dir():
            seen.append(Path(f"/proc/{daemon.pid}/cmdline").read_bytes())
        daemon.stop()
        seen.append("\n".join(daemon.lines).encode())
        everything = b"\n".join(seen)
        self.assertIn(b"/x.nii", everything)
        key = (self.state / "links.key").read_bytes()
        for secret in (token.encode(), signature.encode(), key, key.hex().encode(), b64encode(key)):
            self.assertFalse(secret in everything, secret)
