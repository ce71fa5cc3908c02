"""Real ports of this process, for tests with sockets."""

from __future__ import annotations

from typing import cast

from twisted.internet import reactor
from twisted.internet.address import IPv4Address
from twisted.internet.interfaces import IProtocolFactory
from twisted.internet.protocol import ServerFactory
from twisted.trial.unittest import TestCase


def listen(case: TestCase, factory: IProtocolFactory) -> int:
    """Listen on a free port of 127.0.0.1 to the end of the test; returns the port."""
    port = reactor.listenTCP(0, cast(ServerFactory, factory), interface="127.0.0.1")
    case.addCleanup(port.stopListening)
    return cast(IPv4Address, port.getHost()).port
