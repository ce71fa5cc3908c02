"""New connections are served with the certificates of the day, and what is wrong is reported."""

from __future__ import annotations

import os

from twisted.internet.defer import Deferred

from imgd.certificates.names import SubjectAltNames
from imgd.certificates.user_certificates import UserCertificates
from imgd.certificates.watch import CHECK_EVERY
from imgd.host import atomic_files
from tests.certificates.folder_case import other_template, read
from tests.certificates.watch_case import WatchCase


class WatchTests(WatchCase):
    def test_names_grow(self) -> None:
        """A leaf that no longer covers the names is renewed while the daemon runs."""
        self.watch_local()
        self.assertEqual(self.served_names(), "localhost")
        self.names = SubjectAltNames(("box.local", "localhost"), ("127.0.0.1",))
        self.clock.advance(CHECK_EVERY)
        self.assertEqual(self.served_names(), "box.local,localhost")

    def test_nothing_due(self) -> None:
        """If nothing is due, the context stays the same."""
        self.watch_local()
        before = self.new_connection().get_context()
        self.clock.advance(CHECK_EVERY)
        self.assertIs(self.new_connection().get_context(), before)

    def test_unexpected_failure(self) -> None:
        """Even a failure that nobody thought of does not stop the watch."""

        class Broken(UserCertificates):
            checks = 0

            def renew(self) -> bool:
                self.checks += 1
                raise ZeroDivisionError

        folder = other_template()
        source = Broken(*(os.path.join(folder, f"server.{kind}") for kind in ("pem", "key")))
        self.watch(source)
        before = self.served_names()
        self.clock.pump([CHECK_EVERY] * 3)
        self.assertEqual(source.checks, 3)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 3)
        self.assertEqual(self.served_names(), before)

    def test_check_is_answered(self) -> None:
        """A check can be waited for."""
        check = self.watch_local().check()
        self.assertIsInstance(check, Deferred)
        self.successResultOf(check)


class HealthTests(WatchCase):
    def test_full_disk(self) -> None:
        """A certificate that cannot be renewed is reported until it is."""
        self.watch_local()
        self.assertFalse(self.is_unhealthy_after(1))
        os.rename(self.folder, self.folder + ".away")
        atomic_files.write_file(self.folder, b"")
        self.names = SubjectAltNames(("localhost", "more.example"), ())
        self.assertTrue(self.is_unhealthy_after(3))
        os.remove(self.folder)
        os.rename(self.folder + ".away", self.folder)
        self.assertFalse(self.is_unhealthy_after(1))

    def test_authority_damaged(self) -> None:
        """A CA that was damaged, or went missing, is reported until it is back, and stays as it
        was; at the next start too.
        """
        self.watch_local()
        for name in ("ca.key", "ca.pem"):
            path = os.path.join(self.folder, name)
            whole = read(path)
            atomic_files.write_file(path, whole[:99])
            self.assertTrue(self.is_unhealthy_after(1))
            self.assertIn("start imgd again", self.local_certificates().problems[0])
            os.remove(path)
            self.assertTrue(self.is_unhealthy_after(1))
            atomic_files.write_file(path, whole)
            self.assertFalse(self.is_unhealthy_after(1))

    def test_folder_vanishes(self) -> None:
        """A state folder that vanished is reported until it is back, and is not made again."""
        self.watch_local()
        away = self.folder + ".away"
        os.rename(self.folder, away)
        self.assertTrue(self.is_unhealthy_after(1))
        self.assertFalse(os.path.exists(self.folder))
        os.rename(away, self.folder)
        self.assertFalse(self.is_unhealthy_after(1))
