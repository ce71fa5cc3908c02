"""How many connections there may be, which make room, and how a site drains."""

from __future__ import annotations

import os

from twisted.logger import formatEvent

from imgd.core.connections import Deadlines
from tests.fakes import Transport, parse_answer, record_log, write
from tests.web.connection_case import ASK, HEAD, ConnectionCase, FullTransport, connect


class SlowReaderTests(ConnectionCase):
    """Sixteen places; from twelve on slow readers make room."""

    def setUp(self) -> None:
        limits = {"max_connections": 16, "max_per_client": 4, "deadlines": Deadlines(stalled=6000)}
        self.house = self.make(**limits)
        write(os.path.join(self.house.documents, "big.bin"), bytes(30_000_000))
        self.events = record_log(self)

    def connect(self, peer: str) -> FullTransport | None:
        """A connection, where there is room for it."""
        if not self.house.site.limiter.may_accept(Transport(peer).getPeer()):
            return None
        transport = FullTransport(peer)
        connect(self.house, transport)
        return transport

    def reader(self, peer: str) -> FullTransport | None:
        """One that asks for much, and then takes nothing unless the test has it take some."""
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
        """Four addresses that hold every place with slow readers, and come again at once when one
        of them is closed, keep nobody out; the log tells of them in one line.
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
        """Below three quarters nobody is ended for being slow, from there on they are."""
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
        self.house.blocking.held = True
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

    def test_answers_of_the_lane(self) -> None:
        """What the lane sends counts as what the tree sends: who takes enough of it is not slow."""
        write(os.path.join(self.house.documents, "a.jpg"), bytes(100_000))
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
        self.house = self.make(max_connections=3, max_per_client=2)
        self.limiter = self.house.site.limiter

    def may_accept(self, peer: str) -> bool:
        return self.limiter.may_accept(Transport(peer).getPeer())

    def test_idle_make_room(self) -> None:
        """The connection that is idle longest makes room; health says that it is crowded where none
        is.
        """
        held = [self.house.connect(f"192.0.2.{n}") for n in range(3)]
        self.send(held[0], HEAD)
        self.assertTrue(self.may_accept("192.0.2.9"))
        self.assertEqual([t.disconnecting for t in held], [False, True, False])
        self.send(held[2], HEAD)
        last = self.house.connect("192.0.2.9")
        self.send(last, HEAD)
        self.assertFalse(self.may_accept("192.0.2.10"))
        self.send(last, b"\r\n")
        health = parse_answer(last.value()).json
        self.assertEqual(health["status"], "degraded")
        self.assertEqual(health["reasons"], ["There are as many connections as there may be."])

    def test_idle_a_moment_ago(self) -> None:
        """A connection makes room as soon as its answer is given, by the lane or by the tree."""
        write(os.path.join(self.house.documents, "a.jpg"), b"a" * 10)
        held = [self.house.connect(f"192.0.2.{n}") for n in range(3)]
        for transport in held:
            self.send(transport, HEAD)
        self.assertFalse(self.may_accept("192.0.2.9"))
        for number, path in enumerate((b"/health", b"/a.jpg")):
            self.send(held[number], b"\r\n" + ASK.replace(b"/health", path))
            self.assertTrue(self.may_accept("192.0.2.9"))
            self.assertTrue(held[number].disconnecting)
            self.send(self.house.connect("192.0.2.9"), HEAD)
            self.assertFalse(self.may_accept("192.0.2.10"))
        self.wait(2)
        self.send(held[2], b"\r\n")
        self.assertTrue(self.may_accept("192.0.2.10"))

    def test_drained_meanwhile(self) -> None:
        """A site that is told to end stays so, though it was full a moment ago."""
        write(os.path.join(self.house.documents, "a.jpg"), b"a" * 10)
        held = [self.house.connect(f"192.0.2.{n}") for n in range(3)]
        for transport in held:
            self.send(transport, ASK[:10])
        self.assertFalse(self.may_accept("192.0.2.9"))
        self.house.site.drain(30)
        self.wait(1)
        self.send(held[0], ASK.replace(b"/health", b"/a.jpg")[10:])
        self.assertEqual(parse_answer(held[0].value()).headers["connection"], "close")

    def test_per_client(self) -> None:
        """One address has its share, loopback has no bound of its own."""
        for _ in range(2):
            self.house.connect("192.0.2.1")
        self.assertFalse(self.may_accept("192.0.2.1"))
        self.assertTrue(self.may_accept("192.0.2.2"))
        self.assertTrue(self.may_accept("127.0.0.1"))


class DrainTests(ConnectionCase):
    def drain(self, grace: float = 30) -> list[None]:
        done: list[None] = []
        self.house.site.drain(grace).addCallback(done.append)
        return done

    def test_idle(self) -> None:
        """With nothing under way, idle connections are closed and it is over at once."""
        transport = self.house.connect()
        self.send(transport, ASK)
        done = self.drain()
        self.assertTrue(transport.disconnecting)
        self.house.clock.advance(0.1)
        self.assertEqual(done, [None])

    def test_nobody(self) -> None:
        """With nobody there it is over at once."""
        done = self.drain()
        self.house.clock.advance(0.1)
        self.assertEqual(done, [None])

    def test_request_under_way(self) -> None:
        """A request under way is answered with ``Connection: close``, then it is over."""
        self.house.blocking.held = True
        transport = self.house.connect()
        self.send(transport, ASK.replace(b"/health", b"/?format=json"))
        done = self.drain()
        self.house.clock.pump([0.1] * 50)
        self.assertEqual(done, [])
        self.house.blocking.release()
        answer = parse_answer(transport.value())
        self.assertEqual((answer.status, answer.headers["connection"]), (200, "close"))
        self.assertTrue(transport.disconnecting)
        self.house.clock.pump([0.1] * 2)
        self.assertEqual(done, [None])

    def test_head_under_way(self) -> None:
        """A request of which some has come is awaited, and answered."""
        write(os.path.join(self.house.documents, "a.jpg"), b"a" * 10)
        transport = self.house.connect()
        request = ASK.replace(b"/health", b"/a.jpg")
        self.send(transport, request[:20])
        done = self.drain()
        self.house.clock.pump([0.1] * 10)
        self.assertEqual(done, [])
        self.send(transport, request[20:])
        answer = parse_answer(transport.value())
        self.assertEqual((answer.body, answer.headers["connection"]), (b"a" * 10, "close"))
        self.house.clock.pump([0.1] * 2)
        self.assertEqual(done, [None])

    def test_grace(self) -> None:
        """What is not done in time is ended, and told in one line."""
        self.house.blocking.held = True
        transport = self.house.connect()
        self.send(transport, ASK.replace(b"/health", b"/?format=json"))
        done = self.drain(grace=3)
        self.house.clock.pump([0.1] * 29)
        self.assertEqual(done, [])
        self.house.clock.pump([0.1] * 2)
        self.assertEqual(done, [None])
        self.assertTrue(transport.aborted)

    def test_hurry(self) -> None:
        """Asked to hurry, it ends at once."""
        self.house.blocking.held = True
        transport = self.house.connect()
        self.send(transport, ASK.replace(b"/health", b"/?format=json"))
        done = self.drain()
        self.house.site.limiter.abort_now()
        self.assertEqual(done, [None])
        self.assertTrue(transport.aborted)

    def test_hurry_first(self) -> None:
        """Asked to hurry before it began to drain, it does not wait either."""
        self.house.blocking.held = True
        self.send(self.house.connect(), ASK.replace(b"/health", b"/?format=json"))
        self.house.site.limiter.abort_now()
        done = self.drain()
        self.house.clock.advance(0.1)
        self.assertEqual(done, [None])
