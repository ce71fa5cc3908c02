"""The key of links, and every other secret, in the state folder."""

from __future__ import annotations

import os
import stat

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from imgd.errors import StartError, Unavailable
from imgd.host import secret_file, signing_key


class KeyTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = self.mktemp()
        os.mkdir(self.folder, 0o700)
        self.path = signing_key.path(self.folder)

    def test_made_once(self) -> None:
        """A key is made where there is none, for its owner alone, and kept."""
        key = signing_key.read_or_make(self.folder)
        self.assertEqual(len(key), 32)
        self.assertEqual(signing_key.read_or_make(self.folder), key)
        if os.name == "posix":
            self.assertEqual(stat.S_IMODE(os.stat(self.path).st_mode), 0o600)

    def test_renew(self) -> None:
        """Another key takes its place."""
        key = signing_key.read_or_make(self.folder)
        other = signing_key.renew(self.folder)
        self.assertNotEqual(other, key)
        self.assertEqual(signing_key.read_or_make(self.folder), other)

    def test_malformed(self) -> None:
        """A key that was cut, or is too long, is refused by name."""
        for content in (b"", b"short", b"x" * 33):
            with open(os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as f:
                f.write(content)
            error = self.assertRaises(StartError, signing_key.read_or_make, self.folder)
            self.assertIn(self.path, error.detail)

    def test_no_room(self) -> None:
        """Where no key can be written, the start fails, and a revocation says so."""
        self.assertRaises(StartError, signing_key.read_or_make, self.folder + "-none")
        self.assertRaises(Unavailable, signing_key.renew, self.folder + "-none")

    def test_open(self) -> None:
        """A secret that others could read is refused, by name and with the way out."""
        if os.name != "posix":
            raise SkipTest("there are no such permissions here")
        signing_key.read_or_make(self.folder)
        for mode in (0o640, 0o604, 0o620, 0o644):
            os.chmod(self.path, mode)
            for look in (signing_key.read_or_make, secret_file.refuse_open):
                error = self.assertRaises(StartError, look, self.folder)
                self.assertIn(f"chmod 600 {self.path}", error.detail)

    def test_state_folder(self) -> None:
        """Every secret that others can read is named at once; what is no secret does not matter."""
        if os.name != "posix":
            raise SkipTest("there are no such permissions here")
        names = ("ca.key", "server.key", "server.key.old", "token", "catalog.sqlite3", "ca.pem")
        for name in (*names, "catalog.sqlite3-wal", "imgd.log", "server-ec.key"):
            with open(os.path.join(self.folder, name), "wb"):
                os.chmod(os.path.join(self.folder, name), 0o644)
        error = self.assertRaises(StartError, secret_file.refuse_open, self.folder)
        for name in (*names[:5], "catalog.sqlite3-wal", "server-ec.key"):
            self.assertIn(os.path.join(self.folder, name), error.detail)
        self.assertNotIn("ca.pem", error.detail)
        self.assertNotIn("imgd.log", error.detail)
        for name in os.listdir(self.folder):
            os.chmod(os.path.join(self.folder, name), 0o600)
        secret_file.refuse_open(self.folder)
