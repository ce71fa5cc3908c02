"""How many connections there may be, which make room, and how a site drains."""

from __future__ import annotations

import os
from dataclasses import replace

from twisted.logger import formatEvent

from tests.fakes import DEADLINES, Transport, parse_answer, record_log, write
from tests.web.connection_case import ASK, HEAD, ConnectionCase, FullTransport, connect


class SlowReaderTests(ConnectionCase):
    """At most sixteen connections; from twelve on slow readers make room."""

    def setUp(self) -> None:
        self.memory_site = self.make(
            max_connections=16, max_per_client=4, deadlines=replace(DEADLINES, stalled=6000)
        )
        write(os.path.join(self.memory_site.documents, "big.bin"), bytes(30_000_000))
        self.events = record_log(self)

    def connect(self, peer: str) -> FullTransport | None:
        """A connection, or None if there is no room for it."""
        if not self.memory_site.site.limiter.may_accept(Transport(peer).getPeer()):
            return None
        transport = FullTransport(peer)
        connect(self.memory_site, transport)
        return transport

    def reader(self, peer: str) -> FullTransport | None:
        """A client that asks for a large file, and takes as much of it as the test lets it."""
        transport = self.connect(peer)
        if transport is not None:
            self.send(transport, ASK.replace(b"/health", b"/big.bin"))
        return transport

    def readers(self, count: int) -> list[FullTransport]:
        readers = [self.reader(f"192.0.2.{number % 4}") for number in range(count)]
        return [transport for transport in readers if transport is not None]

    def is_served(self, peer: str) -> bool:
        transport = self.connect(peer)
        if transport is None:
            return False
        self.send(transport, ASK)
        served = b"200 OK" in transport.value()
        transport.abortConnection()
        return served

    def lines(self) -> list[str]:
        return [formatEvent(e) for e in self.events if "too slow" in str(e["log_format"])]

    def test_four_addresses(self) -> None:
        """Four addresses that hold every connection with slow readers, and reconnect at once when
        one is closed, keep nobody out; the log has them in one line.
        """
        self.assertEqual(len(self.readers(16)), 16)
        self.assertFalse(self.is_served("198.51.100.1"))
        self.wait(65)
        for number in range(20):
            self.assertTrue(self.is_served(f"198.51.100.{number}"), number)
            self.readers(8)
            self.wait(30)
        self.wait(60)
        description = "to read an answer while others waited to come in"
        self.assertTrue(self.lines())
        for line in self.lines():
            self.assertRegex(line, f"^Closed connections that were too slow: [0-9]+ {description}$")

    def test_enough_places(self) -> None:
        """Slow readers are ended from three quarters of the connections on, not below."""
        readers = self.readers(11)
        self.wait(300)
        self.assertTrue(self.is_served("198.51.100.1"))
        self.assertFalse(any(transport.aborted for transport in readers))
        [one] = self.readers(1)
        self.assertTrue(self.is_served("198.51.100.1"))
        self.assertEqual([t.aborted for t in (*readers, one)].count(True), 1)
        self.assertFalse(one.aborted)

    def test_others(self) -> None:
        """A fast reader, a client that waits for imgd and one that is idle are not slow."""
        fast = self.reader("198.51.100.1")
        self.memory_site.blocking.held = True
        waiting, idle = self.connect("198.51.100.1"), self.connect("198.51.100.1")
        assert fast is not None
        assert waiting is not None
        assert idle is not None
        self.send(waiting, ASK.replace(b"/health", b"/?format=json"))
        self.readers(13)
        for second in range(100):
            if second % 40 == 0:
                self.send(idle, ASK)
                idle.protocol.resumeProducing()
            fast.protocol.resumeProducing()
            self.wait(1)
        for number in range(13):
            self.assertTrue(self.is_served(f"198.51.100.{number}"), number)
        self.assertFalse(fast.aborted or waiting.aborted or idle.aborted or idle.disconnecting)

    def test_fast_path(self) -> None:
        """Bytes that the fast path sends count: a client that takes enough is not slow."""
        write(os.path.join(self.memory_site.documents, "a.jpg"), bytes(100_000))
        many = [self.connect(f"198.51.100.{number}") for number in range(13)]
        for _ in range(130):
            for transport in many:
                assert transport is not None
                transport.protocol.resumeProducing()
                self.send(transport, ASK.replace(b"/health", b"/a.jpg"))
            self.wait(1)
        self.assertTrue(self.is_served("192.0.2.1"))
        self.assertFalse(any(transport.aborted for transport in many if transport))


class LimitTests(ConnectionCase):
    def setUp(self) -> None:
        self.memory_site = self.make(max_connections=3, max_per_client=2)
        self.limiter = self.memory_site.site.limiter

    def may_accept(self, peer: str) -> bool:
        return self.limiter.may_accept(Transport(peer).getPeer())

    def test_idle_make_room(self) -> None:
        """The connection that is idle longest makes room; if none is idle, health is degraded."""
        held = [self.memory_site.connect(f"192.0.2.{n}") for n in range(3)]
        self.send(held[0], HEAD)
        self.assertTrue(self.may_accept("192.0.2.9"))
        self.assertEqual([t.disconnecting for t in held], [False, True, False])
        self.send(held[2], HEAD)
        last = self.memory_site.connect("192.0.2.9")
        self.send(last, HEAD)
        self.assertFalse(self.may_accept("192.0.2.10"))
        self.send(last, b"\r\n")
        health = parse_answer(last.value()).json
        self.assertEqual(health["status"], "degraded")
        self.assertEqual(health["reasons"], ["There are as many connections as there may be."])

    def test_idle_a_moment_ago(self) -> None:
        """A connection makes room once its request is answered, by fast path or resource tree."""
        write(os.path.join(self.memory_site.documents, "a.jpg"), b"a" * 10)
        held = [self.memory_site.connect(f"192.0.2.{n}") for n in range(3)]
        for transport in held:
            self.send(transport, HEAD)
        self.assertFalse(self.may_accept("192.0.2.9"))
        for number, path in enumerate((b"/health", b"/a.jpg")):
            self.send(held[number], b"\r\n" + ASK.replace(b"/health", path))
            self.assertTrue(self.may_accept("192.0.2.9"))
            self.assertTrue(held[number].disconnecting)
            self.send(self.memory_site.connect("192.0.2.9"), HEAD)
            self.assertFalse(self.may_accept("192.0.2.10"))
        self.wait(2)
        self.send(held[2], b"\r\n")
        self.assertTrue(self.may_accept("192.0.2.10"))

    def test_drained_meanwhile(self) -> None:
        """A site that drains goes on draining, though it was full a moment ago."""
        write(os.path.join(self.memory_site.documents, "a.jpg"), b"a" * 10)
        held = [self.memory_site.connect(f"192.0.2.{n}") for n in range(3)]
        for transport in held:
            self.send(transport, ASK[:10])
        self.assertFalse(self.may_accept("192.0.2.9"))
        self.memory_site.site.drain(30)
        self.wait(1)
        self.send(held[0], ASK.replace(b"/health", b"/a.jpg")[10:])
        self.assertEqual(parse_answer(held[0].value()).headers["connection"], "close")

    def test_per_client(self) -> None:
        """Each address has its bound; loopback has none of its own."""
        for _ in range(2):
            self.memory_site.connect("192.0.2.1")
        self.assertFalse(self.may_accept("192.0.2.1"))
        self.assertTrue(self.may_accept("192.0.2.2"))
        self.assertTrue(self.may_accept("127.0.0.1"))


class DrainTests(ConnectionCase):
    def drain(self, grace: float = 30) -> list[None]:
        done: list[None] = []
        self.memory_site.site.drain(grace).addCallback(done.append)
        return done

    def test_idle(self) -> None:
        """If no request is under way, idle connections are closed and draining is over at once."""
        transport = self.memory_site.connect()
        self.send(transport, ASK)
        done = self.drain()
        self.assertTrue(transport.disconnecting)
        self.memory_site.clock.advance(0.1)
        self.assertEqual(done, [None])

    def test_nobody(self) -> None:
        """Without connections draining is over at once."""
        done = self.drain()
        self.memory_site.clock.advance(0.1)
        self.assertEqual(done, [None])

    def test_request_under_way(self) -> None:
        """A request under way is answered with ``Connection: close`` before draining is over."""
        self.memory_site.blocking.held = True
        transport = self.memory_site.connect()
        self.send(transport, ASK.replace(b"/health", b"/?format=json"))
        done = self.drain()
        self.memory_site.clock.pump([0.1] * 50)
        self.assertEqual(done, [])
        self.memory_site.blocking.release()
        answer = parse_answer(transport.value())
        self.assertEqual((answer.status, answer.headers["connection"]), (200, "close"))
        self.assertTrue(transport.disconnecting)
        self.memory_site.clock.pump([0.1] * 2)
        self.assertEqual(done, [None])

    def test_head_under_way(self) -> None:
        """A request whose head has not wholly come is awaited, and answered."""
        write(os.path.join(self.memory_site.documents, "a.jpg"), b"a" * 10)
        transport = self.memory_site.connect()
        request = ASK.replace(b"/health", b"/a.jpg")
        self.send(transport, request[:20])
        done = self.drain()
        self.memory_site.clock.pump([0.1] * 10)
        self.assertEqual(done, [])
        self.send(transport, request[20:])
        answer = parse_answer(transport.value())
        self.assertEqual((answer.body, answer.headers["connection"]), (b"a" * 10, "close"))
        self.memory_site.clock.pump([0.1] * 2)
        self.assertEqual(done, [None])

    def test_grace(self) -> None:
        """A request that is not answered in time is ended."""
        self.memory_site.blocking.held = True
        transport = self.memory_site.connect()
        self.send(transport, ASK.replace(b"/health", b"/?format=json"))
        done = self.drain(grace=3)
        self.memory_site.clock.pump([0.1] * 29)
        self.assertEqual(done, [])
        self.memory_site.clock.pump([0.1] * 2)
        self.assertEqual(done, [None])
        self.assertTrue(transport.aborted)

    def test_hurry(self) -> None:
        """``abort_now`` ends a drain at once."""
        self.memory_site.blocking.held = True
        transport = self.memory_site.connect()
        self.send(transport, ASK.replace(b"/health", b"/?format=json"))
        done = self.drain()
        self.memory_site.site.limiter.abort_now()
        self.assertEqual(done, [None])
        self.assertTrue(transport.aborted)

    def test_hurry_first(self) -> None:
        """After ``abort_now`` a drain does not wait."""
        self.memory_site.blocking.held = True
        self.send(self.memory_site.connect(), ASK.replace(b"/health", b"/?format=json"))
        self.memory_site.site.limiter.abort_now()
        done = self.drain()
        self.memory_site.clock.advance(0.1)
        self.assertEqual(done, [None])
