"""A connection: what leaves in one write, and what waits for a client that does not read."""

from __future__ import annotations

import os

from twisted.trial.unittest import SynchronousTestCase

from tests.fakes import MemorySite, Transport, write

ASK = b"GET /a.jpg HTTP/1.1\r\nHost: localhost\r\n\r\n"
LISTING = b"GET /collections HTTP/1.1\r\nHost: localhost\r\n\r\n"


class CountingTransport(Transport):
    """A transport that notes each write."""

    def __init__(self, peer: str) -> None:
        super().__init__(peer)
        self.writes: list[bytes] = []

    def write(self, data: bytes) -> None:
        self.writes.append(data)
        super().write(data)


class ChannelTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.memory_site = MemorySite(os.path.abspath(self.mktemp()))
        write(os.path.join(self.memory_site.documents, "a.jpg"), b"a" * 1000)
        self.transport = CountingTransport("127.0.0.1")
        self.channel = self.memory_site.site.buildProtocol(self.transport.getPeer())
        self.channel.makeConnection(self.transport)

    def answers(self) -> int:
        answers: bytes = self.transport.value()
        return answers.count(b"HTTP/1.1 200 OK\r\n")

    def test_one_write(self) -> None:
        """Head and body leave together, from the fast path and from the resource tree."""
        for request in (ASK, ASK[:-2] + b"Expect: x\r\n\r\n", LISTING):
            del self.transport.writes[:]
            self.channel.dataReceived(request)
            self.assertEqual(len(self.transport.writes), 1, request)

    def test_head_alone(self) -> None:
        """An answer without a body is not held back."""
        for request, status in (
            (ASK.replace(b"GET", b"OPTIONS"), b"204"),
            (ASK.replace(b"GET", b"HEAD").replace(b"Host", b"Expect: x\r\nHost"), b"200"),
            (ASK[:-2] + b"If-None-Match: *\r\nExpect: x\r\n\r\n", b"304"),
            (ASK.replace(b"a.jpg", b"collections/"), b"200"),
        ):
            self.transport.clear()
            self.channel.dataReceived(request)
            self.assertTrue(self.transport.value().startswith(b"HTTP/1.1 " + status), request)

    def test_pipelined(self) -> None:
        """Requests that come at once are answered in order."""
        self.channel.dataReceived(ASK + LISTING + ASK)
        types = [
            line for line in self.transport.value().split(b"\r\n") if line.startswith(b"Content-Ty")
        ]
        jpeg, json = b"Content-Type: image/jpeg", b"Content-Type: application/json"
        self.assertEqual(types, [jpeg, json, jpeg])

    def test_full(self) -> None:
        """A client that asks and does not read is heard again when there is room, in order."""
        self.channel.dataReceived(ASK)
        self.channel.pauseProducing()
        self.assertEqual(self.transport.producerState, "paused")
        for _ in range(50):
            self.channel.dataReceived(ASK * 2)
        self.assertEqual(self.answers(), 1)
        self.channel.resumeProducing()
        self.assertEqual(self.answers(), 101)
        self.assertEqual(self.transport.producerState, "producing")

    def test_full_within(self) -> None:
        """A transport that fills while requests are answered stops the next of them."""

        class Full(CountingTransport):
            def write(self, data: bytes) -> None:
                super().write(data)
                if self.producer is not None:
                    self.producer.pauseProducing()

        self.transport = Full("127.0.0.1")
        self.channel = self.memory_site.site.buildProtocol(self.transport.getPeer())
        self.channel.makeConnection(self.transport)
        self.channel.dataReceived(ASK * 5)
        for expected in range(1, 6):
            self.assertEqual(self.answers(), expected)
            self.channel.resumeProducing()
        self.assertEqual(self.answers(), 5)

    def test_lost(self) -> None:
        """After a close nothing more is answered."""
        self.channel.dataReceived(ASK[:-2] + b"Connection: close\r\n\r\n")
        self.assertTrue(self.transport.disconnecting)
        self.channel.dataReceived(ASK)
        self.assertEqual(self.answers(), 1)
