"""The files of the local CA: what is made, when, and what a full disk leaves."""

from __future__ import annotations

import os
import shutil
import stat
from datetime import timedelta
from unittest import skipUnless

from cryptography.hazmat.primitives.hashes import SHA256

from imgd.certificates import renewal
from imgd.errors import StartError
from tests.certificates.folder_case import (
    NAMES,
    NOW,
    QUICK_KEYS,
    STEMS,
    Disk,
    StateFolderCase,
    certificate,
    read,
    template,
)


class RenewalTests(StateFolderCase):
    @skipUnless(os.name == "posix", "modes are POSIX's")
    def test_modes(self) -> None:
        """Keys are their owner's alone, as is the folder."""
        for stem in STEMS:
            self.assertEqual(stat.S_IMODE(os.stat(self.path(f"{stem}.key")).st_mode), 0o600)
        self.assertEqual(stat.S_IMODE(os.stat(template()).st_mode), 0o700)

    def test_report(self) -> None:
        """The report: paths, the CA's fingerprint as browsers show it, expiry, nothing made."""
        files = self.ensure()
        self.assertEqual(files.made, ())
        self.assertEqual(files.problems, ())
        self.assertEqual(files.ca_pem, self.path("ca.pem"))
        self.assertEqual(files.pairs[1], (self.path("server-ec.pem"), self.path("server-ec.key")))
        self.assertEqual(files.leaf_expires, NOW + timedelta(days=365))
        digest = certificate(files.ca_pem).fingerprint(SHA256()).hex().upper()
        self.assertEqual(files.ca_fingerprint.replace(":", ""), digest)
        self.assertRegex(files.ca_fingerprint, r"^([0-9A-F]{2}:){31}[0-9A-F]{2}$")

    def test_obsolete(self) -> None:
        """A state folder of an older imgd serves as it is, without its leaf for ``*.localhost``."""
        for kind in ("pem", "key"):
            shutil.copy(self.path(f"server-ec.{kind}"), self.path(f"server-wildcard.{kind}"))
        before = {n: data for n, data in self.contents().items() if "wildcard" not in n}
        self.assertEqual(self.renewed(), "")
        self.assertEqual(self.contents(), before)

    def test_nothing_due(self) -> None:
        """A start with everything in order changes no file."""
        before = self.contents()
        self.assertEqual(self.renewed(now=NOW + timedelta(days=200)), "")
        self.assertEqual(self.contents(), before)

    def test_forced(self) -> None:
        """A leaf that is asked for is made, with the CA that there is."""
        self.assertIn("asked for", self.renewed(force_leaf=True))

    def test_damaged_leaf(self) -> None:
        """A leaf or key that is no PEM, missing or another's is made anew."""
        foreign = read(self.path("ca.key"))
        for name in ("server.pem", "server.key", "server-ec.key"):
            for damage in (b"\x00" * 64, foreign):
                with open(self.path(name), "wb") as file:
                    file.write(damage)
                self.assertIn("server", self.renewed())
            os.unlink(self.path(name))
            self.assertIn("is missing", self.renewed())


class ReasonTests(StateFolderCase):
    def test_own_reason(self) -> None:
        """Each certificate that is made anew is told with its own reason, or with whose it is."""
        os.unlink(self.path("server.pem"))
        self.assertEqual(
            self.renewed().splitlines(),
            ["server.pem (server.pem is missing)", "server-ec.pem (with server.pem)"],
        )
        os.unlink(self.path("server-ec.key"))
        self.assertEqual(
            self.renewed().splitlines(),
            ["server.pem (with server-ec.pem)", "server-ec.pem (server-ec.key is missing)"],
        )
        folder = self.mktemp()
        made = renewal.ensure(folder, NAMES, NOW, keys=QUICK_KEYS).made
        names = [text.partition(" ")[0] for text in made]
        self.assertEqual(list(made), [f"{name} ({name} is missing)" for name in names])


class FullDiskTests(StateFolderCase):
    def test_leaf(self) -> None:
        """Wherever the disk fills up, a renewal leaves pairs that match, and says what is not."""
        for room in range(4):
            self.folder = self.copy()
            before = self.contents()
            files = renewal.ensure(
                *(self.folder, NAMES, NOW),
                force_leaf=True,
                keys=QUICK_KEYS,
                write=Disk(room).write,
            )
            self.assertEqual(len(files.made), room // 2)
            self.assertEqual(len(files.problems), 2 - room // 2)
            self.assertIn("(asked for): No space left on device", files.problems[-1])
            self.assertEqual(read(self.path("server.pem")) == before["server.pem"], room < 2)
            self.assertEqual(read(self.path("server-ec.pem")), before["server-ec.pem"])
            self.assert_pairs_match()
            self.assert_nothing_beside()

    def test_first_start(self) -> None:
        """With no pair to stay with, a full disk is one clear error, and nothing half-made."""
        folder = self.mktemp()
        with self.assertRaises(StartError) as caught:
            renewal.ensure(folder, NAMES, NOW, keys=QUICK_KEYS, write=Disk(1).write)
        self.assertEqual(
            caught.exception.detail,
            f"Cannot keep certificates in {folder}: No space left on device",
        )
        self.assertEqual(os.listdir(folder), [])
