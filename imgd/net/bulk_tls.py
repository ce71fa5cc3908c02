"""TLS in bulk: one encryption, one copy and one send for each write, whatever its size.

One of the two modules that know private names of other libraries; ``tests/test_upstream.py`` fails
where an upstream release changes what they lean on.

Twisted 26.10 cuts each write into 16 KiB, reads the BIO for each piece into a new buffer twice,
and pays for every read that finds nothing with an exception.
"""

from __future__ import annotations

from typing import Any, Final, cast

from OpenSSL import SSL
from twisted.internet.interfaces import (
    IDelayedCall,
    IHalfCloseableProtocol,
    IOpenSSLServerConnectionCreator,
    IProtocolFactory,
    IReactorTime,
    ITransport,
)
from twisted.internet.tcp import Server
from twisted.protocols.tls import TLSMemoryBIOFactory, TLSMemoryBIOProtocol
from twisted.python.failure import Failure
from zope.interface import classImplements, implementedBy, implementer

from imgd.net import tcp

# Private: pyOpenSSL's public ``bio_read`` and ``recv`` allocate, copy twice, and raise where there
# is nothing to read.
_lib: Final[Any] = SSL._lib  # type: ignore[attr-defined]
_ffi: Final[Any] = SSL._ffi  # type: ignore[attr-defined]

# What is encrypted at once, in bytes: a 64 kB range with its head, in whole records. OpenSSL keeps
# a buffer of a third more for the connection's life.
BULK: Final = 80 * 1024
_KEPT: Final = 1024  # bytes; the largest buffer that stays with an idle connection
LOOK_EVERY: Final = 0.5  # seconds
_RECORD: Final = 16 * 1024  # the most that one record holds (RFC 8446 section 5.1)
_AROUND: Final = 64  # more than stands around a record: header, content type, nonce, tag
_SCRATCH_SIZE: Final = BULK + (BULK // _RECORD + 1) * _AROUND

# One scratch buffer each way for all connections: nothing in them is needed beyond a call, and the
# reactor has one thread.
_out: Final = _ffi.new("char[]", _SCRATCH_SIZE)
_out_view: Final = memoryview(_ffi.buffer(_out))
_in: Final = _ffi.new("char[]", _RECORD)
_in_view: Final = memoryview(_ffi.buffer(_in))
_nowhere: Final = _ffi.new("char **")

# Mozilla's intermediate groups (guidelines 5.7), and before them, where OpenSSL has it, the hybrid
# that records of today are safe with from quantum computers of tomorrow.
_CLASSICAL: Final = b"X25519:P-256:P-384"
_GROUPS: Final = (b"X25519MLKEM768:" + _CLASSICAL, _CLASSICAL)


def prepare(context: SSL.Context) -> None:
    """Have a context's connections encrypt a write whole, and keep no buffers while idle.

    pyOpenSSL switches partial writes on for every context, and has public names for neither mode,
    nor for the groups of the key exchange.
    """
    context.clear_mode(_lib.SSL_MODE_ENABLE_PARTIAL_WRITE)
    context.set_mode(_lib.SSL_MODE_RELEASE_BUFFERS)  # 27 kB less for each idle connection
    any(_lib.SSL_CTX_set1_curves_list(context._context, groups) for groups in _GROUPS)


class IdleBufferReclaimer:
    """Has connections that are idle give back the buffers that their writes have grown.

    A connection that writes is noted; one that was not noted again from one look to the next is
    idle. Nobody looks while nobody was noted. The first write after a rest gives its buffers back
    itself: thousands of connections that ask once each never have thousands of buffers.
    """

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._young: set[BulkTLSProtocol] = set()
        self._old: set[BulkTLSProtocol] = set()
        self._look: IDelayedCall | None = None

    def note(self, connection: BulkTLSProtocol) -> bool:
        """It has just written something large: whether for the first time after a rest."""
        if connection in self._young:
            return False
        self._young.add(connection)
        if self._look is None:
            self._look = self._clock.callLater(LOOK_EVERY, self._renew_idle)
        return connection not in self._old

    def forget(self, connection: BulkTLSProtocol) -> None:
        """It is gone."""
        self._young.discard(connection)
        self._old.discard(connection)
        if self._look is not None and not (self._young or self._old):
            self._look.cancel()
            self._look = None

    def _renew_idle(self) -> None:
        self._look = None
        for connection in self._old - self._young:
            connection.reset_bios()
        self._old, self._young = self._young, set()
        if self._old:
            self._look = self._clock.callLater(LOOK_EVERY, self._renew_idle)


@implementer(IHalfCloseableProtocol)
class BulkTLSProtocol(TLSMemoryBIOProtocol):
    """The server's end of a TLS connection; its context is prepared.

    ``_flushSendBIO``, ``_flushReceiveBIO`` and ``_write`` are what TLSMemoryBIOProtocol itself
    calls to move bytes; there are no public names for it.
    """

    _is_tcp = False
    _has_ended = False  # nothing more comes from the client, and it may still be answered
    can_write_some = False  # whether there is a `write_some` that works

    def makeConnection(self, transport: ITransport) -> None:
        """Begin on a transport.

        Over TCP as stock code does, without declaring interfaces for each connection, and without
        asking for a handshake of which no byte has come: a tenth of a connection's cost.
        """
        self._is_tcp = self.can_write_some = tcp.is_tcp(transport)
        factory = cast(BulkTLSFactory, self.factory)
        self._diet = factory.diet
        if not self._is_tcp:
            super().makeConnection(transport)
            return
        self._tlsConnection = factory._creatorCallable(self)
        self._appSendBuffer: list[bytes] = []
        self.transport, self.connected = transport, True
        factory.registerProtocol(self)
        self.wrappedProtocol.makeConnection(cast(ITransport, self))

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]
        """The connection is gone.

        All that could be decrypted was handed on when it came, so that after a handshake OpenSSL is
        not asked whether there is more: it would only complain of a missing farewell.
        """
        self._diet.forget(self)
        if self._handshakeDone:
            self._lostTLSConnection = True
        super().connectionLost(reason)
        self._producer = None  # the protocol above, which knows this one: a circle

    def readConnectionLost(self) -> None:
        """The TCP connection ended on the client's side, perhaps without a farewell."""
        if self._has_ended and not self.disconnecting:
            return  # its farewell came before, and is being answered
        if self.disconnecting or not self._handshakeDone or not self._end_input():
            cast(Any, self.transport).loseConnection()

    def writeConnectionLost(self) -> None:
        """Nobody closes this side alone."""

    def _end_input(self) -> bool:
        """Tell the protocol above that nothing more comes: whether it knows what to do then."""
        if self.disconnecting or not IHalfCloseableProtocol.providedBy(self.wrappedProtocol):
            return False
        self._has_ended = True
        cast(Any, self.wrappedProtocol).readConnectionLost()
        return True

    def _shutdownTLS(self) -> None:
        """Say farewell, and wait for the client's only where it may come."""
        super()._shutdownTLS()
        if self._has_ended:
            cast(Any, self.transport).loseConnection()

    def abortConnection(self) -> None:
        """Drop it: nothing that is said here may reach the client and look like an end."""
        self._is_tcp = False  # a farewell waits in the transport below, and is dropped with it
        super().abortConnection()

    def dataReceived(self, data: bytes) -> None:
        """Bytes came from the client."""
        if self._has_ended:
            return
        if not self._handshakeDone or self._appSendBuffer:
            super().dataReceived(data)
            if self._handshakeDone:
                self.reset_bios()  # the handshake has grown them
        elif _lib.BIO_write(self._tlsConnection._into_ssl, data, len(data)) == len(data):
            self._flushReceiveBIO()
        else:
            self.abortConnection()  # out of memory

    def _flushReceiveBIO(self) -> None:
        """Hand what was decrypted to the protocol above, record by record."""
        while not self._lostTLSConnection:
            connection = self._tlsConnection
            size = _lib.SSL_read(connection._ssl, _in, _RECORD)
            if size <= 0:
                if connection.get_shutdown() & SSL.RECEIVED_SHUTDOWN and self._end_input():
                    break
                # Nothing, the end, or an error: told apart by stock code, which asks again.
                super()._flushReceiveBIO()
                return
            if not self._aborted:
                self.wrappedProtocol.dataReceived(bytes(_in_view[:size]))
            if not _lib.BIO_get_mem_data(connection._into_ssl, _nowhere) and size < _RECORD:
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
                if size > _KEPT and self._handshakeDone and self._diet.note(self):
                    self.reset_bios()
                return

    def reset_bios(self) -> None:
        """Put new BIOs in the place of empty ones, which never give their memory back.

        SSL_set_bio frees both that were there, and keeps both that are new (SSL_set_bio(3)).
        """
        connection: Any = self._tlsConnection
        if connection is None:  # lost
            return
        old = (connection._into_ssl, connection._from_ssl)
        if not any(_lib.BIO_get_mem_data(bio, _nowhere) for bio in old):
            into, out = (_lib.BIO_new(_lib.BIO_s_mem()) for _ in old)
            _lib.SSL_set_bio(connection._ssl, into, out)
            connection._into_ssl, connection._from_ssl = into, out

    def write_some(self, data: bytes) -> int:
        """Write as much as the transport below takes at once: how many bytes.

        After the first bulk that waits there, nothing more is encrypted: that is all that a client
        who does not read can leave here.
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
        """Encrypt, and hand on what came of it, a bulk at a time."""
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
        else:
            super()._write(bytes(bulk))  # the handshake is under way, or an error: stock code knows


# What stock code declares for each connection anew: a transport offers what TCP below it offers.
cast(Any, classImplements)(BulkTLSProtocol, implementedBy(Server))


class BulkTLSFactory(TLSMemoryBIOFactory):
    """Makes them."""

    protocol = BulkTLSProtocol
    diet: IdleBufferReclaimer


def tls_factory(
    context: IOpenSSLServerConnectionCreator, site: IProtocolFactory, clock: IReactorTime
) -> BulkTLSFactory:
    """TLS around what ``site`` makes, with the contexts that ``context`` gives."""
    factory = BulkTLSFactory(context, False, site, clock)
    factory.diet = IdleBufferReclaimer(clock)
    return factory
