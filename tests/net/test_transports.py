"""Without a private name that the fast transports use, Twisted's own transports serve."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from typing import Any
from unittest import skipUnless

from twisted.trial.unittest import SynchronousTestCase

import tests
from imgd.net import bulk_tls, tcp
from tests.daemons import PATIENCE, DaemonCase
from tests.fakes import write

HOME = os.path.dirname(os.path.dirname(os.path.abspath(tests.__file__)))
TIMEOUT = 300  # seconds for all names together, on a busy machine
USED = {
    "_tempDataLen",
    "writeSomeData",
    "_flushSendBIO",
    "_creatorCallable",
    "_ssl",
    "_context",
} | {*("_lib", "_ffi", "SSL_read", "BIO_read", "SSL_MODE_RELEASE_BUFFERS")}
BODY = os.urandom(1 << 20)


class FallbackTests(SynchronousTestCase):
    def test_nothing_missing(self) -> None:
        """The releases that are tested here have all of them."""
        self.assertEqual((tcp.MISSING, bulk_tls.MISSING), ((), ()))

    @skipUnless(hasattr(os, "fork"), "processes are forked")
    def test_each_name(self) -> None:
        """Whichever is missing, files and ranges come whole over HTTP and HTTPS, and one line of
        the log names it.
        """
        folder = os.path.abspath(self.mktemp())
        os.mkdir(folder)
        done = subprocess.run(
            [sys.executable, "-m", "tests.net.missing_names", folder],
            capture_output=True,
            cwd=HOME,
            timeout=TIMEOUT,
        )
        results: list[dict[str, Any]] = [json.loads(line) for line in done.stdout.splitlines()]
        self.assertEqual(done.returncode, 0, done.stderr.decode())
        self.assertLessEqual(USED, {result["name"] for result in results})
        for result in results:
            name = result["name"]
            self.assertEqual(result["failures"], [], (name, done.stderr.decode()))
            warnings = result["warnings"]
            self.assertEqual(len(warnings), 1 if name else 0, (name, warnings))
            for warning in warnings:
                self.assertRegex(warning, rf"transports need .*\.{name}_of_another_release")


class DaemonTests(DaemonCase):
    def test_log(self) -> None:
        """A daemon says so once, at its start, and serves."""
        hook = self.folder / "hook" / "sitecustomize.py"
        write(str(hook), b"from tests.net import renamed\nrenamed.load_without('writeSomeData')\n")
        write(str(self.folder / "output" / "a.nii"), BODY)
        path = os.pathsep.join([str(hook.parent), HOME])
        daemon = self.daemon("--http-port", "0", env={"PYTHONPATH": path})
        self.assertEqual(self.get(daemon, "a.nii"), BODY)
        with urllib.request.urlopen(daemon.http_url + "a.nii", timeout=PATIENCE) as answer:
            self.assertEqual(answer.read(), BODY)
        daemon.stop()
        lines = [line for line in daemon.lines if "slower than they could be" in line]
        self.assertEqual(len(lines), 1, daemon.lines)
        self.assertIn("need Connection.writeSomeData_of_another_release, which", lines[0])
