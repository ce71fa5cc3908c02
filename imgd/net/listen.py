"""Listening ports: if one cannot be bound, the daemon does not start."""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import Any, Final, cast

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import (
    IAddress,
    IListeningPort,
    IProtocol,
    IProtocolFactory,
    IReactorTCP,
    IReadDescriptor,
)
from twisted.internet.protocol import ServerFactory

from imgd.errors import StartError

# Connections that the kernel holds until they are accepted: a page of thumbnails opens dozens.
BACKLOG: Final = 1024
_NO_SUCH_FAMILY: Final = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)
_TRIES: Final = 16


class SwitchableFactory(ServerFactory):
    """The factory of a port that is bound before the factory that it wraps can be made.

    Ports are bound while the daemon may still have the privilege to do so; its files are made after
    it gave that up. No connection is accepted in between, because the reactor does not run yet.
    """

    noisy = False

    def __init__(self) -> None:
        self.wrapped: IProtocolFactory | None = None
        self.may_accept: Callable[[IAddress | None], bool] = lambda _address: True
        self.refusal: Callable[[], IProtocol | None] = lambda: None

    def buildProtocol(self, addr: IAddress | None) -> Any:
        """The wrapped factory's protocol for a connection that may be accepted; for another, one
        that answers with a refusal, or None to close it.
        """
        if self.wrapped is None:
            return None
        if not self.may_accept(addr):
            return self.refusal()
        return self.wrapped.buildProtocol(cast(IAddress, addr))


def bind(
    reactor: IReactorTCP, host: str, port: int, factory: SwitchableFactory
) -> list[IListeningPort]:
    """Listen on every address of ``host``, all with one port number; StartError says why not.

    ``localhost`` is 127.0.0.1, and ::1 if the machine has it. Port 0 takes a free one.
    """
    if host.lower() != "localhost":
        return [_bind_one(reactor, host, port, factory)]
    for tries_left in reversed(range(_TRIES)):
        first = _bind_one(reactor, "127.0.0.1", port, factory)
        number = number_of(first)
        try:
            return [first, reactor.listenTCP(number, factory, BACKLOG, "::1")]
        except CannotListenError as error:
            if _errno(error) in _NO_SUCH_FAMILY:
                return [first]
            first.stopListening()
            if port or not tries_left:
                raise _start_error(error, "::1", number) from None
    raise StartError("No port is free on both 127.0.0.1 and ::1.")


def close(port: IListeningPort) -> Deferred[None]:
    """Stop listening. Connections that wait are accepted first: they would be reset."""
    cast(IReadDescriptor, port).doRead()
    return maybeDeferred(cast(Any, port.stopListening))


def number_of(port: IListeningPort) -> int:
    number: int = port.getHost().port  # type: ignore[attr-defined]  # of an IPv4 or IPv6Address
    return number


def address_of(port: IListeningPort) -> str:
    address: str = port.getHost().host  # type: ignore[attr-defined]
    return address


def _bind_one(
    reactor: IReactorTCP, address: str, port: int, factory: SwitchableFactory
) -> IListeningPort:
    try:
        return reactor.listenTCP(port, factory, BACKLOG, address)
    except CannotListenError as error:
        raise _start_error(error, address, port) from None


def _errno(error: CannotListenError) -> int | None:
    return getattr(error.socketError, "errno", None)


def _start_error(error: CannotListenError, address: str, port: int) -> StartError:
    match _errno(error):
        case errno.EADDRINUSE:
            reason = "it is in use: stop what holds it, or choose another port"
        case errno.EACCES:
            reason = "this user may not: choose a port from 1024 on"
        case errno.EADDRNOTAVAIL:
            reason = "this machine has no such address"
        case _:
            reason = getattr(error.socketError, "strerror", None) or str(error.socketError)
    return StartError(f"Cannot listen on port {port} of {address}: {reason}.")
