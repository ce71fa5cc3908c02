"""Whom the client believes: a CA of its own, or the system's. There is no third way."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from OpenSSL import SSL
from service_identity import VerificationError
from twisted.internet import error
from twisted.internet.defer import CancelledError
from twisted.internet.ssl import Certificate, platformTrust, trustRootFromCertificates
from twisted.python.failure import Failure

from imgd.client.errors import ClientError, Misbehaved, Unreachable, Untrusted
from imgd.client.identity import StrictPolicy

_NOT_TLS = ("wrong version number", "packet length too long", "http request")


def trust_root(ca: bytes | None) -> Any:
    """A trust root of Twisted for the certificates of this PEM and no other; without one, for the
    system's store.
    """
    if ca is None:
        return platformTrust()
    try:
        found = x509.load_pem_x509_certificates(ca)
    except ValueError:
        raise Untrusted("The CA file holds no certificate: give a PEM file.") from None
    ders = [certificate.public_bytes(Encoding.DER) for certificate in found]
    return trustRootFromCertificates([Certificate.load(der) for der in ders])


def policy(ca: bytes | None) -> StrictPolicy:
    """The TLS policy of connections: chain and host name are verified, always."""
    return StrictPolicy(trust_root(ca))


def explain(failure: Failure) -> ClientError:
    """What a failed connection means to the user, and whether trying again may help.

    Raises CancelledError where it failed because it was called off, and what is no failure of a
    connection as it is.
    """
    reasons = getattr(failure.value, "reasons", None)  # twisted.web wraps what happened in these
    if reasons:
        return explain(reasons[-1])
    if isinstance(failure.value, ClientError):
        return failure.value
    if failure.check(CancelledError, error.ConnectingCancelledError):
        raise CancelledError
    if failure.check(SSL.Error):
        return _tls(failure.value)
    if type(failure.value).__name__ == "ParseError":  # twisted.web's, which has no public name
        return Misbehaved("The server's answer is not HTTP.")
    for kinds, meaning in _MEANINGS.items():
        if failure.check(*kinds):
            return meaning()
    assert failure.value is not None
    raise failure.value


_MEANINGS: Final[dict[tuple[type[Exception], ...], Callable[[], ClientError]]] = {
    (VerificationError,): lambda: Untrusted(
        "The server's certificate is for another name than the URL's."
    ),
    (error.TimeoutError,): lambda: Unreachable("No connection: nothing answers at that address."),
    (error.ConnectionDone, error.ConnectionLost): lambda: Unreachable(
        "The server closed the connection before its answer was whole."
    ),
    (error.DNSLookupError,): lambda: Unreachable("The server's name is unknown: check the URL."),
    (error.ConnectError,): lambda: Unreachable(
        "Nothing answers there: is the server running, and the port right?"
    ),
    (OSError,): lambda: Unreachable("The connection failed."),
}


def _tls(value: object) -> ClientError:
    said = str(value)
    if "certificate verify failed" in said:
        return Untrusted(
            "The server's certificate is not signed by a CA that is trusted here: "
            "name the right one with --ca FILE (imgd writes its own as ca.pem)."
        )
    if any(words in said for words in _NOT_TLS):
        return Untrusted("The server does not speak TLS on this port: try http:// in the URL.")
    if said in {"", "[]"}:
        return Unreachable("The server broke the TLS connection off.")
    return Untrusted(f"TLS failed: {said}")
