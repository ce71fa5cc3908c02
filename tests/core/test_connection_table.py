"""How long connections may take, and which make room for others."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from twisted.trial.unittest import SynchronousTestCase

from imgd.core.connection_table import LATE, SWEEP, ConnectionTable
from imgd.core.connections import ConnectionProgress, Deadlines, Phase

DEADLINES = Deadlines(handshake=10, header=20, body=30, stalled=60, idle=75)


class FakeConnection:
    """A connection whose progress is what the test says."""

    def __init__(self, phase: Phase = Phase.IDLE) -> None:
        self.now: ConnectionProgress = (phase, 0)
        self.bytes = 0.0
        self.rate = 0.0  # bytes that a test has it take each second
        self.ended: list[str] = []

    def progress(self) -> ConnectionProgress:
        return self.now

    def is_idle(self) -> bool:
        return self.now[0] == Phase.IDLE

    def bytes_taken(self) -> int:
        return int(self.bytes)

    def expire(self, phase: Phase) -> None:
        self.ended.append(f"expired at {phase.name}")

    def close_now(self) -> None:
        self.ended.append("closed")

    def close_when_idle(self) -> None:
        self.ended.append("closed when idle")

    def abort(self) -> None:
        self.ended.append("aborted")


class DeadlineTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.table = ConnectionTable(DEADLINES, 100, 0)

    def sweep_until(self, end: float, start: float = 0) -> None:
        for step in range(int((end - start) / SWEEP)):
            self.table.sweep(start + (step + 1) * SWEEP)

    def test_each_phase(self) -> None:
        """Each phase has its deadline, kept to within two sweeps and never early."""
        limits = DEADLINES
        for phase, seconds in (
            (Phase.HANDSHAKE, limits.handshake),
            (Phase.HEAD, limits.header),
            (Phase.BODY, limits.body),
            (Phase.STALLED, limits.stalled),
            (Phase.IDLE, limits.idle),
            (Phase.CLOSING, limits.closing),
        ):
            self.table = ConnectionTable(limits, 100, 0)
            connection = FakeConnection(phase)
            self.table.add(connection, "192.0.2.1", 0)
            self.sweep_until(seconds - SWEEP)
            self.assertEqual(connection.ended, [], phase)
            self.sweep_until(seconds + 2 * SWEEP, seconds - SWEEP)
            self.assertEqual(connection.ended, [f"expired at {phase.name}"])

    def test_answers_take_their_time(self) -> None:
        """While it is imgd's turn, no deadline of the client's runs."""
        connection = FakeConnection(Phase.ANSWER)
        self.table.add(connection, "192.0.2.1", 0)
        self.sweep_until(1000)
        self.assertEqual(connection.ended, [])

    def test_progress(self) -> None:
        """The deadline starts again when progress changes: who takes something is not stalled."""
        connection = FakeConnection(Phase.STALLED)
        self.table.add(connection, "192.0.2.1", 0)
        for second in range(1, 300):
            connection.now = (Phase.STALLED, second // 50)
            self.table.sweep(second)
        self.assertEqual(connection.ended, [])

    def test_held_up(self) -> None:
        """Time in which the process was held up counts against nobody, and is returned."""
        connection = FakeConnection(Phase.HEAD)
        self.table.add(connection, "192.0.2.1", 0)
        self.sweep_until(10)
        _, held_up = self.table.sweep(10 + 3600)
        self.assertEqual(held_up, 3600 - SWEEP)
        self.assertEqual(connection.ended, [])
        self.sweep_until(3610 + 8, 3610)
        self.assertEqual(connection.ended, [])
        self.sweep_until(3610 + 12, 3618)
        self.assertEqual(connection.ended, ["expired at HEAD"])
        self.assertEqual(self.table.sweep(3622 + LATE - 0.1)[1], 0)

    def test_counted(self) -> None:
        """A sweep returns how many it ended in each phase."""
        for phase in (Phase.HEAD, Phase.HEAD, Phase.HANDSHAKE):
            self.table.add(FakeConnection(phase), "192.0.2.1", 0)
        self.table.sweep(1)
        for second in range(2, 10):
            self.table.sweep(second)
        self.assertEqual(self.table.sweep(10)[0], {Phase.HANDSHAKE: 1})
        for second in range(11, 20):
            self.table.sweep(second)
        self.assertEqual(self.table.sweep(20)[0][Phase.HEAD], 2)


class RoomTests(SynchronousTestCase):
    def test_oldest_idle_makes_room(self) -> None:
        """If there are as many as may be, the one that is idle longest is closed for another."""
        table = ConnectionTable(DEADLINES, 3, 0)
        busy, old, young = FakeConnection(Phase.ANSWER), FakeConnection(), FakeConnection()
        for second, connection in enumerate((busy, old, young)):
            table.add(connection, "192.0.2.1", second)
        self.assertTrue(table.may_accept("192.0.2.2"))
        self.assertEqual((busy.ended, old.ended, young.ended), ([], ["closed"], []))
        table.add(FakeConnection(Phase.HEAD), "192.0.2.2", 4)
        self.assertTrue(table.may_accept("192.0.2.2"))
        self.assertEqual(young.ended, ["closed"])
        self.assertEqual(len(table), 2)

    def test_no_room(self) -> None:
        """If none is idle, there is no room until one is removed."""
        table = ConnectionTable(DEADLINES, 1, 0)
        busy = FakeConnection(Phase.ANSWER)
        table.add(busy, "192.0.2.1", 0)
        self.assertFalse(table.may_accept("192.0.2.2"))
        table.remove(busy)
        table.remove(busy)
        self.assertTrue(table.may_accept("192.0.2.2"))

    def test_no_longer_idle(self) -> None:
        """One that was idle when the queue was made, and is not any more, is left alone."""
        table = ConnectionTable(DEADLINES, 2, 0)
        first, second = FakeConnection(), FakeConnection()
        table.add(first, "192.0.2.1", 0)
        table.add(second, "192.0.2.1", 1)
        self.assertTrue(table.may_accept("192.0.2.2"))
        table.add(FakeConnection(Phase.HEAD), "192.0.2.2", 2)
        second.now = (Phase.ANSWER, 0)
        self.assertFalse(table.may_accept("192.0.2.2"))
        self.assertEqual(second.ended, [])

    def test_per_client(self) -> None:
        """Each address has its own bound, and loopback has none."""
        table = ConnectionTable(DEADLINES, 100, 2)
        for _ in range(2):
            table.add(FakeConnection(), "192.0.2.1", 0)
        self.assertFalse(table.may_accept("192.0.2.1"))
        self.assertFalse(table.may_accept("::ffff:192.0.2.1"))
        self.assertTrue(table.may_accept("192.0.2.2"))
        for _ in range(10):
            self.assertTrue(table.may_accept("127.0.0.1"))
            table.add(FakeConnection(), "127.0.0.1", 0)


class IdleTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.table = ConnectionTable(DEADLINES, 4, 0)

    def add(self, *addresses: str, phase: Phase = Phase.IDLE) -> list[FakeConnection]:
        connections = [FakeConnection(phase) for _ in addresses]
        for connection, address in zip(connections, addresses, strict=True):
            self.table.add(connection, address, 0)
        return connections

    def test_idle_a_moment_ago(self) -> None:
        """One that becomes idle after the queue was made makes room before the next sweep."""
        idle, *busy = self.add(*["192.0.2.1"] * 4)
        for connection in busy:
            connection.now = (Phase.ANSWER, 0)
        self.assertFalse(self.table.needs_idle)
        self.assertTrue(self.table.may_accept("192.0.2.9"))
        self.assertTrue(self.table.needs_idle)
        self.add("192.0.2.9", phase=Phase.HEAD)
        self.assertFalse(self.table.may_accept("192.0.2.9"))
        busy[1].now = (Phase.IDLE, 1)
        self.table.note_idle(busy[1], 0.1)
        self.assertTrue(self.table.may_accept("192.0.2.9"))
        self.assertEqual([g.ended for g in (idle, *busy)], [["closed"], [], ["closed"], []])
        self.table.sweep(1)
        self.assertFalse(self.table.needs_idle)
        self.table.note_idle(busy[0], 1.1)

    def test_looked_at_once(self) -> None:
        """However many are refused, each connection is looked at once, and again when it is noted:
        with thousands of connections a refusal does not cost thousands of looks.
        """
        looks = []

        class Watched(FakeConnection):
            def is_idle(self) -> bool:
                looks.append(self)
                return super().is_idle()

        table = ConnectionTable(DEADLINES, 1000, 0)
        connections = [Watched(Phase.ANSWER) for _ in range(1000)]
        for connection in connections:
            table.add(connection, "192.0.2.1", 0)
        for _ in range(5000):
            self.assertFalse(table.may_accept("192.0.2.9"))
            table.note_idle(connections[7], 0)
            table.note_idle(connections[7], 0)
        self.assertLessEqual(len(looks), 1000 + 5000)

    def test_gone(self) -> None:
        """One that was removed makes no room, nor does one that was never added."""
        first, second, *_ = self.add(*["192.0.2.1"] * 4)
        self.assertTrue(self.table.may_accept("192.0.2.9"))
        self.table.remove(second)
        self.add(*["192.0.2.9"] * 2, phase=Phase.HEAD)
        self.table.note_idle(FakeConnection(), 0)
        self.assertTrue(self.table.may_accept("192.0.2.9"))
        self.assertEqual((first.ended, second.ended), (["closed"], []))

    def test_taking_its_last_bytes(self) -> None:
        """One whose answer is not wholly taken yet is passed over, and makes room later."""
        taking, *_ = self.add(*["192.0.2.1"] * 4, phase=Phase.STALLED)
        self.assertFalse(self.table.may_accept("192.0.2.9"))
        self.table.note_idle(taking, 0)
        self.assertFalse(self.table.may_accept("192.0.2.9"))
        taking.now = (Phase.IDLE, 1)
        self.assertTrue(self.table.may_accept("192.0.2.9"))

    def test_many_taking(self) -> None:
        """Only a few are passed over for one new connection, and other ones for the next."""
        self.table = ConnectionTable(DEADLINES, 40, 0)
        taking = self.add(*["192.0.2.1"] * 40, phase=Phase.STALLED)
        self.assertFalse(self.table.may_accept("192.0.2.9"))
        for connection in taking:
            self.table.note_idle(connection, 0)
        taking[-1].now = (Phase.IDLE, 1)
        tries = 1
        while not self.table.may_accept("192.0.2.9"):
            tries += 1
        self.assertEqual(tries, 5)

    def test_who_holds_most(self) -> None:
        """An idle connection of the client that has most makes room: a client with many connections
        does not close those of clients with few.
        """
        self.table = ConnectionTable(DEADLINES, 8, 0)
        connections = self.add("192.0.2.1", *["192.0.2.2"] * 3, *["192.0.2.3"] * 4)
        ended = []
        for _ in range(20):
            self.assertTrue(self.table.may_accept("192.0.2.9"))
            [gone] = [
                n for n, connection in enumerate(connections) if connection.ended and n not in ended
            ]
            ended.append(gone)
            connections += self.add("192.0.2.9")
            self.table.note_idle(connections[-1], 1)
        self.assertEqual(ended[:3], [4, 1, 5])
        endings = [connection.ended for connection in connections[:8]]
        self.assertEqual(endings.count([]), 5)
        self.assertEqual(endings[0], [])


class SlowReaderTests(SynchronousTestCase):
    """At most eight connections: from six on there is little room left."""

    def setUp(self) -> None:
        self.table = ConnectionTable(replace(DEADLINES, stalled=1e9), 8, 0)
        self.now = 0.0
        self.table.sweep(0)

    def readers(self, *rates: float, address: str = "192.0.2.{}") -> list[FakeConnection]:
        """Readers that take so many bytes each second."""
        connections = []
        for number, rate in enumerate(rates):
            connection = FakeConnection(Phase.STALLED)
            connection.rate = rate
            self.table.add(connection, address.format(number), self.now)
            connections.append(connection)
        return connections

    def wait(self, seconds: int, connections: list[FakeConnection]) -> Counter[Phase]:
        ended: Counter[Phase] = Counter()
        for _ in range(seconds):
            self.now += 1
            for connection in connections:
                connection.bytes += connection.rate
            ended += self.table.sweep(self.now)[0]
        return ended

    def ended(self, connections: list[FakeConnection]) -> list[int]:
        return [n for n, connection in enumerate(connections) if connection.ended]

    def test_slowest_first(self) -> None:
        """With little room left, a new connection ends one that took less than 240 bytes a second
        over a minute, the slowest first, though there is room.
        """
        connections = self.readers(200, 100, 239, 240, 1e6, 0)
        self.wait(59, connections)
        self.assertTrue(self.table.may_accept("192.0.2.99"))
        self.assertEqual(self.ended(connections), [])
        self.wait(2, connections)
        order = []
        for _ in range(6):
            self.assertTrue(self.table.may_accept("192.0.2.99"))
            order += [n for n in self.ended(connections) if n not in order]
            self.table.add(FakeConnection(Phase.HEAD), "192.0.2.99", self.now)
        self.assertEqual(order, [5, 1, 0, 2])
        self.assertEqual(connections[5].ended, ["expired at SLOW"])
        self.assertEqual(self.wait(1, []), {Phase.SLOW: 4})
        self.assertEqual(self.wait(1, []), {})

    def test_enough_places(self) -> None:
        """Below three quarters no slow reader is ended."""
        connections = self.readers(0, 1, 2, 3, 4)
        self.wait(600, connections)
        self.assertTrue(self.table.may_accept("192.0.2.99"))
        self.assertEqual(self.ended(connections), [])

    def test_no_place(self) -> None:
        """If there is no room left, idle ones make room before those that take up to 4,800 bytes a
        second, and these before any is refused.
        """
        connections = self.readers(300, 467, 4799, 4800, 1e6, 1e6, 1e6)
        self.table.add(idle := FakeConnection(), "192.0.2.98", 0)
        self.wait(61, connections)
        ended = []
        for _ in range(4):
            self.assertTrue(self.table.may_accept("192.0.2.99"))
            ended += [n for n in self.ended(connections) if n not in ended]
            self.table.add(FakeConnection(Phase.HEAD), "192.0.2.99", self.now)
        self.assertEqual((idle.ended, ended), (["closed"], [0, 1, 2]))
        self.assertFalse(self.table.may_accept("192.0.2.99"))

    def test_not_slow(self) -> None:
        """A client that waits for imgd, is idle, or takes enough between two pauses is not slow."""
        connections = self.readers(0, 0, 10, 0, 0, 0, 0)
        waiting, idle, bursts, resting, *_ = connections
        waiting.now, idle.now = (Phase.ANSWER, 0), (Phase.IDLE, 0)
        for second in range(1, 75):
            bursts.bytes += 1_000_000 if second % 50 == 0 else 0
            waiting.now = (Phase.STALLED if second > 40 else Phase.ANSWER, 0)
            resting.now = (Phase.IDLE if second == 55 else Phase.STALLED, 0)
            self.wait(1, connections)
        for _ in range(5):
            self.assertTrue(self.table.may_accept("192.0.2.99"))
            self.table.add(FakeConnection(Phase.HEAD), "192.0.2.99", self.now)
        self.assertFalse(self.table.may_accept("192.0.2.99"))
        self.assertEqual(self.ended(connections), [1, 4, 5, 6])
        self.assertEqual(idle.ended, ["closed"])

    def test_no_longer_slow(self) -> None:
        """One that was slow is left alone if it took enough since, or is not stalled any more."""
        connections = self.readers(0, 0, 0, 1e6, 1e6, 1e6)
        self.wait(61, connections)
        connections[0].bytes += 240 * 60
        connections[1].now = (Phase.ANSWER, 1)
        self.table.remove(connections[2])
        self.table.add(FakeConnection(Phase.HEAD), "192.0.2.98", self.now)
        self.assertTrue(self.table.may_accept("192.0.2.99"))
        self.assertEqual(self.ended(connections), [])

    def test_interrupted(self) -> None:
        """Only time in which bytes wait to be taken is counted, however often it is interrupted."""
        connections = self.readers(100, 1e6, 1e6, 1e6, 1e6, 1e6)
        for _ in range(40):
            connections[0].now = (Phase.ANSWER, int(connections[0].bytes))
            self.wait(1, connections)
            connections[0].now = (Phase.STALLED, int(connections[0].bytes))
            self.wait(3, connections)
        self.assertTrue(self.table.may_accept("192.0.2.99"))
        self.assertEqual(self.ended(connections), [0])

    def test_held_up(self) -> None:
        """Time in which the process was held up counts against no reader."""
        connections = self.readers(250, 1e6, 1e6, 1e6, 1e6, 1e6)
        self.wait(30, connections)
        self.now += 3600
        self.wait(40, connections)
        self.assertTrue(self.table.may_accept("192.0.2.99"))
        self.assertEqual(self.ended(connections), [])

    def test_four_addresses(self) -> None:
        """Four addresses that hold every connection with slow readers, and reconnect as soon as one
        is closed, keep nobody out: every other client is accepted at once.
        """
        self.table = ConnectionTable(replace(DEADLINES, stalled=1e9), 8, 2)
        self.table.sweep(self.now)
        slow = [g for n in range(4) for g in self.readers(4, 4, address=f"192.0.2.{n}")]
        self.assertFalse(self.table.may_accept("198.51.100.1"))
        self.wait(61, slow)
        for number in range(40):
            honest = FakeConnection(Phase.ANSWER)
            self.assertTrue(self.table.may_accept(address := f"198.51.100.{number}"), number)
            self.table.add(honest, address, self.now)
            for again in range(4):
                if self.table.may_accept(f"192.0.2.{again}"):
                    slow += self.readers(4, address=f"192.0.2.{again}")
            self.table.remove(honest)
            self.wait(20, slow)

    def test_loopback(self) -> None:
        """All clients of a tunnel have one address: slow readers make room for others of it."""
        connections = self.readers(*[0] * 8, address="127.0.0.1")
        self.wait(61, connections)
        for _ in range(8):
            self.assertTrue(self.table.may_accept("127.0.0.1"))
            self.table.add(FakeConnection(Phase.HEAD), "127.0.0.1", self.now)
        self.assertEqual(len(self.ended(connections)), 8)


class ProxyTests(SynchronousTestCase):
    """A proxy's connection has no client of its own: it is added with the address ""."""

    def setUp(self) -> None:
        self.table = ConnectionTable(replace(DEADLINES, stalled=1e9), 4, 2)
        self.connections = [FakeConnection(Phase.ANSWER) for _ in range(4)]
        for connection in self.connections:
            self.table.add(connection, "", 0)

    def test_counts_for_its_client(self) -> None:
        """It counts for the client whose request it carries, until that is released."""
        first, second, third, _ = self.connections
        self.assertTrue(self.table.assign_client(first, "192.0.2.1"))
        self.assertTrue(self.table.assign_client(second, "192.0.2.1"))
        self.assertFalse(self.table.assign_client(third, "192.0.2.1"))
        self.assertTrue(self.table.assign_client(second, "192.0.2.1"))
        self.assertTrue(self.table.assign_client(third, "192.0.2.2"))
        self.table.release_client(second)
        self.assertTrue(self.table.assign_client(third, "192.0.2.1"))

    def test_idle(self) -> None:
        """One that is idle counts for nobody."""
        for connection in self.connections[:2]:
            self.assertTrue(self.table.assign_client(connection, "192.0.2.1"))
            connection.now = (Phase.IDLE, 1)
        self.table.sweep(1)
        self.assertTrue(self.table.assign_client(self.connections[2], "192.0.2.1"))

    def test_gone(self) -> None:
        """One that was removed carries no request, and its client has one connection less."""
        for connection in self.connections[:2]:
            self.assertTrue(self.table.assign_client(connection, "192.0.2.1"))
        self.table.remove(self.connections[0])
        self.assertFalse(self.table.assign_client(self.connections[0], "192.0.2.1"))
        self.table.release_client(self.connections[0])
        self.assertTrue(self.table.assign_client(self.connections[2], "192.0.2.1"))

    def test_slow_reader(self) -> None:
        """A slow reader behind a proxy makes room; its client gets no last place for a minute."""
        slow = self.connections[0]
        self.table.assign_client(slow, "192.0.2.1")
        slow.now = (Phase.STALLED, 0)
        for second in range(63):
            self.table.sweep(second)
        self.assertTrue(self.table.may_accept(""))
        self.assertEqual(slow.ended, ["expired at SLOW"])
        self.table.add(again := FakeConnection(Phase.HEAD), "", 63)
        self.assertFalse(self.table.assign_client(again, "192.0.2.1"))
        self.assertTrue(self.table.assign_client(again, "192.0.2.2"))
        for second in range(63, 123):
            self.table.sweep(second)
        self.assertTrue(self.table.assign_client(again, "192.0.2.1"))


class EndTests(SynchronousTestCase):
    def test_close_when_idle(self) -> None:
        """Each connection is closed when it is idle; it is busy while it has something to lose."""
        table = ConnectionTable(DEADLINES, 100, 0)
        idle, closing, busy = (
            FakeConnection(),
            FakeConnection(Phase.CLOSING),
            FakeConnection(Phase.ANSWER),
        )
        for connection in (idle, closing, busy):
            table.add(connection, "192.0.2.1", 0)
        table.close_when_idle()
        self.assertEqual(idle.ended + closing.ended + busy.ended, ["closed when idle"] * 3)
        self.assertTrue(table.is_busy())
        self.assertEqual(table.abort_all(), 1)
        table.remove(busy)
        self.assertFalse(table.is_busy())
        self.assertEqual(table.abort_all(), 0)
