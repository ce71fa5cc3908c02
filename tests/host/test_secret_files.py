"""The token and the key of links: made once, for their owner alone; and every other secret."""

from __future__ import annotations

import os
import stat
from unittest import skipIf

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from imgd.errors import StartError, Unavailable
from imgd.host import secret_files
from imgd.host.secret_files import SIGNING_KEY, TOKEN


class TokenTests(SynchronousTestCase):
    """A state folder with or without a token."""

    def setUp(self) -> None:
        self.folder = self.mktemp()
        os.mkdir(self.folder)
        self.path = TOKEN.path(self.folder)

    def write(self, content: bytes, mode: int = 0o600) -> None:
        with open(self.path, "wb") as file:
            file.write(content)
        os.chmod(self.path, mode)

    def test_made_once(self) -> None:
        """The first call makes a token, a line of its own and no option of a command; the next ones
        read the same.
        """
        made = TOKEN.read_or_make(self.folder)
        self.assertEqual(TOKEN.read_or_make(self.folder), made)
        self.assertEqual(TOKEN.read(self.folder), made)
        self.assertRegex(made, "^[0-9a-f]{64}$")
        with open(self.path, encoding="ascii") as file:
            self.assertEqual(file.read(), made + "\n")

    def test_every_folder_its_own(self) -> None:
        """Two folders have two tokens."""
        other = self.mktemp()
        os.mkdir(other)
        self.assertNotEqual(TOKEN.read_or_make(self.folder), TOKEN.read_or_make(other))

    @skipIf(os.name != "posix", "POSIX modes")
    def test_private(self) -> None:
        """The file has mode 0600."""
        TOKEN.read_or_make(self.folder)
        self.assertEqual(stat.S_IMODE(os.stat(self.path).st_mode), 0o600)

    def test_none(self) -> None:
        """Where there is no token, reading finds none and makes none."""
        self.assertIsNone(TOKEN.read(self.folder))
        self.assertEqual(os.listdir(self.folder), [])

    def test_own(self) -> None:
        """A token that the operator put there is used, with or without its newline."""
        for content in (b"correct-horse-battery==\n", b"correct-horse-battery==", b"a" * 16):
            self.write(content)
            self.assertEqual(TOKEN.read_or_make(self.folder), content.strip().decode())

    @skipIf(os.name != "posix", "POSIX modes")
    def test_readable_by_others(self) -> None:
        """A token that the group or others can read is refused, naming the file and a way out."""
        for mode in (0o640, 0o604, 0o660):
            self.write(b"x" * 43 + b"\n", mode)
            with self.assertRaises(StartError) as caught:
                TOKEN.read_or_make(self.folder)
            self.assertIn(f"chmod 600 {self.path}", caught.exception.detail)
            self.assertNotIn("xxx", caught.exception.detail)

    def test_malformed(self) -> None:
        """An empty, cut, two-line, spaced or binary token is refused and left alone."""
        for content in (
            b"",
            b"\n",
            b"short",
            b"x" * 20 + b"\n" + b"y" * 20,
            b"x" * 20 + b" y",
            b"\xff" * 43,
            b"=" * 43,
            b"x" * 10_000 + b"!",
        ):
            self.write(content)
            with self.assertRaises(StartError) as caught:
                TOKEN.read_or_make(self.folder)
            self.assertIn(self.path, caught.exception.detail)
            with open(self.path, "rb") as file:
                self.assertEqual(file.read(), content)

    def test_unreadable(self) -> None:
        """What cannot be read, or made, is an error that names the file."""
        os.mkdir(self.path)
        for folder in (self.folder, os.path.join(self.folder, "missing")):
            with self.assertRaises(StartError) as caught:
                TOKEN.read_or_make(folder)
            self.assertIn(TOKEN.path(folder), caught.exception.detail)


class KeyTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = self.mktemp()
        os.mkdir(self.folder, 0o700)
        self.path = SIGNING_KEY.path(self.folder)

    def test_made_once(self) -> None:
        """A key is made where there is none, for its owner alone, and kept."""
        key = SIGNING_KEY.read_or_make(self.folder)
        self.assertEqual(len(key), 32)
        self.assertEqual(SIGNING_KEY.read_or_make(self.folder), key)
        if os.name == "posix":
            self.assertEqual(stat.S_IMODE(os.stat(self.path).st_mode), 0o600)

    def test_renew(self) -> None:
        """Another key takes its place."""
        key = SIGNING_KEY.read_or_make(self.folder)
        other = secret_files.renew_signing_key(self.folder)
        self.assertNotEqual(other, key)
        self.assertEqual(SIGNING_KEY.read_or_make(self.folder), other)

    def test_malformed(self) -> None:
        """A key that was cut, or is too long, is refused by name."""
        for content in (b"", b"short", b"x" * 33):
            with open(os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as f:
                f.write(content)
            error = self.assertRaises(StartError, SIGNING_KEY.read_or_make, self.folder)
            self.assertIn(self.path, error.detail)

    def test_no_room(self) -> None:
        """Where no key can be written, the start fails, and a revocation says so."""
        self.assertRaises(StartError, SIGNING_KEY.read_or_make, self.folder + "-none")
        self.assertRaises(Unavailable, secret_files.renew_signing_key, self.folder + "-none")

    def test_open(self) -> None:
        """A secret that others could read is refused, by name and with the way out."""
        if os.name != "posix":
            raise SkipTest("there are no such permissions here")
        SIGNING_KEY.read_or_make(self.folder)
        for mode in (0o640, 0o604, 0o620, 0o644):
            os.chmod(self.path, mode)
            for look in (SIGNING_KEY.read_or_make, secret_files.refuse_open):
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
        error = self.assertRaises(StartError, secret_files.refuse_open, self.folder)
        for name in (*names[:5], "catalog.sqlite3-wal", "server-ec.key"):
            self.assertIn(os.path.join(self.folder, name), error.detail)
        self.assertNotIn("ca.pem", error.detail)
        self.assertNotIn("imgd.log", error.detail)
        for name in os.listdir(self.folder):
            os.chmod(os.path.join(self.folder, name), 0o600)
        secret_files.refuse_open(self.folder)
