"""The user's own certificate and key."""

from __future__ import annotations

import os
import shutil
from datetime import UTC, datetime, timedelta

from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from imgd.certificates import renewal
from imgd.certificates.files import PairPaths
from imgd.certificates.names import SubjectAltNames
from imgd.certificates.user_certificates import UserCertificates, check_pair
from imgd.certificates.watch import CHECK_EVERY
from imgd.host import atomic_files
from tests.certificates.folder_case import NAMES, NOW, QUICK_KEYS, StateFolderCase, read
from tests.certificates.watch_case import NAMES as LOCALHOST
from tests.certificates.watch_case import WatchCase


class CheckPairTests(StateFolderCase):
    real_keys = True

    def check(self, cert: str, key: str, now: datetime = NOW) -> list[str]:
        return check_pair(self.path(cert), self.path(key), now)

    def test_good(self) -> None:
        """A pair that matches is well, alone, with a chain, and with both in one file."""
        with open(self.path("chain.pem"), "wb") as file:
            file.write(read(self.path("server.pem")) + read(self.path("ca.pem")))
            file.write(read(self.path("server.key")))
        for cert in ("server.pem", "chain.pem"):
            for key in ("server.key", "chain.pem"):
                self.assertEqual(self.check(cert, key), [])
        self.assertEqual(self.check("server-ec.pem", "server-ec.key"), [])

    def test_unreadable(self) -> None:
        """Files that are missing or no PEM are reported together, each by its setting and path."""
        problems = self.check("none.pem", "server.pem")
        self.assertIn(f"--cert {self.path('none.pem')} cannot be read: No such file", problems[0])
        self.assertIn(f"--key {self.path('server.pem')} is no private key", problems[1])
        problems = self.check("server.key", "none.key")
        self.assertIn(f"--cert {self.path('server.key')} is no certificate", problems[0])
        self.assertIn(f"--key {self.path('none.key')} cannot be read", problems[1])

    def test_mismatch(self) -> None:
        """A key of another certificate is reported."""
        (problem,) = self.check("server.pem", "server-ec.key")
        self.assertIn("does not match --cert", problem)

    def test_expired(self) -> None:
        """A certificate that has expired is reported with its day, by default by the clock."""
        (problem,) = self.check("server.pem", "server.key", NOW + timedelta(days=365))
        self.assertIn("expired on 2027-03-01", problem)
        past = os.path.abspath(self.mktemp())
        renewal.ensure(past, NAMES, datetime(2001, 1, 1, tzinfo=UTC), keys=QUICK_KEYS)
        pair = os.path.join(past, "server.pem"), os.path.join(past, "server.key")
        self.assertIn("expired on 2002-01-01", check_pair(*pair)[0])
        in_use = UserCertificates(*pair)
        self.assertEqual(in_use.problems, [f"--cert {pair[0]} expired on 2002-01-01."])
        present = os.path.abspath(self.mktemp())
        renewal.ensure(present, NAMES, datetime.now(UTC), keys=QUICK_KEYS)
        for path in pair:
            shutil.copy(os.path.join(present, os.path.basename(path)), path)
        self.assertTrue(in_use.renew())
        self.assertEqual(in_use.problems, [])

    def test_encrypted(self) -> None:
        """A key under a password is reported; nothing asks for it."""
        key = load_pem_private_key(read(self.path("server.key")), None)
        locked = key.private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret")
        )
        atomic_files.write_file(self.path("locked.key"), locked)
        (problem,) = self.check("server.pem", "locked.key")
        self.assertIn(f"--key {self.path('locked.key')} is encrypted", problem)


class RenewTests(WatchCase):
    def make_pair(self, stem: str, names: SubjectAltNames) -> PairPaths:
        """A user's own pair, by another CA."""
        folder = os.path.join(self.folder, stem)
        return renewal.ensure(folder, names, datetime.now(UTC), keys=QUICK_KEYS).pairs[0]

    def test_changed(self) -> None:
        """A pair is used again when it changed on disk, and there is no CA of imgd's."""
        pair = self.make_pair("a", LOCALHOST)
        watch = self.watch(UserCertificates(*pair))
        self.assertIsNone(watch.ca_pem())
        new_pair = self.make_pair("b", SubjectAltNames(("renewed.example",), ()))
        shutil.copy(new_pair.certificate, pair.certificate)
        self.clock.advance(CHECK_EVERY)
        self.assertEqual(self.served_names(), "localhost", "half written: the old pair stays")
        shutil.copy(new_pair.key, pair.key)
        self.clock.advance(CHECK_EVERY)
        self.assertEqual(self.served_names(), "renewed.example")

    def test_vanished(self) -> None:
        """A pair that cannot be read leaves the old one in use, and checking goes on."""
        pair = self.make_pair("a", LOCALHOST)
        self.watch(UserCertificates(*pair))
        os.rename(pair.certificate, pair.certificate + ".away")
        self.clock.advance(CHECK_EVERY)
        self.assertEqual(self.served_names(), "localhost")
        os.rename(pair.certificate + ".away", pair.certificate)
        os.utime(pair.certificate)
        self.clock.advance(CHECK_EVERY)
        self.assertEqual(self.served_names(), "localhost")

    def test_half_written(self) -> None:
        """A pair that is half written has until the next check; if it is still unfit then, that is
        reported until it is whole.
        """
        pair = self.make_pair("a", LOCALHOST)
        whole = read(pair.certificate)
        self.watch(UserCertificates(*pair))

        def write(data: bytes) -> None:
            with open(pair.certificate, "wb") as file:
                file.write(data)

        self.assertFalse(self.is_unhealthy_after(1))
        write(whole[:100])
        self.assertFalse(self.is_unhealthy_after(1))
        self.assertTrue(self.is_unhealthy_after(1))
        self.assertTrue(self.is_unhealthy_after(5))
        write(whole)
        self.assertFalse(self.is_unhealthy_after(1))
