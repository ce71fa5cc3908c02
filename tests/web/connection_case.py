"""Connections of a site in memory, whose clock is in the test's hands."""

from __future__ import annotations

import os
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.fakes import MemorySite, Transport

HEAD = b"GET /health HTTP/1.1\r\nHost: localhost\r\n"
ASK = HEAD + b"\r\n"
POST = (
    b"POST /unload HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    b"Content-Length: 1000\r\n\r\n"
)


class FullTransport(Transport):
    """A transport that is full after each write, until its protocol is asked to go on."""

    def write(self, data: bytes) -> None:
        super().write(data)
        self.protocol.pauseProducing()


class StalledTransport(Transport):
    """A transport that takes nothing, and is full after each write."""

    def write(self, data: bytes) -> None:
        self.protocol.pauseProducing()


def connect(memory_site: MemorySite, transport: Transport) -> None:
    """Connect a transport to the site."""
    transport.protocol = memory_site.site.buildProtocol(transport.getPeer())
    transport.protocol.makeConnection(transport)


class ConnectionCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.memory_site = self.make()

    def make(self, **more: Any) -> MemorySite:
        memory_site = MemorySite(os.path.abspath(self.mktemp()), more=more)
        memory_site.site.limiter.start()
        self.addCleanup(memory_site.site.limiter.stop)
        return memory_site

    def send(self, transport: Transport, data: bytes) -> None:
        if transport.connected and not transport.disconnecting:
            transport.protocol.dataReceived(data)

    def wait(self, seconds: int) -> None:
        self.memory_site.clock.pump([1] * seconds)
