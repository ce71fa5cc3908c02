"""The TLS context: what imgd speaks, with which certificates, exchanged while it runs."""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from typing import Final

from OpenSSL import SSL
from twisted.internet.interfaces import IOpenSSLServerConnectionCreator
from twisted.protocols.tls import TLSMemoryBIOProtocol
from zope.interface import implementer

from imgd.certificates import files
from imgd.errors import StartError
from imgd.net import bulk_tls

# Mozilla's intermediate list (guidelines 5.7) without DHE, whose parameters would have to be made.
CIPHERS: Final = (
    b"ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"
    b"ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"
    b"ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"
)
HTTP_1_1: Final = b"http/1.1"
# pyOpenSSL does not name this bit of SSL_OP_*; the standard library has it from the same header.
_OPTIONS: Final = SSL.OP_NO_COMPRESSION | int(ssl.OP_NO_RENEGOTIATION)

Paths = tuple[str, str]  # of a certificate, whose chain may follow it, and of its key


def build_context(pairs: Sequence[Paths]) -> SSL.Context:
    """A server's context with these certificates and keys.

    Pairs of different kinds, RSA and P-256, stand beside each other: OpenSSL gives each client one
    that it can use. TLS 1.2 and 1.3, and the client chooses among the ciphers, as Mozilla advises
    (a phone without AES hardware picks ChaCha20). ``StartError`` names what cannot be used.

    A client resumes a session by a ticket (RFC 8446 section 2.2, RFC 5077), which spares both ends
    the signature. The tickets' keys are this context's own, made by OpenSSL and never stored: a
    ticket is good until the context is swapped or the daemon ends. No session is stored here, and
    early data, which could be replayed, is not taken.
    """
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    context.set_min_proto_version(SSL.TLS1_2_VERSION)
    context.set_max_proto_version(SSL.TLS1_3_VERSION)
    context.set_options(_OPTIONS)
    bulk_tls.prepare(context)
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    context.set_cipher_list(CIPHERS)
    context.set_alpn_select_callback(_select_http_1_1)
    for certificate, key in pairs:
        _use_pair(context, certificate, key)
    return context


class _NoApplicationProtocolError(SSL.Error):
    """Ends a handshake as OpenSSL's own errors do, which Twisted recognizes by their queue."""

    def __init__(self) -> None:
        super().__init__([("SSL routines", "", "no application protocol")])


def _select_http_1_1(_connection: SSL.Connection, offered: Sequence[bytes]) -> bytes:
    """HTTP/1.1 alone. Not called if a client offers nothing: that client is served.

    The exception becomes the fatal alert no_application_protocol (RFC 7301 section 3.2), and
    pyOpenSSL raises it again from the handshake.
    """
    if HTTP_1_1 not in offered:
        raise _NoApplicationProtocolError
    return HTTP_1_1


def _use_pair(context: SSL.Context, certificate: str, key: str) -> None:
    """Install one pair; OpenSSL keeps the chain of each kind of certificate apart."""
    try:
        leaf, private_key = files.read_chain(certificate)[0], files.read_key(key)
        if files.belong_together(leaf, private_key):
            context.use_certificate_chain_file(certificate)
            context.use_privatekey(private_key)
            return
        reason = "the key does not match the certificate"
    except (SSL.Error, OSError, ValueError, TypeError) as error:
        reason = _reason(error)
    raise StartError(f"Cannot serve with {certificate} and {key}: {reason}")


def _reason(error: Exception) -> str:
    """The last reason of OpenSSL's queue (library, function, reason), or the system's."""
    if isinstance(error, SSL.Error) and error.args and error.args[0]:
        return str(error.args[0][-1][-1])
    return getattr(error, "strerror", None) or str(error)


@implementer(IOpenSSLServerConnectionCreator)
class SwappableContext:
    """The context that a TLS listener's new connections use.

    A context cannot change once it was used; another is put in its place. Open connections keep
    theirs.
    """

    def __init__(self, context: SSL.Context) -> None:
        self._context = context

    def swap(self, context: SSL.Context) -> None:
        """New connections use ``context`` from now on."""
        self._context = context

    def serve(self, pairs: Sequence[Paths]) -> None:
        """New connections use these certificates from now on; as for :func:`build_context`."""
        self.swap(build_context(pairs))

    def serverConnectionForTLS(self, tlsProtocol: TLSMemoryBIOProtocol) -> SSL.Connection:
        """The OpenSSL end of a new connection, over memory."""
        return SSL.Connection(self._context, None)
