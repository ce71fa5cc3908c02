"""Deadlines and limits of connections, in memory: no byte buys more time than its stage has."""

from __future__ import annotations

import os
from typing import Any

from twisted.logger import LogEvent, formatEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from imgd.core.connections import Deadlines
from imgd.errors import Unavailable
from tests.fakes import House, Transport, parse_answer, write

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


class Case(SynchronousTestCase):
    def setUp(self) -> None:
        self.house = self.make()

    def make(self, **more: Any) -> House:
        house = House(os.path.abspath(self.mktemp()), more=more)
        house.site.limiter.start()
        self.addCleanup(house.site.limiter.stop)
        return house

    def send(self, transport: Transport, data: bytes) -> None:
        if transport.connected and not transport.disconnecting:
            transport.protocol.dataReceived(data)

    def wait(self, seconds: int) -> None:
        self.house.clock.pump([1] * seconds)


class DeadlineTests(Case):
    def test_slow_head(self) -> None:
        """A head that comes byte by byte is answered 408 after the deadline, whatever it sends."""
        transport = self.house.connect()
        for at in range(20):
            self.send(transport, HEAD[at : at + 1])
            self.assertFalse(transport.disconnecting, at)
            self.wait(1)
        self.wait(2)
        answer = parse_answer(transport.value())
        self.assertEqual((answer.status, answer.headers["connection"]), (408, "close"))
        self.assertTrue(transport.disconnecting)

    def test_silence(self) -> None:
        """A connection that never asks is closed after as long, without a word."""
        transport = self.house.connect()
        self.wait(19)
        self.assertFalse(transport.disconnecting)
        self.wait(3)
        self.assertTrue(transport.disconnecting)
        self.assertEqual(transport.value(), b"")

    def test_slow_body(self) -> None:
        """A body that comes byte by byte is answered 408, and what comes after does nothing."""
        transport = self.house.connect()
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
        """On a connection that lives on, a head has its time from its first byte."""
        transport = self.house.connect()
        self.send(transport, ASK)
        self.wait(60)
        self.assertFalse(transport.disconnecting)
        self.send(transport, HEAD)
        self.wait(19)
        self.assertFalse(transport.disconnecting)
        self.wait(3)
        self.assertTrue(transport.disconnecting)

    def test_idle(self) -> None:
        """Between requests there is more time, and each request begins it anew."""
        transport = self.house.connect()
        for _ in range(3):
            self.send(transport, ASK)
            self.wait(74)
            self.assertFalse(transport.disconnecting)
        self.wait(4)
        self.assertTrue(transport.disconnecting)
        self.assertEqual(transport.value().count(b"200 OK"), 3)

    def test_fast_path(self) -> None:
        """Answers of the fast path and of the tree count alike."""
        write(os.path.join(self.house.documents, "a.jpg"), b"a" * 10)
        transport = self.house.connect()
        for _ in range(2):
            self.send(transport, ASK.replace(b"/health", b"/a.jpg"))
            self.wait(74)
            self.assertFalse(transport.disconnecting)
        self.wait(4)
        self.assertTrue(transport.disconnecting)

    def test_answer_takes_its_time(self) -> None:
        """While a listing is read, no deadline of the client's runs."""
        self.house.blocking.held = True
        transport = self.house.connect()
        self.send(transport, ASK.replace(b"/health", b"/?format=json"))
        self.wait(200)
        self.assertFalse(transport.disconnecting)
        self.house.blocking.release()
        self.assertEqual(parse_answer(transport.value()).status, 200)

    def test_stalled_reader(self) -> None:
        """A client that takes nothing of a large answer is cut off; one that does is not."""
        write(os.path.join(self.house.documents, "big.bin"), bytes(3_000_000))
        for takes in (False, True):
            transport = FullTransport("127.0.0.1")
            transport.protocol = self.house.site.buildProtocol(transport.getPeer())
            transport.protocol.makeConnection(transport)
            self.send(transport, ASK.replace(b"/health", b"/big.bin"))
            for second in range(1, 201):
                self.wait(1)
                if takes and second % 50 == 0:
                    transport.protocol.resumeProducing()
            self.assertEqual(transport.aborted, not takes)

    def test_settings(self) -> None:
        """Each deadline is a setting."""
        self.house = self.make(deadlines=Deadlines(header=3, idle=5))
        silent, idle = self.house.connect(), self.house.connect()
        self.send(idle, ASK)
        self.wait(4)
        self.assertTrue(silent.disconnecting)
        self.assertFalse(idle.disconnecting)
        self.wait(3)
        self.assertTrue(idle.disconnecting)

    def test_told_together(self) -> None:
        """Slow clients are told of together, once a minute, and idle ones not at all."""
        told: list[LogEvent] = []
        globalLogPublisher.addObserver(told.append)
        self.addCleanup(globalLogPublisher.removeObserver, told.append)
        self.send(self.house.connect(), ASK)
        for number in range(90):
            transport = self.house.connect()
            self.send(transport, HEAD if number % 2 else POST)
            self.wait(1)
        self.wait(60)
        lines = [formatEvent(e) for e in told if "too slow" in str(e["log_format"])]
        self.assertEqual(len(lines), 3, lines)
        self.assertIn("with the head of a request", lines[0])
        self.assertIn("with the body of a request", lines[1])

    def test_forgotten(self) -> None:
        """Connections that are gone are looked at no more."""
        transport = self.house.connect()
        transport.abortConnection()
        self.wait(100)
        self.assertEqual(transport.value(), b"")


class SlowReaderTests(Case):
    """Sixteen places; from twelve on slow readers make room."""

    def setUp(self) -> None:
        limits = {"max_connections": 16, "max_per_client": 4, "deadlines": Deadlines(stalled=6000)}
        self.house = self.make(**limits)
        write(os.path.join(self.house.documents, "big.bin"), bytes(30_000_000))
        self.told: list[LogEvent] = []
        globalLogPublisher.addObserver(self.told.append)
        self.addCleanup(globalLogPublisher.removeObserver, self.told.append)

    def connect(self, peer: str) -> FullTransport | None:
        """A connection, where there is room for it."""
        if not self.house.site.limiter.admits(Transport(peer).getPeer()):
            return None
        transport = FullTransport(peer)
        transport.protocol = self.house.site.buildProtocol(transport.getPeer())
        transport.protocol.makeConnection(transport)
        return transport

    def reader(self, peer: str) -> FullTransport | None:
        """One that asks for much, and then takes nothing unless the test has it take some."""
        transport = self.connect(peer)
        if transport is not None:
            self.send(transport, ASK.replace(b"/health", b"/big.bin"))
        return transport

    def readers(self, count: int) -> list[FullTransport]:
        found = [self.reader(f"192.0.2.{number % 4}") for number in range(count)]
        return [transport for transport in found if transport is not None]

    def is_served(self, peer: str) -> bool:
        transport = self.connect(peer)
        if transport is None:
            return False
        self.send(transport, ASK)
        served = b"200 OK" in transport.value()
        transport.abortConnection()
        return served

    def lines(self) -> list[str]:
        return [formatEvent(e) for e in self.told if "too slow" in str(e["log_format"])]

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
        said = "to read an answer while others waited to come in"
        self.assertTrue(self.lines())
        for line in self.lines():
            self.assertRegex(line, f"^Closed connections that were too slow: [0-9]+ {said}$")

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

    def test_answers_of_the_fast_path(self) -> None:
        """What the fast path sends counts as what the tree sends: to take enough is not slow."""
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


class LimitTests(Case):
    def setUp(self) -> None:
        self.house = self.make(max_connections=3, max_per_client=2)
        self.limiter = self.house.site.limiter

    def admits(self, peer: str) -> bool:
        return self.limiter.admits(Transport(peer).getPeer())

    def test_idle_make_room(self) -> None:
        """The connection that is idle longest makes room; health says that it is crowded where none
        is.
        """
        held = [self.house.connect(f"192.0.2.{n}") for n in range(3)]
        self.send(held[0], HEAD)
        self.assertTrue(self.admits("192.0.2.9"))
        self.assertEqual([t.disconnecting for t in held], [False, True, False])
        self.send(held[2], HEAD)
        last = self.house.connect("192.0.2.9")
        self.send(last, HEAD)
        self.assertFalse(self.admits("192.0.2.10"))
        self.send(last, b"\r\n")
        told = parse_answer(last.value()).json
        self.assertEqual(told["status"], "degraded")
        self.assertEqual(told["reasons"], ["There are as many connections as there may be."])

    def test_idle_a_moment_ago(self) -> None:
        """A connection makes room as soon as it is answered, by the fast path or by the tree."""
        write(os.path.join(self.house.documents, "a.jpg"), b"a" * 10)
        held = [self.house.connect(f"192.0.2.{n}") for n in range(3)]
        for transport in held:
            self.send(transport, HEAD)
        self.assertFalse(self.admits("192.0.2.9"))
        for number, path in enumerate((b"/health", b"/a.jpg")):
            self.send(held[number], b"\r\n" + ASK.replace(b"/health", path))
            self.assertTrue(self.admits("192.0.2.9"))
            self.assertTrue(held[number].disconnecting)
            self.send(self.house.connect("192.0.2.9"), HEAD)
            self.assertFalse(self.admits("192.0.2.10"))
        self.wait(2)
        self.send(held[2], b"\r\n")
        self.assertTrue(self.admits("192.0.2.10"))

    def test_drained_meanwhile(self) -> None:
        """A site that is told to end stays so, though it was full a moment ago."""
        write(os.path.join(self.house.documents, "a.jpg"), b"a" * 10)
        held = [self.house.connect(f"192.0.2.{n}") for n in range(3)]
        for transport in held:
            self.send(transport, ASK[:10])
        self.assertFalse(self.admits("192.0.2.9"))
        self.house.site.drain(30)
        self.wait(1)
        self.send(held[0], ASK.replace(b"/health", b"/a.jpg")[10:])
        self.assertEqual(parse_answer(held[0].value()).headers["connection"], "close")

    def test_per_client(self) -> None:
        """One address has its share, loopback has no bound of its own."""
        for _ in range(2):
            self.house.connect("192.0.2.1")
        self.assertFalse(self.admits("192.0.2.1"))
        self.assertTrue(self.admits("192.0.2.2"))
        self.assertTrue(self.admits("127.0.0.1"))

    def refused(self) -> Transport:
        protocol = self.limiter.refusal()
        assert protocol is not None
        transport = Transport("192.0.2.1")
        transport.protocol = protocol
        protocol.makeConnection(transport)
        return transport

    def test_refusal(self) -> None:
        """One too many is answered 503 with Retry-After when it asks, once, and closed."""
        transport = self.refused()
        self.assertEqual(transport.value(), b"")
        transport.protocol.dataReceived(ASK)
        transport.protocol.dataReceived(ASK)
        answer = parse_answer(transport.value())
        self.assertEqual((answer.status, answer.headers["retry-after"]), (503, "5"))
        self.assertIn("Try again", answer.json["detail"])
        self.assertTrue(transport.disconnecting)
        self.assertEqual(transport.value().count(b"HTTP/1.1"), 1)

    def test_refusals_are_bounded(self) -> None:
        """Those who do not ask are closed soon, and not more than a few are waited for."""
        waiting = []
        while (protocol := self.limiter.refusal()) is not None:
            transport = Transport("192.0.2.1")
            transport.protocol = protocol
            protocol.makeConnection(transport)
            waiting.append(transport)
        self.assertEqual(len(waiting), 64)
        self.wait(6)
        self.assertTrue(all(transport.aborted for transport in waiting))
        self.assertIsNotNone(self.limiter.refusal())


class DrainTests(Case):
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
        asked = ASK.replace(b"/health", b"/a.jpg")
        self.send(transport, asked[:20])
        done = self.drain()
        self.house.clock.pump([0.1] * 10)
        self.assertEqual(done, [])
        self.send(transport, asked[20:])
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


class HealthTests(Case):
    def test_degraded(self) -> None:
        """/health says what is wrong while it lasts, with status 200, and is healthy after."""
        self.assertNotIn("reasons", self.house.ask("/health").json)
        health_monitor = self.house.site.health_monitor
        health_monitor.report("disk", lasts=True)
        answer = self.house.ask("/health")
        self.assertEqual(answer.status, 200)
        self.assertEqual(answer.json["status"], "degraded")
        self.assertEqual(answer.json["reasons"], ["A directory does not answer."])
        health_monitor.clear("disk")
        self.assertEqual(self.house.ask("/health").json["status"], "healthy")

    def test_unavailable(self) -> None:
        """What the machine cannot do now is a 503 with Retry-After, which names its fault."""
        self.house.store.fail = Unavailable("The disk is full.", "state")
        os.makedirs(os.path.join(self.house.documents, "frames"))
        where = os.path.join(self.house.documents, "frames")
        answer = self.house.post("/load-directory", {"directory": where})
        self.assertEqual((answer.status, answer.headers["retry-after"]), (503, "5"))
        told = self.house.ask("/health").json["reasons"]
        self.assertEqual(told, ["What is loaded cannot be stored: loads and unloads fail."])
