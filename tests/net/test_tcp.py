"""Writing to TCP transports at once, over a pair of sockets."""

from __future__ import annotations

import os
import socket
from typing import Any, cast
from unittest import skipUnless

from twisted.internet.protocol import Protocol
from twisted.internet.tcp import Connection
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from imgd.net import tcp

LARGE = os.urandom(1 << 20) * 8  # more than two sockets hold


class Reactor:
    """Knows who wants to write, and does nothing about it."""

    def __init__(self) -> None:
        self.writers: set[object] = set()

    def addWriter(self, transport: object) -> None:
        self.writers.add(transport)

    def removeWriter(self, transport: object) -> None:
        self.writers.discard(transport)

    def removeReader(self, transport: object) -> None:
        """Nothing is read."""


class Producer:
    is_paused = False

    def pauseProducing(self) -> None:
        self.is_paused = True

    def resumeProducing(self) -> None:
        self.is_paused = False


class TcpTests(SynchronousTestCase):
    def setUp(self) -> None:
        ours, self.peer = socket.socketpair()
        self.addCleanup(ours.close)
        self.addCleanup(self.peer.close)
        self.reactor = Reactor()
        self.transport: Any = Connection(ours, Protocol(), cast(Any, self.reactor))
        self.transport.connected = True

    def read(self, length: int) -> bytes:
        """What comes to the other end, while the transport writes when it can."""
        received = bytearray()
        while len(received) < length:
            if self.reactor.writers:
                self.transport.doWrite()
            received += self.peer.recv(1 << 20)
        return bytes(received)

    def test_at_once(self) -> None:
        """What the socket takes is sent within the call, without the reactor."""
        tcp.write_now(self.transport, b"answer")
        self.assertEqual(self.peer.recv(100), b"answer")
        self.assertTrue(tcp.is_empty(self.transport))
        self.assertEqual(self.reactor.writers, set())

    def test_full(self) -> None:
        """What a full socket does not take waits, is counted, and goes out in order."""
        tcp.write_now(self.transport, memoryview(LARGE))
        tcp.write_now(self.transport, b"end")
        self.assertFalse(tcp.is_empty(self.transport))
        waiting = tcp.waiting(self.transport)
        self.assertEqual(self.read(len(LARGE) + 3), LARGE + b"end")
        self.assertGreater(waiting, 3)
        self.assertEqual(tcp.waiting(self.transport), 0)

    def test_close(self) -> None:
        """An empty transport is closed within the call, once; another when it is empty."""
        for data in (b"", LARGE):
            ours, peer = socket.socketpair()
            self.addCleanup(peer.close)
            transport: Any = Connection(ours, Protocol(), cast(Any, self.reactor))
            transport.connected = True
            tcp.write_now(transport, data)
            tcp.close(transport)
            tcp.close(transport)
            self.assertEqual(transport.connected, bool(data))
            while transport.connected:
                self.assertTrue(peer.recv(1 << 20))
                if (error := transport.doWrite()) is not None:
                    transport.connectionLost(Failure(error))
            while peer.recv(1 << 20):
                pass

    def test_not_connected(self) -> None:
        """Nothing is sent over a connection that is lost."""
        self.transport.connected = False
        tcp.write_now(self.transport, b"late")
        self.peer.setblocking(False)
        self.assertRaises(BlockingIOError, self.peer.recv, 1)

    def test_give_way(self) -> None:
        """A producer is paused, and resumed when the reactor finds that the socket takes bytes."""
        producer = Producer()
        self.transport.registerProducer(producer, True)
        tcp.give_way(self.transport)
        self.assertTrue(producer.is_paused)
        self.assertEqual(self.reactor.writers, {self.transport})
        self.transport.doWrite()
        self.assertFalse(producer.is_paused)

    @skipUnless(tcp.has_send_file(), "this platform has no sendfile")
    def test_send_file(self) -> None:
        """A part of a file goes to the socket; its end and a full socket are told apart."""
        path = self.mktemp()
        with open(path, "w+b") as file:
            file.write(LARGE)
            file.flush()
            self.assertEqual(tcp.send_file(self.transport, file.fileno(), 5, 10), 10)
            self.assertEqual(self.peer.recv(100), LARGE[5:15])
            self.assertEqual(tcp.send_file(self.transport, file.fileno(), len(LARGE), 10), 0)
            while tcp.send_file(self.transport, file.fileno(), 0, len(LARGE)) is not None:
                pass

    def test_others(self) -> None:
        """A transport that is none of Twisted's TCP ones is not taken for one."""
        self.assertTrue(tcp.is_tcp(self.transport))
        self.assertFalse(tcp.is_tcp(StringTransport()))
        self.assertFalse(tcp.can_send_files(StringTransport()))
