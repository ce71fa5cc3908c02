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


def build_context(
    pairs: Sequence[tuple[str, str]], broad: tuple[str, str] | None = None
) -> SSL.Context:
    """A server's context with the certificates (chain allowed) and keys at these paths.

    ``broad`` is served to a client that asks for a name which its broad wildcards match
    (:meth:`imgd.certificates.names.NameIndex.apart`).

    Pairs of different kinds, RSA and P-256, stand beside each other: OpenSSL gives each client one
    that it can use. TLS 1.2 and 1.3, and the client chooses among the ciphers, as Mozilla advises
    (a phone without AES hardware picks ChaCha20). ``StartError`` names what cannot be used.

    A client comes back by a ticket (RFC 8446 section 2.2, RFC 5077), which spares both ends the
    signature. Its keys are this context's own, made by OpenSSL and never stored: a ticket is good
    until the context is swapped or the daemon ends. Nothing is kept for a client here, and early
    data, which could be replayed, is not taken.
    """
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    context.set_min_proto_version(SSL.TLS1_2_VERSION)
    context.set_max_proto_version(SSL.TLS1_3_VERSION)
    context.set_options(_OPTIONS)
    bulk_tls.prepare(context)
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    context.set_cipher_list(CIPHERS)
    context.set_alpn_select_callback(_http_1_1)
    for certificate, key in pairs:
        _use(context, certificate, key)
    if broad is not None:
        _use_broad(context, broad, besides=pairs)
    return context


def _use_broad(
    context: SSL.Context, pair: tuple[str, str], besides: Sequence[tuple[str, str]]
) -> None:
    """Give clients that name ``any.TOP`` (RFC 6066 section 3) the certificate for ``*.TOP``, unless
    the others hold that very name.
    """
    other = build_context([pair])
    tops = set(files.subject_names(pair[0]))
    held = {name for certificate, _ in besides for name in files.subject_names(certificate)}

    def choose(connection: SSL.Connection) -> None:
        name = (connection.get_servername() or b"").decode("ascii", "replace").lower()
        if name not in held and f"*.{name.partition('.')[2]}" in tops:
            connection.set_context(other)

    context.set_tlsext_servername_callback(choose)


class _NoApplicationProtocolError(SSL.Error):
    """Ends a handshake as OpenSSL's own errors do, which Twisted tells by their queue."""

    def __init__(self) -> None:
        super().__init__([("SSL routines", "", "no application protocol")])


def _http_1_1(_connection: SSL.Connection, offered: Sequence[bytes]) -> bytes:
    """HTTP/1.1 alone. Not asked where a client offers nothing: that one is served.

    Raised here, it becomes the fatal alert no_application_protocol (RFC 7301 section 3.2), and is
    raised again where the handshake was driven.
    """
    if HTTP_1_1 not in offered:
        raise _NoApplicationProtocolError
    return HTTP_1_1


def _use(context: SSL.Context, certificate: str, key: str) -> None:
    """Install one pair; OpenSSL keeps the chain of each kind of certificate apart."""
    try:
        leaf, secret = files.read_chain(certificate)[0], files.read_key(key)
        if files.belong_together(leaf, secret):
            context.use_certificate_chain_file(certificate)
            context.use_privatekey(secret)
            return
        reason = "the key does not match the certificate"
    except (SSL.Error, OSError, ValueError, TypeError) as error:
        reason = _reason(error)
    raise StartError(f"Cannot serve with {certificate} and {key}: {reason}")


def _reason(error: Exception) -> str:
    """The last reason of OpenSSL's queue (library, function, reason), or what the system said."""
    if isinstance(error, SSL.Error) and error.args and error.args[0]:
        return str(error.args[0][-1][-1])
    return getattr(error, "strerror", None) or str(error)


@implementer(IOpenSSLServerConnectionCreator)
class SwappableContext:
    """What a TLS listener takes its connections from.

    A context cannot change once it has been used; another is put in its place. Connections that
    are open keep theirs.
    """

    def __init__(self, context: SSL.Context) -> None:
        self._context = context

    def swap(self, context: SSL.Context) -> None:
        """New connections use ``context`` from now on."""
        self._context = context

    def serverConnectionForTLS(self, tlsProtocol: TLSMemoryBIOProtocol) -> SSL.Connection:
        """The OpenSSL end of a new connection, over memory."""
        return SSL.Connection(self._context, None)
