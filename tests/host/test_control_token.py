"""The token: made once, for its owner alone."""

import os
import stat
from unittest import skipIf

from twisted.trial.unittest import SynchronousTestCase

from imgd.errors import StartError
from imgd.host import control_token


class TokenTests(SynchronousTestCase):
    """A state folder with or without a token."""

    def setUp(self) -> None:
        self.folder = self.mktemp()
        os.mkdir(self.folder)
        self.path = control_token.path(self.folder)

    def write(self, content, mode=0o600) -> None:
        with open(self.path, "wb") as file:
            file.write(content)
        os.chmod(self.path, mode)

    def test_made_once(self) -> None:
        """The first call makes a token, a line of its own; the next ones read the same."""
        made = control_token.read_or_make(self.folder)
        self.assertEqual(control_token.read_or_make(self.folder), made)
        self.assertEqual(control_token.read(self.folder), made)
        self.assertEqual(len(made), 43)
        with open(self.path, encoding="ascii") as file:
            self.assertEqual(file.read(), made + "\n")

    def test_every_folder_its_own(self) -> None:
        """Two folders have two tokens."""
        other = self.mktemp()
        os.mkdir(other)
        self.assertNotEqual(
            control_token.read_or_make(self.folder), control_token.read_or_make(other)
        )

    @skipIf(os.name != "posix", "POSIX modes")
    def test_private(self) -> None:
        """The file has mode 0600."""
        control_token.read_or_make(self.folder)
        self.assertEqual(stat.S_IMODE(os.stat(self.path).st_mode), 0o600)

    def test_none(self) -> None:
        """Where there is no token, reading finds none and makes none."""
        self.assertIsNone(control_token.read(self.folder))
        self.assertEqual(os.listdir(self.folder), [])

    def test_own(self) -> None:
        """A token that the operator put there is used, with or without its newline."""
        for content in (b"correct-horse-battery==\n", b"correct-horse-battery==", b"a" * 16):
            self.write(content)
            self.assertEqual(control_token.read_or_make(self.folder), content.strip().decode())

    @skipIf(os.name != "posix", "POSIX modes")
    def test_readable_by_others(self) -> None:
        """A token that the group or others can read is refused, naming the file and a way out."""
        for mode in (0o640, 0o604, 0o660):
            self.write(b"x" * 43 + b"\n", mode)
            with self.assertRaises(StartError) as caught:
                control_token.read_or_make(self.folder)
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
                control_token.read_or_make(self.folder)
            self.assertIn(self.path, caught.exception.detail)
            with open(self.path, "rb") as file:
                self.assertEqual(file.read(), content)

    def test_unreadable(self) -> None:
        """What cannot be read, or made, is an error that names the file."""
        os.mkdir(self.path)
        for place in (self.folder, os.path.join(self.folder, "missing")):
            with self.assertRaises(StartError) as caught:
                control_token.read_or_make(place)
            self.assertIn(control_token.path(place), caught.exception.detail)
