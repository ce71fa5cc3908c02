"""Certificates for servers that tests make up."""

from __future__ import annotations

import datetime
from ipaddress import ip_address

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from OpenSSL import SSL
from twisted.internet.interfaces import IOpenSSLContextFactory
from zope.interface import implementer

DAY = datetime.timedelta(days=1)


@implementer(IOpenSSLContextFactory)
class ServerContext:
    """The context of a server with this certificate."""

    def __init__(self, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> None:
        self._context = SSL.Context(SSL.TLS_SERVER_METHOD)
        self._context.use_certificate(certificate)
        self._context.use_privatekey(key)

    def getContext(self) -> SSL.Context:
        return self._context


class Authority:
    """A CA of a test's own: ``pem``, and servers' TLS options."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name("a test's CA")
        self._certificate = self._sign(self._name, self._key, (), is_ca=True)
        self.pem = self._certificate.public_bytes(Encoding.PEM)

    def certificate(self, *names: str) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
        """A leaf for these host names and addresses; with none, it names nothing."""
        key = ec.generate_private_key(ec.SECP256R1())
        return self._sign(_name("a server"), key, names, is_ca=False), key

    def options(self, *names: str) -> ServerContext:
        """What ``listenSSL`` needs to present such a leaf."""
        return ServerContext(*self.certificate(*names))

    def _sign(
        self,
        subject: x509.Name,
        key: ec.EllipticCurvePrivateKey,
        names: tuple[str, ...],
        *,
        is_ca: bool,
    ) -> x509.Certificate:
        now = datetime.datetime.now(datetime.UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - DAY)
            .not_valid_after(now + DAY)
            .add_extension(x509.BasicConstraints(is_ca, None), critical=True)
        )
        if names:
            alternative = x509.SubjectAlternativeName([_general(name) for name in names])
            builder = builder.add_extension(alternative, critical=False)
        return builder.sign(self._key, hashes.SHA256())


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)
