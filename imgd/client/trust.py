"""Which server is trusted, by its certificate, and what a failed connection means to the user."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from typing import Any, Final

from cryptography import x509
from cryptography.utils import CryptographyDeprecationWarning
from OpenSSL import SSL, crypto
from service_identity import CertificateError, VerificationError, hazmat
from twisted.internet import error, ssl
from twisted.internet.abstract import isIPAddress, isIPv6Address
from twisted.internet.defer import CancelledError
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator
from twisted.protocols.tls import TLSMemoryBIOProtocol
from twisted.python.failure import Failure
from zope.interface import implementer

from imgd.client.errors import ClientError, Unreachable, Untrusted

_NOT_TLS: Final = ("wrong version number", "packet length too long", "http request")
_CERTIFICATE: Final = re.compile(
    rb"-----BEGIN ((?:X509 )?CERTIFICATE)-----(?:(?!-----BEGIN).)*?-----END \1-----", re.S
)
_NOTHING: Final = "Nothing answers there: is the server running, and the port right?"
_ERRORS: Final = (
    (VerificationError, Untrusted, "The server's certificate is for another name than the URL's."),
    (error.TimeoutError, Unreachable, "No connection: nothing answers at that address."),
    (error.ConnectionClosed, Unreachable, "The server closed the connection before it answered."),
    (error.DNSLookupError, Unreachable, "The server's name is unknown: check the URL."),
    (error.ConnectError, Unreachable, _NOTHING),
    (OSError, Unreachable, "The connection failed."),
)


@cache
def trust_root(ca: bytes | None) -> Any:
    """Trust the certificates of this PEM and no other; without one, the system's store."""
    if ca is None:
        return ssl.platformTrust()
    roots = list(_readable(ca))
    if not roots:
        raise Untrusted("The CA file holds no certificate: give a PEM file.")
    return ssl.trustRootFromCertificates([ssl.Certificate(root) for root in roots])


def _readable(ca: bytes) -> Iterator[crypto.X509]:
    """Every certificate of a bundle that can be read: one that cannot refuses no other.

    By OpenSSL: cryptography warns of old roots of the system's store, whose serials are negative.
    """
    for block in certificates(ca):
        with suppress(crypto.Error):
            yield crypto.load_certificate(crypto.FILETYPE_PEM, block)


def certificates(pem: bytes) -> list[bytes]:
    """The blocks of certificates in a PEM file, as they stand, without what else is in it."""
    return [block[0] for block in _CERTIFICATE.finditer(pem)]


def verify_host(certificate: x509.Certificate, host: str) -> None:
    """Raise unless the certificate is for this host name or address (RFC 9525 section 6)."""
    names: Any = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    addresses = names.get_values_for_type(x509.IPAddress)
    patterns: list[hazmat.CertificatePattern] = [*map(hazmat.IPAddressPattern, addresses)]
    for name in names.get_values_for_type(x509.DNSName):
        with suppress(CertificateError):  # one that cannot be read matches nothing; others may
            patterns.append(hazmat.DNSPattern.from_bytes(name.encode("utf-8")))
    is_address = isIPAddress(host) or isIPv6Address(host)
    identity = hazmat.IPAddress_ID(host) if is_address else hazmat.DNS_ID(host)
    hazmat.verify_service_identity(patterns, [identity], [])


@implementer(IOpenSSLClientConnectionCreator)
class StrictCreator:
    """Verifies a host's chain and name, failing closed. Twisted 26.10 lets a connection pass if its
    check of names itself raises: a certificate with no names, or with one that service-identity
    cannot read (``*.localhost``), is then good for every host.
    """

    def __init__(self, host: str, root: Any) -> None:
        self._host = host
        self._options = ssl.optionsForClientTLS(host, root)

    def clientConnectionForTLS(self, tlsProtocol: TLSMemoryBIOProtocol) -> SSL.Connection:
        connection: SSL.Connection = self._options.clientConnectionForTLS(tlsProtocol)

        def verify(_: SSL.Connection, leaf: Any, error: int, depth: int, ok: int) -> bool:
            try:
                if ok and depth == 0:
                    with warnings.catch_warnings():  # of what is odd in it
                        warnings.simplefilter("ignore", CryptographyDeprecationWarning)
                        verify_host(leaf.to_cryptography(), self._host)
            except Exception:
                tlsProtocol.failVerification(Failure(VerificationError(errors=[])))
                return False
            return bool(ok)

        connection.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, verify)
        return connection


def explain(problem: Any) -> ClientError:
    """What a failed connection means to the user; cancellations and other errors are raised."""
    if isinstance(problem, CancelledError | error.ConnectingCancelledError):
        raise CancelledError
    if isinstance(problem, SSL.Error):
        return _explain_tls(str(problem))
    for kinds, error_class, detail in _ERRORS:
        if isinstance(problem, kinds):
            return error_class(detail)
    raise problem


def _explain_tls(text: str) -> ClientError:
    if text in {"", "[]"}:
        return Unreachable("The server broke the TLS connection off.")
    if any(words in text for words in _NOT_TLS):
        return Untrusted("The server does not speak TLS on this port: try http:// in the URL.")
    if "certificate verify failed" not in text:
        return Untrusted(f"TLS failed: {text}")
    return Untrusted("The server's CA is not trusted: name it with --ca FILE (imgd's own: ca.pem).")
