"""Who may stay how long, and who may come in."""

from __future__ import annotations

from collections import Counter

from twisted.trial.unittest import SynchronousTestCase

from imgd.core.crowd import LATE, SWEEP, Crowd, Deadlines, Mark, Stage, client_of


class Somebody:
    """A connection that is at what the test says."""

    def __init__(self, stage: Stage = Stage.IDLE) -> None:
        self.now: Mark = (stage, 0)
        self.bytes = 0.0
        self.rate = 0.0  # bytes that a test has it take each second
        self.ended: list[str] = []

    def mark(self) -> Mark:
        return self.now

    def is_idle(self) -> bool:
        return self.now[0] == Stage.IDLE

    def taken(self) -> int:
        return int(self.bytes)

    def expire(self, stage: Stage) -> None:
        self.ended.append(f"expired at {stage.name}")

    def hang_up(self) -> None:
        self.ended.append("hung up")

    def see_out(self) -> None:
        self.ended.append("seen out")

    def abort(self) -> None:
        self.ended.append("aborted")


class DeadlineTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.crowd = Crowd(Deadlines(), 100, 0)

    def sweep_until(self, end: float, start: float = 0) -> None:
        for step in range(int((end - start) / SWEEP)):
            self.crowd.sweep(start + (step + 1) * SWEEP)

    def test_each_stage(self) -> None:
        """Each stage has its deadline, kept to within two sweeps and never early."""
        limits = Deadlines()
        for stage, seconds in (
            (Stage.HANDSHAKE, limits.handshake),
            (Stage.HEAD, limits.header),
            (Stage.BODY, limits.body),
            (Stage.STALLED, limits.stalled),
            (Stage.IDLE, limits.idle),
            (Stage.CLOSING, limits.closing),
        ):
            self.crowd = Crowd(limits, 100, 0)
            guest = Somebody(stage)
            self.crowd.enter(guest, "192.0.2.1", 0)
            self.sweep_until(seconds - SWEEP)
            self.assertEqual(guest.ended, [], stage)
            self.sweep_until(seconds + 2 * SWEEP, seconds - SWEEP)
            self.assertEqual(guest.ended, [f"expired at {stage.name}"])

    def test_answers_take_their_time(self) -> None:
        """While it is imgd's turn, no deadline of the client's runs."""
        guest = Somebody(Stage.ANSWER)
        self.crowd.enter(guest, "192.0.2.1", 0)
        self.sweep_until(1000)
        self.assertEqual(guest.ended, [])

    def test_progress(self) -> None:
        """Time begins anew when the mark changes: a reader that takes something is not stalled."""
        guest = Somebody(Stage.STALLED)
        self.crowd.enter(guest, "192.0.2.1", 0)
        for second in range(1, 300):
            guest.now = (Stage.STALLED, second // 50)
            self.crowd.sweep(second)
        self.assertEqual(guest.ended, [])

    def test_held_up(self) -> None:
        """Time during which the process stood still counts for nobody, and is told."""
        guest = Somebody(Stage.HEAD)
        self.crowd.enter(guest, "192.0.2.1", 0)
        self.sweep_until(10)
        _, held_up = self.crowd.sweep(10 + 3600)
        self.assertEqual(held_up, 3600 - SWEEP)
        self.assertEqual(guest.ended, [])
        self.sweep_until(3610 + 8, 3610)
        self.assertEqual(guest.ended, [])
        self.sweep_until(3610 + 12, 3618)
        self.assertEqual(guest.ended, ["expired at HEAD"])
        self.assertEqual(self.crowd.sweep(3622 + LATE - 0.1)[1], 0)

    def test_counted(self) -> None:
        """A sweep says how many it ended at which stage."""
        for stage in (Stage.HEAD, Stage.HEAD, Stage.HANDSHAKE):
            self.crowd.enter(Somebody(stage), "192.0.2.1", 0)
        self.crowd.sweep(1)
        for second in range(2, 10):
            self.crowd.sweep(second)
        self.assertEqual(self.crowd.sweep(10)[0], {Stage.HANDSHAKE: 1})
        for second in range(11, 20):
            self.crowd.sweep(second)
        self.assertEqual(self.crowd.sweep(20)[0][Stage.HEAD], 2)


class RoomTests(SynchronousTestCase):
    def test_oldest_idle_makes_room(self) -> None:
        """Where there are as many as may be, the one that is idle longest is closed for another."""
        crowd = Crowd(Deadlines(), 3, 0)
        busy, old, young = Somebody(Stage.ANSWER), Somebody(), Somebody()
        for second, guest in enumerate((busy, old, young)):
            crowd.enter(guest, "192.0.2.1", second)
        self.assertTrue(crowd.admits("192.0.2.2"))
        self.assertEqual((busy.ended, old.ended, young.ended), ([], ["hung up"], []))
        crowd.enter(Somebody(Stage.HEAD), "192.0.2.2", 4)
        self.assertTrue(crowd.admits("192.0.2.2"))
        self.assertEqual(young.ended, ["hung up"])
        self.assertEqual(len(crowd), 2)

    def test_no_room(self) -> None:
        """Where nobody is idle, there is no room, until somebody leaves."""
        crowd = Crowd(Deadlines(), 1, 0)
        busy = Somebody(Stage.ANSWER)
        crowd.enter(busy, "192.0.2.1", 0)
        self.assertFalse(crowd.admits("192.0.2.2"))
        crowd.leave(busy)
        crowd.leave(busy)
        self.assertTrue(crowd.admits("192.0.2.2"))

    def test_no_longer_idle(self) -> None:
        """One that was idle when it was looked for, and is not any more, is left alone."""
        crowd = Crowd(Deadlines(), 2, 0)
        first, second = Somebody(), Somebody()
        crowd.enter(first, "192.0.2.1", 0)
        crowd.enter(second, "192.0.2.1", 1)
        self.assertTrue(crowd.admits("192.0.2.2"))
        crowd.enter(Somebody(Stage.HEAD), "192.0.2.2", 2)
        second.now = (Stage.ANSWER, 0)
        self.assertFalse(crowd.admits("192.0.2.2"))
        self.assertEqual(second.ended, [])

    def test_per_client(self) -> None:
        """An address has its share; another has its own, and loopback has no bound."""
        crowd = Crowd(Deadlines(), 100, 2)
        for _ in range(2):
            crowd.enter(Somebody(), "192.0.2.1", 0)
        self.assertFalse(crowd.admits("192.0.2.1"))
        self.assertFalse(crowd.admits("::ffff:192.0.2.1"))
        self.assertTrue(crowd.admits("192.0.2.2"))
        for _ in range(10):
            self.assertTrue(crowd.admits("127.0.0.1"))
            crowd.enter(Somebody(), "127.0.0.1", 0)

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
        self.crowd = Crowd(Deadlines(), 4, 0)

    def enter(self, *addresses: str, stage: Stage = Stage.IDLE) -> list[Somebody]:
        guests = [Somebody(stage) for _ in addresses]
        for guest, address in zip(guests, addresses, strict=True):
            self.crowd.enter(guest, address, 0)
        return guests

    def test_idle_a_moment_ago(self) -> None:
        """One that became idle after idle ones were looked for makes room before the next sweep."""
        idle, *busy = self.enter(*["192.0.2.1"] * 4)
        for guest in busy:
            guest.now = (Stage.ANSWER, 0)
        self.assertFalse(self.crowd.is_looking)
        self.assertTrue(self.crowd.admits("192.0.2.9"))
        self.assertTrue(self.crowd.is_looking)
        self.enter("192.0.2.9", stage=Stage.HEAD)
        self.assertFalse(self.crowd.admits("192.0.2.9"))
        busy[1].now = (Stage.IDLE, 1)
        self.crowd.note(busy[1], 0.1)
        self.assertTrue(self.crowd.admits("192.0.2.9"))
        self.assertEqual([g.ended for g in (idle, *busy)], [["hung up"], [], ["hung up"], []])
        self.crowd.sweep(1)
        self.assertFalse(self.crowd.is_looking)
        self.crowd.note(busy[0], 1.1)

    def test_looked_at_once(self) -> None:
        """However many are refused, each connection is looked at once, and again when it is noted:
        a crowd of thousands does not make each refusal cost thousands of looks.
        """
        looks = []

        class Watched(Somebody):
            def is_idle(self) -> bool:
                looks.append(self)
                return super().is_idle()

        crowd = Crowd(Deadlines(), 1000, 0)
        guests = [Watched(Stage.ANSWER) for _ in range(1000)]
        for guest in guests:
            crowd.enter(guest, "192.0.2.1", 0)
        for _ in range(5000):
            self.assertFalse(crowd.admits("192.0.2.9"))
            crowd.note(guests[7], 0)
            crowd.note(guests[7], 0)
        self.assertLessEqual(len(looks), 1000 + 5000)

    def test_gone(self) -> None:
        """One that has left makes no room, nor does one that was never there."""
        first, second, *_ = self.enter(*["192.0.2.1"] * 4)
        self.assertTrue(self.crowd.admits("192.0.2.9"))
        self.crowd.leave(second)
        self.enter(*["192.0.2.9"] * 2, stage=Stage.HEAD)
        self.crowd.note(Somebody(), 0)
        self.assertTrue(self.crowd.admits("192.0.2.9"))
        self.assertEqual((first.ended, second.ended), (["hung up"], []))

    def test_taking_its_last_bytes(self) -> None:
        """One whose answer is given but not taken yet is passed over, and makes room after."""
        taking, *_ = self.enter(*["192.0.2.1"] * 4, stage=Stage.STALLED)
        self.assertFalse(self.crowd.admits("192.0.2.9"))
        self.crowd.note(taking, 0)
        self.assertFalse(self.crowd.admits("192.0.2.9"))
        taking.now = (Stage.IDLE, 1)
        self.assertTrue(self.crowd.admits("192.0.2.9"))

    def test_many_taking(self) -> None:
        """Only a few are passed over for one new connection, and others for the next."""
        self.crowd = Crowd(Deadlines(), 40, 0)
        taking = self.enter(*["192.0.2.1"] * 40, stage=Stage.STALLED)
        self.assertFalse(self.crowd.admits("192.0.2.9"))
        for guest in taking:
            self.crowd.note(guest, 0)
        taking[-1].now = (Stage.IDLE, 1)
        tries = 1
        while not self.crowd.admits("192.0.2.9"):
            tries += 1
        self.assertEqual(tries, 5)

    def test_who_holds_most(self) -> None:
        """An idle connection of the client that holds most makes room: nobody who comes with many
        takes all from those who have few.
        """
        self.crowd = Crowd(Deadlines(), 8, 0)
        guests = self.enter("192.0.2.1", *["192.0.2.2"] * 3, *["192.0.2.3"] * 4)
        ended = []
        for _ in range(20):
            self.assertTrue(self.crowd.admits("192.0.2.9"))
            [gone] = [n for n, guest in enumerate(guests) if guest.ended and n not in ended]
            ended.append(gone)
            guests += self.enter("192.0.2.9")
            self.crowd.note(guests[-1], 1)
        self.assertEqual(ended[:3], [4, 1, 5])
        left = [guest.ended for guest in guests[:8]]
        self.assertEqual(left.count([]), 5)
        self.assertEqual(left[0], [])


class SlowReaderTests(SynchronousTestCase):
    """``most`` is 8: from six on there are few places left."""

    def setUp(self) -> None:
        self.crowd = Crowd(Deadlines(stalled=1e9), 8, 0)
        self.now = 0.0
        self.crowd.sweep(0)

    def readers(self, *rates: float, address: str = "192.0.2.{}") -> list[Somebody]:
        """Readers who take so many bytes each second."""
        guests = []
        for number, rate in enumerate(rates):
            guest = Somebody(Stage.STALLED)
            guest.rate = rate
            self.crowd.enter(guest, address.format(number), self.now)
            guests.append(guest)
        return guests

    def wait(self, seconds: int, guests: list[Somebody]) -> Counter[Stage]:
        told: Counter[Stage] = Counter()
        for _ in range(seconds):
            self.now += 1
            for guest in guests:
                guest.bytes += guest.rate
            told += self.crowd.sweep(self.now)[0]
        return told

    def ended(self, guests: list[Somebody]) -> list[int]:
        return [n for n, guest in enumerate(guests) if guest.ended]

    def test_slowest_first(self) -> None:
        """With few places left, a new connection ends one that took less than 240 bytes a second
        over a minute, the slowest first, though there is room.
        """
        guests = self.readers(200, 100, 239, 240, 1e6, 0)
        self.wait(59, guests)
        self.assertTrue(self.crowd.admits("192.0.2.99"))
        self.assertEqual(self.ended(guests), [])
        self.wait(2, guests)
        order = []
        for _ in range(6):
            self.assertTrue(self.crowd.admits("192.0.2.99"))
            order += [n for n in self.ended(guests) if n not in order]
            self.crowd.enter(Somebody(Stage.HEAD), "192.0.2.99", self.now)
        self.assertEqual(order, [5, 1, 0, 2])
        self.assertEqual(guests[5].ended, ["expired at SLOW"])
        self.assertEqual(self.wait(1, []), {Stage.SLOW: 4})
        self.assertEqual(self.wait(1, []), {})

    def test_enough_places(self) -> None:
        """Below three quarters nobody is ended for reading slowly."""
        guests = self.readers(0, 1, 2, 3, 4)
        self.wait(600, guests)
        self.assertTrue(self.crowd.admits("192.0.2.99"))
        self.assertEqual(self.ended(guests), [])

    def test_no_place(self) -> None:
        """Where no place is left, idle ones make room before those that take up to 4,800 bytes a
        second, and these before anyone is refused.
        """
        guests = self.readers(300, 467, 4799, 4800, 1e6, 1e6, 1e6)
        self.crowd.enter(idle := Somebody(), "192.0.2.98", 0)
        self.wait(61, guests)
        ended = []
        for _ in range(4):
            self.assertTrue(self.crowd.admits("192.0.2.99"))
            ended += [n for n in self.ended(guests) if n not in ended]
            self.crowd.enter(Somebody(Stage.HEAD), "192.0.2.99", self.now)
        self.assertEqual((idle.ended, ended), (["hung up"], [0, 1, 2]))
        self.assertFalse(self.crowd.admits("192.0.2.99"))

    def test_not_slow(self) -> None:
        """Nobody is slow who waits for imgd, is idle, or takes enough between two pauses."""
        guests = self.readers(0, 0, 10, 0, 0, 0, 0)
        waiting, idle, bursts, resting, *_ = guests
        waiting.now, idle.now = (Stage.ANSWER, 0), (Stage.IDLE, 0)
        for second in range(1, 75):
            bursts.bytes += 1_000_000 if second % 50 == 0 else 0
            waiting.now = (Stage.STALLED if second > 40 else Stage.ANSWER, 0)
            resting.now = (Stage.IDLE if second == 55 else Stage.STALLED, 0)
            self.wait(1, guests)
        for _ in range(5):
            self.assertTrue(self.crowd.admits("192.0.2.99"))
            self.crowd.enter(Somebody(Stage.HEAD), "192.0.2.99", self.now)
        self.assertFalse(self.crowd.admits("192.0.2.99"))
        self.assertEqual(self.ended(guests), [1, 4, 5, 6])
        self.assertEqual(idle.ended, ["hung up"])

    def test_no_longer_slow(self) -> None:
        """One that was slow is left alone when it has taken enough since, or waits no more."""
        guests = self.readers(0, 0, 0, 1e6, 1e6, 1e6)
        self.wait(61, guests)
        guests[0].bytes += 240 * 60
        guests[1].now = (Stage.ANSWER, 1)
        self.crowd.leave(guests[2])
        self.crowd.enter(Somebody(Stage.HEAD), "192.0.2.98", self.now)
        self.assertTrue(self.crowd.admits("192.0.2.99"))
        self.assertEqual(self.ended(guests), [])

    def test_interrupted(self) -> None:
        """What is counted is the time in which something waits, however often it is interrupted."""
        guests = self.readers(100, 1e6, 1e6, 1e6, 1e6, 1e6)
        for _ in range(40):
            guests[0].now = (Stage.ANSWER, guests[0].bytes)
            self.wait(1, guests)
            guests[0].now = (Stage.STALLED, guests[0].bytes)
            self.wait(3, guests)
        self.assertTrue(self.crowd.admits("192.0.2.99"))
        self.assertEqual(self.ended(guests), [0])

    def test_held_up(self) -> None:
        """Time during which the process stood still counts for no reader."""
        guests = self.readers(250, 1e6, 1e6, 1e6, 1e6, 1e6)
        self.wait(30, guests)
        self.now += 3600
        self.wait(40, guests)
        self.assertTrue(self.crowd.admits("192.0.2.99"))
        self.assertEqual(self.ended(guests), [])

    def test_four_addresses(self) -> None:
        """Four addresses that hold every place with slow readers, and connect again as soon as one
        is closed, keep nobody out: who comes is let in at once, again and again.
        """
        self.crowd = Crowd(Deadlines(stalled=1e9), 8, 2)
        self.crowd.sweep(self.now)
        slow = [g for n in range(4) for g in self.readers(4, 4, address=f"192.0.2.{n}")]
        self.assertFalse(self.crowd.admits("198.51.100.1"))
        self.wait(61, slow)
        for number in range(40):
            honest = Somebody(Stage.ANSWER)
            self.assertTrue(self.crowd.admits(address := f"198.51.100.{number}"), number)
            self.crowd.enter(honest, address, self.now)
            for again in range(4):
                if self.crowd.admits(f"192.0.2.{again}"):
                    slow += self.readers(4, address=f"192.0.2.{again}")
            self.crowd.leave(honest)
            self.wait(20, slow)

    def test_loopback(self) -> None:
        """Behind a tunnel everybody has one address: there, slow readers make room for the next."""
        guests = self.readers(*[0] * 8, address="127.0.0.1")
        self.wait(61, guests)
        for _ in range(8):
            self.assertTrue(self.crowd.admits("127.0.0.1"))
            self.crowd.enter(Somebody(Stage.HEAD), "127.0.0.1", self.now)
        self.assertEqual(len(self.ended(guests)), 8)


class ProxyTests(SynchronousTestCase):
    """A proxy's connection has no client of its own: its address is given as ""."""

    def setUp(self) -> None:
        self.crowd = Crowd(Deadlines(stalled=1e9), 4, 2)
        self.guests = [Somebody(Stage.ANSWER) for _ in range(4)]
        for guest in self.guests:
            self.crowd.enter(guest, "", 0)

    def test_counts_for_its_client(self) -> None:
        """It counts for the client whose request it carries, until that is answered."""
        first, second, third, _ = self.guests
        self.assertTrue(self.crowd.assign(first, "192.0.2.1"))
        self.assertTrue(self.crowd.assign(second, "192.0.2.1"))
        self.assertFalse(self.crowd.assign(third, "192.0.2.1"))
        self.assertTrue(self.crowd.assign(second, "192.0.2.1"))
        self.assertTrue(self.crowd.assign(third, "192.0.2.2"))
        self.crowd.release(second)
        self.assertTrue(self.crowd.assign(third, "192.0.2.1"))

    def test_idle(self) -> None:
        """One that is idle counts for nobody."""
        for guest in self.guests[:2]:
            self.assertTrue(self.crowd.assign(guest, "192.0.2.1"))
            guest.now = (Stage.IDLE, 1)
        self.crowd.sweep(1)
        self.assertTrue(self.crowd.assign(self.guests[2], "192.0.2.1"))

    def test_gone(self) -> None:
        """One that has left carries nothing, and its client has one less."""
        for guest in self.guests[:2]:
            self.assertTrue(self.crowd.assign(guest, "192.0.2.1"))
        self.crowd.leave(self.guests[0])
        self.assertFalse(self.crowd.assign(self.guests[0], "192.0.2.1"))
        self.crowd.release(self.guests[0])
        self.assertTrue(self.crowd.assign(self.guests[2], "192.0.2.1"))

    def test_slow_reader(self) -> None:
        """A slow reader behind a proxy makes room; its client has no last place for a minute."""
        slow = self.guests[0]
        self.crowd.assign(slow, "192.0.2.1")
        slow.now = (Stage.STALLED, 0)
        for second in range(63):
            self.crowd.sweep(second)
        self.assertTrue(self.crowd.admits(""))
        self.assertEqual(slow.ended, ["expired at SLOW"])
        self.crowd.enter(again := Somebody(Stage.HEAD), "", 63)
        self.assertFalse(self.crowd.assign(again, "192.0.2.1"))
        self.assertTrue(self.crowd.assign(again, "192.0.2.2"))
        for second in range(63, 123):
            self.crowd.sweep(second)
        self.assertTrue(self.crowd.assign(again, "192.0.2.1"))


class EndTests(SynchronousTestCase):
    def test_see_out(self) -> None:
        """Everybody is seen out; busy is whoever has something to lose."""
        crowd = Crowd(Deadlines(), 100, 0)
        idle, closing, busy = Somebody(), Somebody(Stage.CLOSING), Somebody(Stage.ANSWER)
        for guest in (idle, closing, busy):
            crowd.enter(guest, "192.0.2.1", 0)
        crowd.see_out()
        self.assertEqual(idle.ended + closing.ended + busy.ended, ["seen out"] * 3)
        self.assertTrue(crowd.is_busy())
        self.assertEqual(crowd.abort_all(), 1)
        crowd.leave(busy)
        self.assertFalse(crowd.is_busy())
        self.assertEqual(crowd.abort_all(), 0)
