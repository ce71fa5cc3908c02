"""Whether a certificate is for the host that was asked: a check that fails closed.

Twisted 26.10 checks names in a callback that, where the check itself raises, logs the exception and
*lets the connection pass*: a certificate with no names at all, or with one that service-identity
cannot read (such as imgd's ``*.localhost``), is then good for every host. Here what cannot be read
matches nothing, and what raises refuses.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address
from typing import Any

from cryptography import x509
from OpenSSL import SSL
from service_identity import CertificateError, VerificationError
from service_identity.hazmat import (
    DNS_ID,
    CertificatePattern,
    DNSPattern,
    IPAddress_ID,
    IPAddressPattern,
    verify_service_identity,
)
from twisted.internet.abstract import isIPAddress, isIPv6Address
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator
from twisted.internet.ssl import optionsForClientTLS
from twisted.protocols.tls import TLSMemoryBIOProtocol
from twisted.python.failure import Failure
from twisted.web.iweb import IPolicyForHTTPS
from zope.interface import implementer


def verify_host(certificate: x509.Certificate, host: str) -> None:
    """Return where the certificate is for this host name or address; RFC 9525 section 6.

    Raises VerificationError or CertificateError where it is not.
    """
    is_address = isIPAddress(host) or isIPv6Address(host)
    wanted = IPAddress_ID(host) if is_address else DNS_ID(host)
    verify_service_identity(_patterns(certificate), [wanted], [])


def _patterns(certificate: x509.Certificate) -> list[CertificatePattern]:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    found: list[CertificatePattern] = []
    for address in names.get_values_for_type(x509.IPAddress):
        if isinstance(address, IPv4Address | IPv6Address):
            found.append(IPAddressPattern(address))
    for name in names.get_values_for_type(x509.DNSName):
        try:
            found.append(DNSPattern.from_bytes(name.encode("utf-8")))
        except CertificateError:
            continue  # a name that matches nothing takes nothing away from the others
    return found


@implementer(IOpenSSLClientConnectionCreator)
class StrictCreator:
    """Makes the TLS connections to one host: chain and name are verified, whatever happens."""

    def __init__(self, host: str, trust_root: Any) -> None:
        self._host = host
        self._inner = optionsForClientTLS(host, trust_root)

    def clientConnectionForTLS(self, tlsProtocol: TLSMemoryBIOProtocol) -> SSL.Connection:
        """A connection whose handshake succeeds with this host alone."""
        connection: SSL.Connection = self._inner.clientConnectionForTLS(tlsProtocol)

        def verify(_: SSL.Connection, leaf: object, error: int, depth: int, ok: int) -> bool:
            if not ok or depth != 0:
                return bool(ok)
            try:
                verify_host(leaf.to_cryptography(), self._host)  # type: ignore[attr-defined]
            except Exception:
                tlsProtocol.failVerification(Failure(VerificationError(errors=[])))
                return False
            return True

        connection.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, verify)
        return connection


@implementer(IPolicyForHTTPS)
class StrictPolicy:
    """The TLS policy of every connection of the client, with one trust root."""

    def __init__(self, trust_root: Any) -> None:
        self._trust_root = trust_root

    def creatorForNetloc(self, hostname: bytes, port: int) -> StrictCreator:
        """What makes connections to this host; its port is no part of a certificate."""
        return StrictCreator(hostname.decode("ascii"), self._trust_root)
