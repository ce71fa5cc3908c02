"""The local CA: made once, never replaced."""

from __future__ import annotations

import os
import shutil
from datetime import datetime, timedelta

from cryptography import x509

from imgd.certificates import renewal
from imgd.certificates.names import SubjectAltNames
from imgd.errors import StartError
from imgd.host import atomic_files
from tests.certificates.folder_case import (
    NAMES,
    NOW,
    QUICK_KEYS,
    Disk,
    StateFolderCase,
    other_template,
    read,
    rebuild,
)

REMEDY = "move ca.pem and ca.key of the state folder away and start imgd again"
END = NOW + timedelta(days=3650)


class NeverReplacedTests(StateFolderCase):
    def remove(self, *names: str) -> None:
        for name in names:
            os.unlink(self.path(name))

    def assert_kept(self, *problem: str, now: datetime = NOW) -> None:
        """Nothing in the folder changes, at start and later; the leaves serve on, and ``problem``
        is reported together with what to do.
        """
        before = self.contents()
        for starting in (True, False):
            files = self.ensure(now, starting=starting)
            self.assertEqual(files.made, ())
            self.assertEqual(self.contents(), before)
            self.assertEqual(len(files.pairs), 2)
            self.assertEqual(len(files.problems), 1, files.problems)
            for part in (*problem, REMEDY):
                self.assertIn(part, files.problems[0])

    def test_damaged(self) -> None:
        """A CA that is damaged, or another's, stays as it is, and its leaves serve on."""
        other = other_template()
        damages = {
            "ca.pem": [b"nonsense", read(os.path.join(other, "ca.pem"))],
            "ca.key": [b"", read(os.path.join(other, "ca.key")), b"\x00" * 99],
        }
        for name, texts in damages.items():
            for text in texts:
                self.folder = self.copy()
                atomic_files.write_file(self.path(name), text)
                self.assert_kept("ca.pem")

    def test_half_missing(self) -> None:
        """If one of its two files is gone, the other stays."""
        for name in ("ca.pem", "ca.key"):
            self.folder = self.copy()
            self.remove(name)
            self.assert_kept(f"{name} is missing")

    def test_leaf_in_its_place(self) -> None:
        """A certificate that is no authority does not sign, and stays."""
        shutil.copy(self.path("server.pem"), self.path("ca.pem"))
        shutil.copy(self.path("server.key"), self.path("ca.key"))
        self.assert_kept("not a certificate authority")

    def test_malformed(self) -> None:
        """A CA whose extensions cannot be read does not sign, and stays."""
        odd = x509.UnrecognizedExtension(x509.NameConstraints.oid, b"nonsense")
        rebuild(self.folder, odd)
        self.assert_kept("not a certificate authority")
        self.assertFalse(self.ensure().is_unlimited)

    def test_ended(self) -> None:
        """An ended CA, or a clock that ran ahead, changes nothing: when the clock is right again,
        all is well.
        """
        self.assert_kept("ca.pem ended on 2036-02-27: set the clock", now=END)
        self.assert_kept("ca.pem ended on", now=END + timedelta(days=9000))
        self.assertEqual(self.ensure().problems, ())

    def test_ends_soon(self) -> None:
        """A CA with less than 30 days to live is reported, and signs on; no leaf outlives it, and
        none is made again and again because of that.
        """
        late = END - timedelta(days=29)
        self.assertEqual(self.ensure(END - timedelta(days=31)).problems, ())
        ca = read(self.path("ca.pem"))
        files = self.ensure(late, SubjectAltNames(("more.local",), ()))
        self.assertEqual((len(files.made), files.leaf_expires), (2, END))
        for now in (late, END - timedelta(days=1), END - timedelta(minutes=1)):
            files = self.ensure(now, SubjectAltNames(("more.local",), ()), starting=False)
            self.assertEqual(files.made, ())
            self.assertIn("ca.pem ends on 2036-02-27: before that day " + REMEDY, files.problems[0])
        self.assertEqual(read(self.path("ca.pem")), ca)

    def test_leaf_due(self) -> None:
        """A leaf that must be renewed while the CA cannot sign serves on, with the same words."""
        self.remove("ca.key")
        self.assert_kept("ca.key is missing", now=NOW + timedelta(days=300))

    def test_nothing_to_serve_with(self) -> None:
        """Without a leaf and with a CA that cannot sign, one sentence says what to do; with one
        leaf of the two, that one serves.
        """
        self.remove("ca.key", "server.key")
        files = self.ensure()
        self.assertEqual(files.pairs, ((self.path("server-ec.pem"), self.path("server-ec.key")),))
        self.remove("server-ec.pem")
        detail = self.refused()
        self.assertTrue(detail.startswith("There is no certificate to serve with, and ca.key is"))
        self.assertIn(REMEDY, detail)

    def test_unreadable(self) -> None:
        """A CA key that cannot be read is an error naming it: no other CA is made for it."""
        self.remove("ca.key")
        os.mkdir(self.path("ca.key"))
        self.assertIn(self.path("ca.key"), self.refused())

    def test_missing(self) -> None:
        """With both its files gone, another is made at start, and leaves that it signed; while
        running nothing is.
        """
        self.remove("ca.pem", "ca.key")
        files = self.ensure(starting=False)
        self.assertEqual(files.made, ())
        self.assertIn("ca.pem and ca.key are missing: put them back", files.problems[0])
        self.assertFalse(os.path.exists(self.path("ca.pem")))
        files = self.ensure()
        self.assertEqual(files.made[0], "ca.pem (ca.pem is missing)")
        self.assertIn("not signed by the present CA", files.made[1])
        self.assert_nothing_beside()

    def test_folder_vanishes(self) -> None:
        """If the state folder vanishes under a running daemon, nothing is made."""
        shutil.rmtree(self.folder)
        self.assertIn("ca.pem and ca.key are missing", self.refused(starting=False))
        self.assertFalse(os.path.exists(self.folder))
        os.mkdir(self.folder)
        self.refused(starting=False)
        self.assertEqual(os.listdir(self.folder), [])

    def test_full_disk(self) -> None:
        """A disk without room for a first CA is one sentence."""
        shutil.rmtree(self.folder)
        with self.assertRaises(StartError):
            renewal.ensure(self.folder, NAMES, NOW, keys=QUICK_KEYS, write=Disk(0).write)

    def test_while_running(self) -> None:
        """A leaf is renewed while running; temporary files of others are left alone then."""
        atomic_files.write_file(self.path(".imgd-0123456789abcdef.tmp"), b"")
        more = SubjectAltNames((*NAMES.dns, "more.local"), NAMES.ips)
        self.assertEqual(len(self.ensure(names=more, starting=False).made), 2)
        self.assertTrue(os.path.exists(self.path(".imgd-0123456789abcdef.tmp")))
