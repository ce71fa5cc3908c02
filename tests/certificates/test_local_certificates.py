"""The local CA's certificates while a daemon runs, and what is logged about them."""

from __future__ import annotations

import os
import ssl

from twisted.logger import ILogObserver, LogEvent, formatEvent, globalLogPublisher
from zope.interface import implementer

from imgd.certificates.names import SubjectAltNames
from imgd.certificates.watch import CHECK_EVERY
from imgd.host import atomic_files
from tests.certificates.folder_case import unlimit
from tests.certificates.watch_case import WatchCase


@implementer(ILogObserver)
class Lines:
    """The lines that are logged."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def __call__(self, event: LogEvent) -> None:
        self.lines.append(formatEvent(event))

    def with_text(self, text: str) -> list[str]:
        return [line for line in self.lines if text in line]


class LocalCertificatesTests(WatchCase):
    def observe(self) -> Lines:
        lines = Lines()
        globalLogPublisher.addObserver(lines)
        self.addCleanup(globalLogPublisher.removeObserver, lines)
        return lines

    def test_name_outside(self) -> None:
        """A name that the machine got since, and the CA does not permit, is left out of the leaf,
        and logged once.
        """
        self.watch_local()
        lines = self.observe()
        self.names = SubjectAltNames(("box.example", "box.local", "localhost"), ("127.0.0.1",))
        self.clock.pump([CHECK_EVERY] * 3)
        self.assertEqual(self.served_names(), "box.local,localhost")
        self.assertEqual(len(lines.with_text("leaves out box.example: ")), 1, lines.lines)

    def test_unlimited_authority(self) -> None:
        """A CA of imgd 0.1.0 is kept, with one line that says how to get a limited one; a new one
        is served without that line.
        """
        lines = self.observe()
        self.local_certificates()
        self.assertEqual(lines.with_text("every site in the world"), [])
        unlimit(self.folder)
        self.watch_local()
        self.clock.pump([CHECK_EVERY] * 3)
        (line,) = lines.with_text("every site in the world")
        self.assertIn("move ca.pem and ca.key away", line)
        self.names = SubjectAltNames(("box.example", "localhost"), ("127.0.0.1",))
        self.clock.advance(CHECK_EVERY)
        self.assertEqual(self.served_names(), "box.example,localhost")

    def test_authority_damaged(self) -> None:
        """While ca.pem cannot be read, none is handed out, and the leaf is served on."""
        watch = self.watch_local()
        atomic_files.write_file(os.path.join(self.folder, "ca.pem"), b"nonsense")
        self.assertIsNone(watch.ca_pem())
        self.clock.advance(CHECK_EVERY)
        self.assertEqual(self.served_names(), "localhost")
        restarted = self.watch_local()
        self.assertIsNone(restarted.ca_pem())
        self.assertEqual(self.served_names(), "localhost")

    def test_ca_pem(self) -> None:
        """The CA's certificate can be handed out, and is no key."""
        pem = self.watch_local().ca_pem()
        assert pem is not None
        self.assertNotIn(b"PRIVATE", pem)
        ssl.PEM_cert_to_DER_cert(pem.decode("ascii"))
