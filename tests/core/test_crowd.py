"""Who may stay how long, and who may come in."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from imgd.core.crowd import LATE, SWEEP, Crowd, Deadlines, Mark, Stage, client_of


class Somebody:
    """A connection that is at what the test says."""

    def __init__(self, stage: Stage = Stage.IDLE) -> None:
        self.now: Mark = (stage, 0)
        self.ended: list[str] = []

    def mark(self) -> Mark:
        return self.now

    def is_idle(self) -> bool:
        return self.now[0] == Stage.IDLE

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
