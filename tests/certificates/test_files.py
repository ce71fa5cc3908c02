"""A pair is replaced without a gap, whatever the moment of a crash."""

from __future__ import annotations

import os

from imgd.host import atomic_files
from tests.certificates.folder_case import StateFolderCase, other_template, read


class CrashTests(StateFolderCase):
    """Each moment at which the replacement of a pair can be cut short, and the start after it."""

    def setUp(self) -> None:
        super().setUp()
        old_folder = self.folder
        self.folder = self.copy()
        self.ensure(force_leaf=True)
        self.new = self.contents()
        self.folder = old_folder
        self.old = self.contents()

    def put(self, name: str, data: bytes) -> None:
        atomic_files.write_file(self.path(name), data)

    def assert_recovers(self, expected: dict[str, bytes]) -> None:
        files = self.ensure()
        self.assertEqual(files.made, ())
        self.assertEqual(self.contents(), expected)

    def test_while_writing(self) -> None:
        """A crash in the middle of the first file leaves the old pair, and no half of a key."""
        self.put(".imgd-0123456789abcdef.tmp", self.new["server.key"][:99])
        self.assert_recovers(self.old)

    def test_after_the_key(self) -> None:
        """A crash with only the new key written leaves the old pair."""
        self.put("server.key.new", self.new["server.key"])
        self.assert_recovers(self.old)

    def test_after_both(self) -> None:
        """A crash before the first rename leaves the old pair."""
        self.put("server.key.new", self.new["server.key"])
        self.put("server.pem.new", self.new["server.pem"])
        self.assert_recovers(self.old)

    def test_between_the_renames(self) -> None:
        """A crash between the renames is finished: the new pair serves."""
        self.put("server.key", self.new["server.key"])
        self.put("server.pem.new", self.new["server.pem"])
        expected = {"server.key": self.new["server.key"], "server.pem": self.new["server.pem"]}
        self.assert_recovers({**self.old, **expected})

    def test_authority_between_the_renames(self) -> None:
        """The same for the CA: the one whose key is in place is the one that signs."""
        other = other_template()
        self.put("ca.key", read(os.path.join(other, "ca.key")))
        self.put("ca.pem.new", read(os.path.join(other, "ca.pem")))
        files = self.ensure()
        self.assertEqual(read(files.ca_pem), read(os.path.join(other, "ca.pem")))
        self.assertEqual(len(files.made), 2)
        self.assert_pairs_match()
        self.assert_nothing_beside()

    def test_authority_set_aside(self) -> None:
        """A crash after an old CA went aside and before the new one came: another is made."""
        for kind in ("pem", "key"):
            os.rename(self.path(f"ca.{kind}"), self.path(f"ca.{kind}.expired-1"))
            self.put(f"ca.{kind}.new", self.new[f"ca.{kind}"])
        files = self.ensure()
        self.assertEqual(len(files.made), 3)
        self.assert_pairs_match()
