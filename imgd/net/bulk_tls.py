"""TLS in bulk: one encryption, one copy and one send for each write, whatever its size.

One of the two modules that use private names of other libraries (``tests/test_upstream.py``). If
the installed Twisted or pyOpenSSL lacks one of them, ``MISSING`` names it, and Twisted's own
transport serves: it cuts each write into 16 KiB, reads the BIO for each piece into a new buffer
twice, and pays for every read of an empty BIO with an exception (26.10).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, cast

from OpenSSL import SSL
from twisted.internet.interfaces import (
    IHalfCloseableProtocol,
    IOpenSSLServerConnectionCreator,
    IProtocolFactory,
    IReactorTime,
    ITransport,
)
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.tcp import Server
from twisted.protocols.tls import TLSMemoryBIOFactory, TLSMemoryBIOProtocol
from twisted.python.failure import Failure
from zope.interface import Interface, classImplements, implementedBy, implementer

from imgd.net import tcp
from imgd.net.idle_buffers import IdleBufferReclaimer

# pyOpenSSL's public ``bio_read`` and ``recv`` allocate, copy twice, and raise if there is nothing
# to read.
_lib: Final[Any] = getattr(SSL, "_lib", None)
_ffi: Final[Any] = getattr(SSL, "_ffi", None)

_LIB_NAMES: Final = (
    *("BIO_get_mem_data", "BIO_new", "BIO_read", "BIO_s_mem", "BIO_write"),
    *("SSL_read", "SSL_set_bio", "SSL_write", "SSL_CTX_set1_curves_list"),
    *("SSL_MODE_ENABLE_PARTIAL_WRITE", "SSL_MODE_RELEASE_BUFFERS"),
)
_CONNECTION_NAMES: Final = ("_ssl", "_into_ssl", "_from_ssl")
# What TLSMemoryBIOProtocol itself calls to move bytes, and its state; none of it is public.
_PROTOCOL_NAMES: Final = (
    *("_flushReceiveBIO", "_flushSendBIO", "_shutdownTLS", "_tlsShutdownFinished", "_write"),
    *("_tlsConnection", "_appSendBuffer", "_handshakeDone", "_lostTLSConnection", "_aborted"),
    *("_producer", "wrappedProtocol", "connected", "disconnecting"),
)

# What is encrypted at once, in bytes: a 64 kB range with its head, in whole records. OpenSSL keeps
# a buffer of a third more for the connection's life.
BULK: Final = 80 * 1024
_KEPT: Final = 1024  # bytes; the largest buffer that an idle connection keeps
_RECORD: Final = 16 * 1024  # bytes; the most that one record holds (RFC 8446 section 5.1)
_RECORD_OVERHEAD: Final = 64  # bytes; more than a record's header, content type, nonce and tag
_SCRATCH_SIZE: Final = BULK + (BULK // _RECORD + 1) * _RECORD_OVERHEAD

# Mozilla's intermediate groups (guidelines 5.7), and before them, if OpenSSL has it, the hybrid
# that keeps today's records safe from future quantum computers.
_CLASSICAL: Final = b"X25519:P-256:P-384"
_GROUPS: Final = (b"X25519MLKEM768:" + _CLASSICAL, _CLASSICAL)


class IPlainListener(Interface):
    """A protocol over TLS that answers clients who speak to it without TLS."""

    def begin_plain(transport: ITransport) -> None:  # noqa: N805  # as zope has it
        """Go on over this transport; ``dataReceived`` follows with the first bytes."""


@implementer(IOpenSSLServerConnectionCreator)
class _AnyContext:
    """A context without certificates, to look at a connection that is never used."""

    def serverConnectionForTLS(self, _protocol: object) -> SSL.Connection:
        return SSL.Connection(SSL.Context(SSL.TLS_SERVER_METHOD), None)


def _missing_names() -> Iterator[str]:
    if _lib is None or _ffi is None:
        yield from tcp.absent(("_lib", "_ffi"), SSL)
        return
    unused = cast(Any, object())  # neither the clock nor the transport of an unused connection is
    try:
        factory = TLSMemoryBIOFactory(_AnyContext(), False, Factory.forProtocol(Protocol), unused)
        protocol = TLSMemoryBIOProtocol(factory, Protocol())
        protocol.makeConnection(unused)
        connection = protocol.getHandle()
    except Exception as error:  # a release that makes them in another way
        yield f"TLSMemoryBIOProtocol ({error})"
        return
    yield from tcp.absent(_LIB_NAMES, _lib)
    yield from tcp.absent(_CONNECTION_NAMES, connection)
    yield from tcp.absent(("_context",), connection.get_context())
    yield from tcp.absent(("_creatorCallable", "registerProtocol"), factory)
    yield from tcp.absent(_PROTOCOL_NAMES, protocol)


MISSING: Final = tuple(_missing_names())


def _scratch(size: int) -> tuple[Any, memoryview]:
    """A buffer for OpenSSL, and a view of it; no memory if it would not be used."""
    if MISSING:
        return None, memoryview(b"")
    memory = _ffi.new("char[]", size)
    return memory, memoryview(_ffi.buffer(memory))


# One scratch buffer each way for all connections: nothing in them is needed beyond a call, and the
# reactor has one thread.
_out, _out_view = _scratch(_SCRATCH_SIZE)
_in, _in_view = _scratch(_RECORD)
_no_data: Final = None if MISSING else _ffi.new("char **")


def prepare(context: SSL.Context) -> None:
    """Have a context's connections encrypt a write whole, and keep no buffers while idle.

    pyOpenSSL switches partial writes on for every context, and has public names for neither mode,
    nor for the groups of the key exchange.
    """
    if MISSING:
        return
    context.clear_mode(_lib.SSL_MODE_ENABLE_PARTIAL_WRITE)
    context.set_mode(_lib.SSL_MODE_RELEASE_BUFFERS)  # 27 kB less for each idle connection
    any(_lib.SSL_CTX_set1_curves_list(context._context, groups) for groups in _GROUPS)


@implementer(IHalfCloseableProtocol)
class BulkTLSProtocol(TLSMemoryBIOProtocol):
    """The server's end of a TLS connection whose context is prepared."""

    _is_tcp = False
    _has_ended = False  # the client sends nothing more, but may still be answered
    _has_begun = False  # bytes have come
    can_write_some = False  # whether `write_some` works

    def makeConnection(self, transport: ITransport) -> None:
        """Begin on a transport.

        Over TCP as stock code does, but without declaring interfaces for each connection and
        without asking for a handshake of which no byte has come: a tenth of a connection's cost.
        """
        self._is_tcp = self.can_write_some = tcp.is_tcp(transport)
        factory = cast(BulkTLSFactory, self.factory)
        self._reclaimer = factory.reclaimer
        if not self._is_tcp:
            super().makeConnection(transport)
            return
        self._tlsConnection = factory._creatorCallable(self)
        self._appSendBuffer: list[bytes] = []
        self.transport, self.connected = transport, True
        factory.registerProtocol(self)
        self.wrappedProtocol.makeConnection(cast(ITransport, self))

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]
        """Pass the loss on.

        All that could be decrypted was handed on when it came. After a handshake OpenSSL is not
        asked for more: it would only report the missing close_notify.
        """
        self._reclaimer.remove(self)
        if self._handshakeDone:
            self._lostTLSConnection = True
        super().connectionLost(reason)
        self._producer = None  # the protocol above, which refers to this one: a circle

    def readConnectionLost(self) -> None:
        """The client closed its side of the TCP connection, perhaps without close_notify."""
        if self._has_ended and not self.disconnecting:
            return  # its close_notify came before, and is being answered
        if self.disconnecting or not self._handshakeDone or not self._end_input():
            cast(Any, self.transport).loseConnection()

    def writeConnectionLost(self) -> None:
        """Required by the interface; this side is never closed alone."""

    def _end_input(self) -> bool:
        """Tell the protocol above that nothing more comes: whether it can handle that."""
        if self.disconnecting or not IHalfCloseableProtocol.providedBy(self.wrappedProtocol):
            return False
        self._has_ended = True
        cast(Any, self.wrappedProtocol).readConnectionLost()
        return True

    def _shutdownTLS(self) -> None:
        """Send close_notify, and wait for the client's only if it may still come."""
        super()._shutdownTLS()
        if self._has_ended:
            cast(Any, self.transport).loseConnection()

    def _tlsShutdownFinished(self, reason: Failure | None) -> None:
        """Close, because of this error. Twisted 26.10 itself fails at one that says nothing: that
        of a client that sends close_notify within the handshake.
        """
        says_nothing = reason is not None and not getattr(reason.value, "args", ())
        super()._tlsShutdownFinished(None if says_nothing else reason)

    def abortConnection(self) -> None:
        """Drop the connection: no close_notify may reach the client and look like an end."""
        self._is_tcp = False  # close_notify waits in the transport below, and is dropped with it
        super().abortConnection()

    def dataReceived(self, data: bytes) -> None:
        if self._has_ended:
            return
        if not self._handshakeDone or self._appSendBuffer:
            if self._is_plain(data):
                self._hand_over(data)
                return
            super().dataReceived(data)
            if self._handshakeDone:
                self.reset_bios()  # the handshake has grown them
        elif _lib.BIO_write(self._tlsConnection._into_ssl, data, len(data)) == len(data):
            self._flushReceiveBIO()
        else:
            self.abortConnection()  # out of memory

    def _is_plain(self, data: bytes) -> bool:
        """Whether the first bytes are of a request in plain HTTP: no TLS record begins with a
        letter (RFC 8446 section 5.1).
        """
        has_begun, self._has_begun = self._has_begun, True
        is_letter = not has_begun and data[:1].isupper()
        return is_letter and self._is_tcp and IPlainListener.providedBy(self.wrappedProtocol)

    def _hand_over(self, data: bytes) -> None:
        """Leave the connection to the protocol above; what comes, and the end, is passed on."""
        above = cast(Any, self.wrappedProtocol)
        self.unregisterProducer()
        self._lostTLSConnection = True
        self.readConnectionLost = above.readConnectionLost  # type: ignore[method-assign]
        # Looked up for each call: the protocol above replaces its own.
        self.dataReceived = lambda data: above.dataReceived(data)  # type: ignore[method-assign]  # noqa: PLW0108
        above.begin_plain(self.transport)
        above.dataReceived(data)

    def _flushReceiveBIO(self) -> None:
        """Hand what was decrypted to the protocol above, record by record."""
        while not self._lostTLSConnection:
            connection = self._tlsConnection
            size = _lib.SSL_read(connection._ssl, _in, _RECORD)
            if size <= 0:
                if connection.get_shutdown() & SSL.RECEIVED_SHUTDOWN and self._end_input():
                    break
                # Nothing, the end, or an error: stock code reads again and tells them apart.
                super()._flushReceiveBIO()
                return
            if not self._aborted:
                self.wrappedProtocol.dataReceived(bytes(_in_view[:size]))
            if not _lib.BIO_get_mem_data(connection._into_ssl, _no_data) and size < _RECORD:
                break  # nothing is left to decrypt: SSL_read gave less than its buffer holds
        if self._tlsConnection is not None:
            self._flushSendBIO()

    def _flushSendBIO(self) -> None:
        """Hand what was encrypted to the transport below."""
        bio, transport = self._tlsConnection._from_ssl, cast(Any, self.transport)
        while (size := _lib.BIO_read(bio, _out, _SCRATCH_SIZE)) > 0:
            if self._is_tcp:
                tcp.write_now(transport, _out_view[:size])
            else:
                transport.write(bytes(_out_view[:size]))
            if size < _SCRATCH_SIZE:
                if size > _KEPT and self._handshakeDone and self._reclaimer.mark_active(self):
                    self.reset_bios()
                return

    def reset_bios(self) -> None:
        """Replace empty BIOs by new ones: a BIO never gives its memory back.

        SSL_set_bio frees both old ones, and takes both new ones over (SSL_set_bio(3)).
        """
        connection: Any = self._tlsConnection
        if connection is None:  # lost
            return
        old = (connection._into_ssl, connection._from_ssl)
        if not any(_lib.BIO_get_mem_data(bio, _no_data) for bio in old):
            into, out = (_lib.BIO_new(_lib.BIO_s_mem()) for _ in old)
            _lib.SSL_set_bio(connection._ssl, into, out)
            connection._into_ssl, connection._from_ssl = into, out

    def write_some(self, data: bytes) -> int:
        """Write as much as the transport below takes at once: how many bytes.

        After the first bulk that waits there, nothing more is encrypted: a client that does not
        read can leave no more than that.
        """
        view, done = memoryview(data), 0
        while done < len(data) and not self._lostTLSConnection and tcp.is_empty(self.transport):
            bulk = view[done : done + BULK]
            self._encrypt(bulk)
            done += len(bulk)
        return done

    def give_way(self) -> None:
        """Pause this connection's producer until the reactor's next turn, or later."""
        if self._is_tcp:
            tcp.give_way(self.transport)

    def _write(self, data: bytes) -> None:
        """Encrypt and hand on, a bulk at a time."""
        if len(data) > BULK:
            view = memoryview(data)
            for start in range(0, len(data), BULK):
                self._encrypt(view[start : start + BULK])
        elif data:
            self._encrypt(data)

    def _encrypt(self, bulk: bytes | memoryview) -> None:
        if self._lostTLSConnection:
            return
        source = bulk if isinstance(bulk, bytes) else _ffi.from_buffer(bulk)
        if _lib.SSL_write(self._tlsConnection._ssl, source, len(bulk)) == len(bulk):
            self._flushSendBIO()
        else:  # the handshake is under way, or an error: stock code handles both
            super()._write(bytes(bulk))


# What stock code declares for each connection anew: a transport offers what TCP below it offers.
cast(Any, classImplements)(BulkTLSProtocol, implementedBy(Server))


class BulkTLSFactory(TLSMemoryBIOFactory):
    protocol = BulkTLSProtocol
    reclaimer: IdleBufferReclaimer


def tls_factory(
    context: IOpenSSLServerConnectionCreator, site: IProtocolFactory, clock: IReactorTime
) -> TLSMemoryBIOFactory:
    """TLS around the protocols of ``site``, with the connections that ``context`` makes."""
    if MISSING:
        return TLSMemoryBIOFactory(context, False, site, clock)
    factory = BulkTLSFactory(context, False, site, clock)
    factory.reclaimer = IdleBufferReclaimer(clock)
    return factory
