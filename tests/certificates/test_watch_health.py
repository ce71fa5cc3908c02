"""A certificate that cannot be used is told once, and its recovery once."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime

from twisted.internet.defer import execute
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from imgd.certificates import renewal
from imgd.certificates.renewal import SubjectAltNames
from imgd.certificates.watch import (
    CHECK_EVERY,
    CertificateWatch,
    MadeCertificates,
    OwnCertificates,
)
from imgd.core import health
from imgd.host import atomic_files
from imgd.host.health_monitor import HealthMonitor

NAMES = SubjectAltNames(("localhost",), ("127.0.0.1",))


class TroubleTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = os.path.abspath(self.mktemp())
        self.clock = Clock()
        self.health_monitor = HealthMonitor(self.clock.seconds)

    def watch(self, source: OwnCertificates | MadeCertificates) -> None:
        watch = CertificateWatch(source, execute, self.clock, self.health_monitor)
        watch.start()
        self.addCleanup(watch.stop)

    def after(self, checks: int, act: Callable[[], object] = lambda: None) -> bool:
        """Whether there is trouble after so many checks."""
        act()
        self.clock.pump([CHECK_EVERY] * checks)
        return health.CERTIFICATES in self.health_monitor

    def test_half_written(self) -> None:
        """A pair that is half written has until the next check; what stays unfit then is trouble,
        until it is whole.
        """
        files = renewal.ensure(self.folder, NAMES, datetime.now(UTC))
        with open(files.server_pem, "rb") as file:
            whole = file.read()
        self.watch(OwnCertificates(files.server_pem, files.server_key))

        def write(data: bytes) -> Callable[[], None]:
            def act() -> None:
                with open(files.server_pem, "wb") as file:
                    file.write(data)

            return act

        self.assertFalse(self.after(1))
        self.assertFalse(self.after(1, write(whole[:100])))
        self.assertTrue(self.after(1))
        self.assertTrue(self.after(5))
        self.assertFalse(self.after(1, write(whole)))

    def test_full_disk(self) -> None:
        """A certificate that cannot be renewed is trouble until it is."""
        names = [NAMES]
        self.watch(MadeCertificates(self.folder, lambda: names[0], force_leaf=False))
        self.assertFalse(self.after(1))
        os.rename(self.folder, self.folder + ".away")
        with open(self.folder, "wb"):
            names[0] = SubjectAltNames(("localhost", "more.example"), ())
            self.assertTrue(self.after(3))
        os.remove(self.folder)
        os.rename(self.folder + ".away", self.folder)
        self.assertFalse(self.after(1))

    def test_authority(self) -> None:
        """A CA that was damaged, went missing or lost its folder is trouble until it is back, and
        stays as it was; at the next start too.
        """
        names = [NAMES]
        self.watch(MadeCertificates(self.folder, lambda: names[0], force_leaf=False))
        for name in ("ca.key", "ca.pem"):
            path = os.path.join(self.folder, name)
            with open(path, "rb") as file:
                whole = file.read()

            def write(data: bytes, path: str = path) -> Callable[[], None]:
                return lambda: atomic_files.write_file(path, data)

            self.assertTrue(self.after(1, write(whole[:99])))
            started = MadeCertificates(self.folder, lambda: names[0], force_leaf=False)
            self.assertIn("start imgd again", started.problems[0])
            self.assertTrue(self.after(1, lambda path=path: os.remove(path)))
            self.assertFalse(self.after(1, write(whole)))
        away = self.folder + ".away"
        self.assertTrue(self.after(1, lambda: os.rename(self.folder, away)))
        self.assertFalse(os.path.exists(self.folder))
        self.assertFalse(self.after(1, lambda: os.rename(away, self.folder)))
