"""Certificates of a running daemon."""

from __future__ import annotations

import contextlib
import os
import shutil
import ssl
from datetime import UTC, datetime

from cryptography import x509
from OpenSSL import SSL
from twisted.internet.defer import Deferred, execute
from twisted.internet.task import Clock
from twisted.logger import LogEvent, formatEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from imgd.certificates import renewal
from imgd.certificates.renewal import SubjectAltNames
from imgd.certificates.watch import (
    CHECK_EVERY,
    CertificateWatch,
    MadeCertificates,
    OwnCertificates,
)
from imgd.host import atomic_files
from tests.certificates.test_authority import unlimit

NAMES = SubjectAltNames(("localhost",), ("127.0.0.1",))


def leaf_names(watch: CertificateWatch) -> str:
    """The subject names of the certificate that a new connection of the watch is served with."""
    server = watch.context.serverConnectionForTLS(None)  # type: ignore[arg-type]
    server.set_accept_state()
    client = SSL.Connection(SSL.Context(SSL.TLS_CLIENT_METHOD), None)
    client.set_connect_state()
    for _ in range(10):
        for end, other in ((client, server), (server, client)):
            with contextlib.suppress(SSL.WantReadError):
                end.do_handshake()
            try:
                other.bio_write(end.bio_read(2**16))
            except SSL.WantReadError:
                continue
    found = client.get_peer_certificate(as_cryptography=True)

    names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return ",".join(names.get_values_for_type(x509.DNSName))


class WatchTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = self.mktemp()
        self.clock = Clock()
        self.names = NAMES

    def watch(self, source: OwnCertificates | MadeCertificates) -> CertificateWatch:
        watch = CertificateWatch(source, execute, self.clock)
        watch.start()
        self.addCleanup(watch.stop)
        return watch

    def made(self) -> CertificateWatch:
        return self.watch(MadeCertificates(self.folder, lambda: self.names, force_leaf=False))

    def test_names_grow(self) -> None:
        """A leaf that no longer covers the names is renewed while the daemon runs."""
        watch = self.made()
        self.assertEqual(leaf_names(watch), "localhost")
        self.names = SubjectAltNames(("box.local", "localhost"), ("127.0.0.1",))
        self.clock.advance(CHECK_EVERY)
        self.assertEqual(leaf_names(watch), "box.local,localhost")

    def lines(self) -> list[str]:
        """The log's lines from now on."""
        found: list[str] = []

        def observe(event: LogEvent) -> None:
            found.append(formatEvent(event))

        globalLogPublisher.addObserver(observe)
        self.addCleanup(globalLogPublisher.removeObserver, observe)
        return found

    def test_name_outside(self) -> None:
        """A name that the machine got since, and the CA does not permit, is left out of the leaf:
        told once, and no reason to end anything.
        """
        watch = self.made()
        lines = self.lines()
        self.names = SubjectAltNames(("box.example", "box.local", "localhost"), ("127.0.0.1",))
        self.clock.pump([CHECK_EVERY] * 3)
        self.assertEqual(leaf_names(watch), "box.local,localhost")
        told = [line for line in lines if "leaves out box.example: " in line]
        self.assertEqual(len(told), 1, lines)

    def test_unlimited_authority(self) -> None:
        """A CA of imgd 0.1.0 is kept, with one line that says how to get a limited one; a new one
        is served without that.
        """
        lines = self.lines()
        MadeCertificates(self.folder, lambda: self.names, force_leaf=False)
        self.assertFalse([line for line in lines if "every site in the world" in line])
        unlimit(self.folder)
        watch = self.made()
        self.clock.pump([CHECK_EVERY] * 3)
        (told,) = [line for line in lines if "every site in the world" in line]
        self.assertIn("move ca.pem and ca.key away", told)
        self.names = SubjectAltNames(("box.example", "localhost"), ("127.0.0.1",))
        self.clock.advance(CHECK_EVERY)
        self.assertEqual(leaf_names(watch), "box.example,localhost")

    def test_authority_damaged(self) -> None:
        """While ca.pem cannot be read, none is handed out, and the leaf is served on."""
        watch = self.made()
        atomic_files.write_file(os.path.join(self.folder, "ca.pem"), b"nonsense")
        self.assertIsNone(watch.ca_pem())
        self.clock.advance(CHECK_EVERY)
        self.assertEqual(leaf_names(watch), "localhost")
        again = self.made()
        self.assertIsNone(again.ca_pem())
        self.assertEqual(leaf_names(again), "localhost")

    def test_nothing_due(self) -> None:
        """Where nothing is due, the context stays the same."""
        watch = self.made()
        before = watch.context.serverConnectionForTLS(None).get_context()  # type: ignore[arg-type]
        self.clock.advance(CHECK_EVERY)
        after = watch.context.serverConnectionForTLS(None).get_context()  # type: ignore[arg-type]
        self.assertIs(before, after)

    def test_ca(self) -> None:
        """The CA's certificate can be handed out, and is no key."""
        watch = self.made()
        pem = watch.ca_pem()
        self.assertIsNotNone(pem)
        self.assertNotIn(b"PRIVATE", pem or b"")
        ssl.PEM_cert_to_DER_cert((pem or b"").decode("ascii"))

    def own(self, stem: str, names: SubjectAltNames) -> tuple[str, str]:
        """A user's own pair, by another CA."""
        folder = os.path.join(self.folder, stem)
        files = renewal.ensure(folder, names, datetime.now(UTC))
        return files.server_pem, files.server_key

    def test_own_pair_changes(self) -> None:
        """A user's pair is used again when it changed on disk, and there is no CA of imgd's."""
        cert, key = self.own("a", NAMES)
        watch = self.watch(OwnCertificates(cert, key))
        self.assertIsNone(watch.ca_pem())
        new_cert, new_key = self.own("b", SubjectAltNames(("renewed.example",), ()))
        shutil.copy(new_cert, cert)
        self.clock.advance(CHECK_EVERY)
        self.assertEqual(leaf_names(watch), "localhost", "half written: the old pair stays")
        shutil.copy(new_key, key)
        self.clock.advance(CHECK_EVERY)
        self.assertEqual(leaf_names(watch), "renewed.example")

    def test_own_pair_vanishes(self) -> None:
        """A pair that cannot be read leaves the old one in use, and checking goes on."""
        cert, key = self.own("a", NAMES)
        watch = self.watch(OwnCertificates(cert, key))
        os.rename(cert, cert + ".away")
        self.clock.advance(CHECK_EVERY)
        self.assertEqual(leaf_names(watch), "localhost")
        os.rename(cert + ".away", cert)
        os.utime(cert)
        self.clock.advance(CHECK_EVERY)
        self.assertEqual(leaf_names(watch), "localhost")

    def test_unexpected_failure(self) -> None:
        """Even a failure that nobody thought of does not stop the watch."""

        class Broken(OwnCertificates):
            checks = 0

            def renewed(self) -> None:
                self.checks += 1
                raise ZeroDivisionError

        source = Broken(*self.own("a", NAMES))
        watch = self.watch(source)
        self.clock.pump([CHECK_EVERY] * 3)
        self.assertEqual(source.checks, 3)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 3)
        self.assertEqual(leaf_names(watch), "localhost")

    def test_check_is_answered(self) -> None:
        """A check can be waited for."""
        self.assertIsInstance(self.made().check(), Deferred)
