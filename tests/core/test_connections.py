"""Who may stay how long, and who may come in."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from twisted.trial.unittest import SynchronousTestCase

from imgd.core.connections import (
    LATE,
    SWEEP,
    ConnectionProgress,
    ConnectionTable,
    Deadlines,
    Phase,
    client_of,
)

DEADLINES = Deadlines(handshake=10, header=20, body=30, stalled=60, idle=75)


class Somebody:
    """A connection that is at what the test says."""

    def __init__(self, phase: Phase = Phase.IDLE) -> None:
        self.now: ConnectionProgress = (phase, 0)
        self.bytes = 0.0
        self.rate = 0.0  # bytes that a test has it take each second
        self.ended: list[str] = []

    def mark(self) -> ConnectionProgress:
        return self.now

    def is_idle(self) -> bool:
        return self.now[0] == Phase.IDLE

    def taken(self) -> int:
        return int(self.bytes)

    def expire(self, phase: Phase) -> None:
        self.ended.append(f"expired at {phase.name}")

    def close_now(self) -> None:
        self.ended.append("hung up")

    def close_when_idle(self) -> None:
        self.ended.append("seen out")

    def abort(self) -> None:
        self.ended.append("aborted")


class DeadlineTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.table = ConnectionTable(DEADLINES, 100, 0)

    def sweep_until(self, end: float, start: float = 0) -> None:
        for step in range(int((end - start) / SWEEP)):
            self.table.sweep(start + (step + 1) * SWEEP)

    def test_each_stage(self) -> None:
        """Each stage has its deadline, kept to within two sweeps and never early."""
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
            connection = Somebody(phase)
            self.table.enter(connection, "192.0.2.1", 0)
            self.sweep_until(seconds - SWEEP)
            self.assertEqual(connection.ended, [], phase)
            self.sweep_until(seconds + 2 * SWEEP, seconds - SWEEP)
            self.assertEqual(connection.ended, [f"expired at {phase.name}"])

    def test_answers_take_their_time(self) -> None:
        """While it is imgd's turn, no deadline of the client's runs."""
        connection = Somebody(Phase.ANSWER)
        self.table.enter(connection, "192.0.2.1", 0)
        self.sweep_until(1000)
        self.assertEqual(connection.ended, [])

    def test_progress(self) -> None:
        """Time begins anew when the mark changes: a reader that takes something is not stalled."""
        connection = Somebody(Phase.STALLED)
        self.table.enter(connection, "192.0.2.1", 0)
        for second in range(1, 300):
            connection.now = (Phase.STALLED, second // 50)
            self.table.sweep(second)
        self.assertEqual(connection.ended, [])

    def test_held_up(self) -> None:
        """Time during which the process stood still counts for nobody, and is told."""
        connection = Somebody(Phase.HEAD)
        self.table.enter(connection, "192.0.2.1", 0)
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
        """A sweep says how many it ended at which stage."""
        for phase in (Phase.HEAD, Phase.HEAD, Phase.HANDSHAKE):
            self.table.enter(Somebody(phase), "192.0.2.1", 0)
        self.table.sweep(1)
        for second in range(2, 10):
            self.table.sweep(second)
        self.assertEqual(self.table.sweep(10)[0], {Phase.HANDSHAKE: 1})
        for second in range(11, 20):
            self.table.sweep(second)
        self.assertEqual(self.table.sweep(20)[0][Phase.HEAD], 2)


class RoomTests(SynchronousTestCase):
    def test_oldest_idle_makes_room(self) -> None:
        """Where there are as many as may be, the one that is idle longest is closed for another."""
        table = ConnectionTable(DEADLINES, 3, 0)
        busy, old, young = Somebody(Phase.ANSWER), Somebody(), Somebody()
        for second, connection in enumerate((busy, old, young)):
            table.enter(connection, "192.0.2.1", second)
        self.assertTrue(table.admits("192.0.2.2"))
        self.assertEqual((busy.ended, old.ended, young.ended), ([], ["hung up"], []))
        table.enter(Somebody(Phase.HEAD), "192.0.2.2", 4)
        self.assertTrue(table.admits("192.0.2.2"))
        self.assertEqual(young.ended, ["hung up"])
        self.assertEqual(len(table), 2)

    def test_no_room(self) -> None:
        """Where nobody is idle, there is no room, until somebody leaves."""
        table = ConnectionTable(DEADLINES, 1, 0)
        busy = Somebody(Phase.ANSWER)
        table.enter(busy, "192.0.2.1", 0)
        self.assertFalse(table.admits("192.0.2.2"))
        table.leave(busy)
        table.leave(busy)
        self.assertTrue(table.admits("192.0.2.2"))

    def test_no_longer_idle(self) -> None:
        """One that was idle when it was looked for, and is not any more, is left alone."""
        table = ConnectionTable(DEADLINES, 2, 0)
        first, second = Somebody(), Somebody()
        table.enter(first, "192.0.2.1", 0)
        table.enter(second, "192.0.2.1", 1)
        self.assertTrue(table.admits("192.0.2.2"))
        table.enter(Somebody(Phase.HEAD), "192.0.2.2", 2)
        second.now = (Phase.ANSWER, 0)
        self.assertFalse(table.admits("192.0.2.2"))
        self.assertEqual(second.ended, [])

    def test_per_client(self) -> None:
        """An address has its share; another has its own, and loopback has no bound."""
        table = ConnectionTable(DEADLINES, 100, 2)
        for _ in range(2):
            table.enter(Somebody(), "192.0.2.1", 0)
        self.assertFalse(table.admits("192.0.2.1"))
        self.assertFalse(table.admits("::ffff:192.0.2.1"))
        self.assertTrue(table.admits("192.0.2.2"))
        for _ in range(10):
            self.assertTrue(table.admits("127.0.0.1"))
            table.enter(Somebody(), "127.0.0.1", 0)

    def test_clients(self) -> None:
        """An IPv6 network of 64 bits is one client, and a mapped IPv4 address is that address."""
        for address, client in (
            ("192.0.2.1", "192.0.2.1"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
            ("fe80::1%eth0", "fe80::"),
            ("127.0.0.1", ""),
            ("127.9.9.9", ""),
            ("::1", ""),
            ("::ffff:127.0.0.1", ""),
            ("", ""),
        ):
            self.assertEqual(client_of(address), client, address)


class IdleTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.table = ConnectionTable(DEADLINES, 4, 0)

    def enter(self, *addresses: str, phase: Phase = Phase.IDLE) -> list[Somebody]:
        guests = [Somebody(phase) for _ in addresses]
        for connection, address in zip(guests, addresses, strict=True):
            self.table.enter(connection, address, 0)
        return guests

    def test_idle_a_moment_ago(self) -> None:
        """One that became idle after idle ones were looked for makes room before the next sweep."""
        idle, *busy = self.enter(*["192.0.2.1"] * 4)
        for connection in busy:
            connection.now = (Phase.ANSWER, 0)
        self.assertFalse(self.table.is_looking)
        self.assertTrue(self.table.admits("192.0.2.9"))
        self.assertTrue(self.table.is_looking)
        self.enter("192.0.2.9", phase=Phase.HEAD)
        self.assertFalse(self.table.admits("192.0.2.9"))
        busy[1].now = (Phase.IDLE, 1)
        self.table.note(busy[1], 0.1)
        self.assertTrue(self.table.admits("192.0.2.9"))
        self.assertEqual([g.ended for g in (idle, *busy)], [["hung up"], [], ["hung up"], []])
        self.table.sweep(1)
        self.assertFalse(self.table.is_looking)
        self.table.note(busy[0], 1.1)

    def test_looked_at_once(self) -> None:
        """However many are refused, each connection is looked at once, and again when it is noted:
        a crowd of thousands does not make each refusal cost thousands of looks.
        """
        looks = []

        class Watched(Somebody):
            def is_idle(self) -> bool:
                looks.append(self)
                return super().is_idle()

        table = ConnectionTable(DEADLINES, 1000, 0)
        guests = [Watched(Phase.ANSWER) for _ in range(1000)]
        for connection in guests:
            table.enter(connection, "192.0.2.1", 0)
        for _ in range(5000):
            self.assertFalse(table.admits("192.0.2.9"))
            table.note(guests[7], 0)
            table.note(guests[7], 0)
        self.assertLessEqual(len(looks), 1000 + 5000)

    def test_gone(self) -> None:
        """One that has left makes no room, nor does one that was never there."""
        first, second, *_ = self.enter(*["192.0.2.1"] * 4)
        self.assertTrue(self.table.admits("192.0.2.9"))
        self.table.leave(second)
        self.enter(*["192.0.2.9"] * 2, phase=Phase.HEAD)
        self.table.note(Somebody(), 0)
        self.assertTrue(self.table.admits("192.0.2.9"))
        self.assertEqual((first.ended, second.ended), (["hung up"], []))

    def test_taking_its_last_bytes(self) -> None:
        """One whose answer is given but not taken yet is passed over, and makes room after."""
        taking, *_ = self.enter(*["192.0.2.1"] * 4, phase=Phase.STALLED)
        self.assertFalse(self.table.admits("192.0.2.9"))
        self.table.note(taking, 0)
        self.assertFalse(self.table.admits("192.0.2.9"))
        taking.now = (Phase.IDLE, 1)
        self.assertTrue(self.table.admits("192.0.2.9"))

    def test_many_taking(self) -> None:
        """Only a few are passed over for one new connection, and others for the next."""
        self.table = ConnectionTable(DEADLINES, 40, 0)
        taking = self.enter(*["192.0.2.1"] * 40, phase=Phase.STALLED)
        self.assertFalse(self.table.admits("192.0.2.9"))
        for connection in taking:
            self.table.note(connection, 0)
        taking[-1].now = (Phase.IDLE, 1)
        tries = 1
        while not self.table.admits("192.0.2.9"):
            tries += 1
        self.assertEqual(tries, 5)

    def test_who_holds_most(self) -> None:
        """An idle connection of the client that holds most makes room: nobody who comes with many
        takes all from those who have few.
        """
        self.table = ConnectionTable(DEADLINES, 8, 0)
        guests = self.enter("192.0.2.1", *["192.0.2.2"] * 3, *["192.0.2.3"] * 4)
        ended = []
        for _ in range(20):
            self.assertTrue(self.table.admits("192.0.2.9"))
            [gone] = [
                n for n, connection in enumerate(guests) if connection.ended and n not in ended
            ]
            ended.append(gone)
            guests += self.enter("192.0.2.9")
            self.table.note(guests[-1], 1)
        self.assertEqual(ended[:3], [4, 1, 5])
        left = [connection.ended for connection in guests[:8]]
        self.assertEqual(left.count([]), 5)
        self.assertEqual(left[0], [])


class SlowReaderTests(SynchronousTestCase):
    """``most`` is 8: from six on there are few places left."""

    def setUp(self) -> None:
        self.table = ConnectionTable(replace(DEADLINES, stalled=1e9), 8, 0)
        self.now = 0.0
        self.table.sweep(0)

    def readers(self, *rates: float, address: str = "192.0.2.{}") -> list[Somebody]:
        """Readers who take so many bytes each second."""
        guests = []
        for number, rate in enumerate(rates):
            connection = Somebody(Phase.STALLED)
            connection.rate = rate
            self.table.enter(connection, address.format(number), self.now)
            guests.append(connection)
        return guests

    def wait(self, seconds: int, guests: list[Somebody]) -> Counter[Phase]:
        told: Counter[Phase] = Counter()
        for _ in range(seconds):
            self.now += 1
            for connection in guests:
                connection.bytes += connection.rate
            told += self.table.sweep(self.now)[0]
        return told

    def ended(self, guests: list[Somebody]) -> list[int]:
        return [n for n, connection in enumerate(guests) if connection.ended]

    def test_slowest_first(self) -> None:
        """With few places left, a new connection ends one that took less than 240 bytes a second
        over a minute, the slowest first, though there is room.
        """
        guests = self.readers(200, 100, 239, 240, 1e6, 0)
        self.wait(59, guests)
        self.assertTrue(self.table.admits("192.0.2.99"))
        self.assertEqual(self.ended(guests), [])
        self.wait(2, guests)
        order = []
        for _ in range(6):
            self.assertTrue(self.table.admits("192.0.2.99"))
            order += [n for n in self.ended(guests) if n not in order]
            self.table.enter(Somebody(Phase.HEAD), "192.0.2.99", self.now)
        self.assertEqual(order, [5, 1, 0, 2])
        self.assertEqual(guests[5].ended, ["expired at SLOW"])
        self.assertEqual(self.wait(1, []), {Phase.SLOW: 4})
        self.assertEqual(self.wait(1, []), {})

    def test_enough_places(self) -> None:
        """Below three quarters nobody is ended for reading slowly."""
        guests = self.readers(0, 1, 2, 3, 4)
        self.wait(600, guests)
        self.assertTrue(self.table.admits("192.0.2.99"))
        self.assertEqual(self.ended(guests), [])

    def test_no_place(self) -> None:
        """Where no place is left, idle ones make room before those that take up to 4,800 bytes a
        second, and these before anyone is refused.
        """
        guests = self.readers(300, 467, 4799, 4800, 1e6, 1e6, 1e6)
        self.table.enter(idle := Somebody(), "192.0.2.98", 0)
        self.wait(61, guests)
        ended = []
        for _ in range(4):
            self.assertTrue(self.table.admits("192.0.2.99"))
            ended += [n for n in self.ended(guests) if n not in ended]
            self.table.enter(Somebody(Phase.HEAD), "192.0.2.99", self.now)
        self.assertEqual((idle.ended, ended), (["hung up"], [0, 1, 2]))
        self.assertFalse(self.table.admits("192.0.2.99"))

    def test_not_slow(self) -> None:
        """Nobody is slow who waits for imgd, is idle, or takes enough between two pauses."""
        guests = self.readers(0, 0, 10, 0, 0, 0, 0)
        waiting, idle, bursts, resting, *_ = guests
        waiting.now, idle.now = (Phase.ANSWER, 0), (Phase.IDLE, 0)
        for second in range(1, 75):
            bursts.bytes += 1_000_000 if second % 50 == 0 else 0
            waiting.now = (Phase.STALLED if second > 40 else Phase.ANSWER, 0)
            resting.now = (Phase.IDLE if second == 55 else Phase.STALLED, 0)
            self.wait(1, guests)
        for _ in range(5):
            self.assertTrue(self.table.admits("192.0.2.99"))
            self.table.enter(Somebody(Phase.HEAD), "192.0.2.99", self.now)
        self.assertFalse(self.table.admits("192.0.2.99"))
        self.assertEqual(self.ended(guests), [1, 4, 5, 6])
        self.assertEqual(idle.ended, ["hung up"])

    def test_no_longer_slow(self) -> None:
        """One that was slow is left alone when it has taken enough since, or waits no more."""
        guests = self.readers(0, 0, 0, 1e6, 1e6, 1e6)
        self.wait(61, guests)
        guests[0].bytes += 240 * 60
        guests[1].now = (Phase.ANSWER, 1)
        self.table.leave(guests[2])
        self.table.enter(Somebody(Phase.HEAD), "192.0.2.98", self.now)
        self.assertTrue(self.table.admits("192.0.2.99"))
        self.assertEqual(self.ended(guests), [])

    def test_interrupted(self) -> None:
        """What is counted is the time in which something waits, however often it is interrupted."""
        guests = self.readers(100, 1e6, 1e6, 1e6, 1e6, 1e6)
        for _ in range(40):
            guests[0].now = (Phase.ANSWER, guests[0].bytes)
            self.wait(1, guests)
            guests[0].now = (Phase.STALLED, guests[0].bytes)
            self.wait(3, guests)
        self.assertTrue(self.table.admits("192.0.2.99"))
        self.assertEqual(self.ended(guests), [0])

    def test_held_up(self) -> None:
        """Time during which the process stood still counts for no reader."""
        guests = self.readers(250, 1e6, 1e6, 1e6, 1e6, 1e6)
        self.wait(30, guests)
        self.now += 3600
        self.wait(40, guests)
        self.assertTrue(self.table.admits("192.0.2.99"))
        self.assertEqual(self.ended(guests), [])

    def test_four_addresses(self) -> None:
        """Four addresses that hold every place with slow readers, and connect again as soon as one
        is closed, keep nobody out: who comes is let in at once, again and again.
        """
        self.table = ConnectionTable(replace(DEADLINES, stalled=1e9), 8, 2)
        self.table.sweep(self.now)
        slow = [g for n in range(4) for g in self.readers(4, 4, address=f"192.0.2.{n}")]
        self.assertFalse(self.table.admits("198.51.100.1"))
        self.wait(61, slow)
        for number in range(40):
            honest = Somebody(Phase.ANSWER)
            self.assertTrue(self.table.admits(address := f"198.51.100.{number}"), number)
            self.table.enter(honest, address, self.now)
            for again in range(4):
                if self.table.admits(f"192.0.2.{again}"):
                    slow += self.readers(4, address=f"192.0.2.{again}")
            self.table.leave(honest)
            self.wait(20, slow)

    def test_loopback(self) -> None:
        """Behind a tunnel everybody has one address: there, slow readers make room for the next."""
        guests = self.readers(*[0] * 8, address="127.0.0.1")
        self.wait(61, guests)
        for _ in range(8):
            self.assertTrue(self.table.admits("127.0.0.1"))
            self.table.enter(Somebody(Phase.HEAD), "127.0.0.1", self.now)
        self.assertEqual(len(self.ended(guests)), 8)


class ProxyTests(SynchronousTestCase):
    """A proxy's connection has no client of its own: its address is given as ""."""

    def setUp(self) -> None:
        self.table = ConnectionTable(replace(DEADLINES, stalled=1e9), 4, 2)
        self.guests = [Somebody(Phase.ANSWER) for _ in range(4)]
        for connection in self.guests:
            self.table.enter(connection, "", 0)

    def test_counts_for_its_client(self) -> None:
        """It counts for the client whose request it carries, until that is answered."""
        first, second, third, _ = self.guests
        self.assertTrue(self.table.assign(first, "192.0.2.1"))
        self.assertTrue(self.table.assign(second, "192.0.2.1"))
        self.assertFalse(self.table.assign(third, "192.0.2.1"))
        self.assertTrue(self.table.assign(second, "192.0.2.1"))
        self.assertTrue(self.table.assign(third, "192.0.2.2"))
        self.table.release(second)
        self.assertTrue(self.table.assign(third, "192.0.2.1"))

    def test_idle(self) -> None:
        """One that is idle counts for nobody."""
        for connection in self.guests[:2]:
            self.assertTrue(self.table.assign(connection, "192.0.2.1"))
            connection.now = (Phase.IDLE, 1)
        self.table.sweep(1)
        self.assertTrue(self.table.assign(self.guests[2], "192.0.2.1"))

    def test_gone(self) -> None:
        """One that has left carries nothing, and its client has one less."""
        for connection in self.guests[:2]:
            self.assertTrue(self.table.assign(connection, "192.0.2.1"))
        self.table.leave(self.guests[0])
        self.assertFalse(self.table.assign(self.guests[0], "192.0.2.1"))
        self.table.release(self.guests[0])
        self.assertTrue(self.table.assign(self.guests[2], "192.0.2.1"))

    def test_slow_reader(self) -> None:
        """A slow reader behind a proxy makes room; its client has no last place for a minute."""
        slow = self.guests[0]
        self.table.assign(slow, "192.0.2.1")
        slow.now = (Phase.STALLED, 0)
        for second in range(63):
            self.table.sweep(second)
        self.assertTrue(self.table.admits(""))
        self.assertEqual(slow.ended, ["expired at SLOW"])
        self.table.enter(again := Somebody(Phase.HEAD), "", 63)
        self.assertFalse(self.table.assign(again, "192.0.2.1"))
        self.assertTrue(self.table.assign(again, "192.0.2.2"))
        for second in range(63, 123):
            self.table.sweep(second)
        self.assertTrue(self.table.assign(again, "192.0.2.1"))


class EndTests(SynchronousTestCase):
    def test_see_out(self) -> None:
        """Everybody is seen out; busy is whoever has something to lose."""
        table = ConnectionTable(DEADLINES, 100, 0)
        idle, closing, busy = Somebody(), Somebody(Phase.CLOSING), Somebody(Phase.ANSWER)
        for connection in (idle, closing, busy):
            table.enter(connection, "192.0.2.1", 0)
        table.close_when_idle()
        self.assertEqual(idle.ended + closing.ended + busy.ended, ["seen out"] * 3)
        self.assertTrue(table.is_busy())
        self.assertEqual(table.abort_all(), 1)
        table.leave(busy)
        self.assertFalse(table.is_busy())
        self.assertEqual(table.abort_all(), 0)
