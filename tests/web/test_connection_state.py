"""Deadlines of connections: no byte buys more time than its phase has."""

from __future__ import annotations

import os
from dataclasses import replace

from twisted.logger import formatEvent

from tests.fakes import DEADLINES, parse_answer, record_log, write
from tests.web.connection_case import ASK, HEAD, POST, ConnectionCase, FullTransport, connect


class DeadlineTests(ConnectionCase):
    def test_slow_head(self) -> None:
        """A head that comes byte by byte is answered 408 after the deadline, whatever it sends."""
        transport = self.memory_site.connect()
        for at in range(20):
            self.send(transport, HEAD[at : at + 1])
            self.assertFalse(transport.disconnecting, at)
            self.wait(1)
        self.wait(2)
        answer = parse_answer(transport.value())
        self.assertEqual((answer.status, answer.headers["connection"]), (408, "close"))
        self.assertTrue(transport.disconnecting)

    def test_silence(self) -> None:
        """A connection that sends nothing is closed after the same deadline, without an answer."""
        transport = self.memory_site.connect()
        self.wait(19)
        self.assertFalse(transport.disconnecting)
        self.wait(3)
        self.assertTrue(transport.disconnecting)
        self.assertEqual(transport.value(), b"")

    def test_slow_body(self) -> None:
        """A body that comes byte by byte is answered 408, and later bytes have no effect."""
        transport = self.memory_site.connect()
        self.send(transport, POST)
        for at in range(30):
            self.send(transport, b" ")
            self.assertFalse(transport.disconnecting, at)
            self.wait(1)
        self.wait(2)
        self.assertEqual(parse_answer(transport.value()).status, 408)
        before = transport.value()
        transport.protocol.dataReceived(b" " * 2000)
        self.assertEqual(transport.value(), before)

    def test_second_head(self) -> None:
        """On a connection that stays open, the deadline of a head starts with its first byte."""
        transport = self.memory_site.connect()
        self.send(transport, ASK)
        self.wait(60)
        self.assertFalse(transport.disconnecting)
        self.send(transport, HEAD)
        self.wait(19)
        self.assertFalse(transport.disconnecting)
        self.wait(3)
        self.assertTrue(transport.disconnecting)

    def test_idle(self) -> None:
        """Between requests there is more time, which each request starts again."""
        transport = self.memory_site.connect()
        for _ in range(3):
            self.send(transport, ASK)
            self.wait(74)
            self.assertFalse(transport.disconnecting)
        self.wait(4)
        self.assertTrue(transport.disconnecting)
        self.assertEqual(transport.value().count(b"200 OK"), 3)

    def test_fast_path(self) -> None:
        """Answers of the fast path and of the resource tree count alike."""
        write(os.path.join(self.memory_site.documents, "a.jpg"), b"a" * 10)
        transport = self.memory_site.connect()
        for _ in range(2):
            self.send(transport, ASK.replace(b"/health", b"/a.jpg"))
            self.wait(74)
            self.assertFalse(transport.disconnecting)
        self.wait(4)
        self.assertTrue(transport.disconnecting)

    def test_answer_takes_its_time(self) -> None:
        """While a listing is read, no deadline of the client's runs."""
        self.memory_site.blocking.held = True
        transport = self.memory_site.connect()
        self.send(transport, ASK.replace(b"/health", b"/?format=json"))
        self.wait(200)
        self.assertFalse(transport.disconnecting)
        self.memory_site.blocking.release()
        self.assertEqual(parse_answer(transport.value()).status, 200)

    def test_stalled_reader(self) -> None:
        """A client that takes nothing of a large answer is cut off; one that takes some is not."""
        write(os.path.join(self.memory_site.documents, "big.bin"), bytes(3_000_000))
        for takes in (False, True):
            transport = FullTransport("127.0.0.1")
            connect(self.memory_site, transport)
            self.send(transport, ASK.replace(b"/health", b"/big.bin"))
            for second in range(1, 201):
                self.wait(1)
                if takes and second % 50 == 0:
                    transport.protocol.resumeProducing()
            self.assertEqual(transport.aborted, not takes)

    def test_settings(self) -> None:
        """Each deadline is a setting."""
        self.memory_site = self.make(deadlines=replace(DEADLINES, header=3, idle=5))
        silent, idle = self.memory_site.connect(), self.memory_site.connect()
        self.send(idle, ASK)
        self.wait(4)
        self.assertTrue(silent.disconnecting)
        self.assertFalse(idle.disconnecting)
        self.wait(3)
        self.assertTrue(idle.disconnecting)

    def test_told_together(self) -> None:
        """Slow clients are logged together, once a minute, and idle ones are not."""
        events = record_log(self)
        self.send(self.memory_site.connect(), ASK)
        for number in range(90):
            transport = self.memory_site.connect()
            self.send(transport, HEAD if number % 2 else POST)
            self.wait(1)
        self.wait(60)
        lines = [formatEvent(e) for e in events if "too slow" in str(e["log_format"])]
        self.assertEqual(len(lines), 3, lines)
        self.assertIn("with the head of a request", lines[0])
        self.assertIn("with the body of a request", lines[1])

    def test_forgotten(self) -> None:
        """A connection that is gone is not touched by its deadline."""
        transport = self.memory_site.connect()
        transport.abortConnection()
        self.wait(100)
        self.assertEqual(transport.value(), b"")
