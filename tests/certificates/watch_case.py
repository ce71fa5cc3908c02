"""A watch whose time is in the test's hands, and what its new connections are served with."""

from __future__ import annotations

import contextlib
import os
from typing import cast

from cryptography import x509
from OpenSSL import SSL
from twisted.internet.defer import execute
from twisted.internet.interfaces import IOpenSSLServerConnectionCreator
from twisted.internet.task import Clock
from twisted.protocols.tls import TLSMemoryBIOProtocol
from twisted.trial.unittest import SynchronousTestCase

from imgd.certificates.local_certificates import LocalCertificates
from imgd.certificates.names import SubjectAltNames
from imgd.certificates.watch import CHECK_EVERY, CertificateSource, CertificateWatch
from imgd.core import health
from imgd.host.health_monitor import HealthMonitor
from imgd.net.tls import SwappableContext, build_context
from tests.certificates.folder_case import QUICK_KEYS, alt_names

NAMES = SubjectAltNames(("localhost",), ("127.0.0.1",))


class WatchCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = os.path.abspath(self.mktemp())
        self.clock = Clock()
        self.health_monitor = HealthMonitor(self.clock.seconds)
        self.names = NAMES

    def watch(self, source: CertificateSource) -> CertificateWatch:
        self.context = SwappableContext(build_context(source.pairs))
        watch = CertificateWatch(
            source, self.context.serve, execute, self.clock, self.health_monitor
        )
        watch.start()
        self.addCleanup(watch.stop)
        return watch

    def local_certificates(self) -> LocalCertificates:
        return LocalCertificates(self.folder, lambda: self.names, force_leaf=False, keys=QUICK_KEYS)

    def watch_local(self) -> CertificateWatch:
        return self.watch(self.local_certificates())

    def new_connection(self) -> SSL.Connection:
        creator = cast(IOpenSSLServerConnectionCreator, self.context)
        return creator.serverConnectionForTLS(cast(TLSMemoryBIOProtocol, None))

    def served_names(self) -> str:
        """The names of the certificate that a new connection is served with."""
        server = self.new_connection()
        server.set_accept_state()
        client = SSL.Connection(SSL.Context(SSL.TLS_CLIENT_METHOD), None)
        client.set_connect_state()
        for _ in range(10):
            for end, other in ((client, server), (server, client)):
                with contextlib.suppress(SSL.WantReadError):
                    end.do_handshake()
                with contextlib.suppress(SSL.WantReadError):
                    other.bio_write(end.bio_read(2**16))
        leaf = client.get_peer_certificate(as_cryptography=True)
        assert leaf is not None
        return ",".join(alt_names(leaf).get_values_for_type(x509.DNSName))

    def is_unhealthy_after(self, checks: int) -> bool:
        self.clock.pump([CHECK_EVERY] * checks)
        return health.CERTIFICATES in self.health_monitor
