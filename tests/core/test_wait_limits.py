"""How much may wait."""

from __future__ import annotations

from contextlib import ExitStack

from twisted.trial.unittest import SynchronousTestCase

from imgd.core.wait_limits import WaitLimit
from imgd.errors import Unavailable


class WaitingTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.waiting = WaitLimit(2, 3)
        self.turns = ExitStack()
        self.addCleanup(self.turns.close)

    def enter(self, place: str, address: str) -> bool:
        try:
            self.turns.enter_context(self.waiting.turn(place, address))
        except Unavailable:
            return False
        return True

    def test_place(self) -> None:
        """So many for one place, whoever they are."""
        asked = [self.enter("/a", f"192.0.2.{number}") for number in range(3)]
        self.assertEqual(asked, [True, True, False])
        self.assertTrue(self.enter("/ab", "192.0.2.9"))

    def test_client(self) -> None:
        """So many of one client, for whatever; all of loopback are one."""
        asked = [
            self.enter(f"/{number}", address)
            for number, address in enumerate(
                ("127.0.0.1", "::1", "127.0.0.2", "::ffff:127.0.0.1", "192.0.2.1")
            )
        ]
        self.assertEqual(asked, [True, True, True, False, True])

    def test_leave(self) -> None:
        """Who leaves makes room, however it ends; nothing is kept of them."""
        for _ in range(9):
            with self.assertRaises(ZeroDivisionError), self.waiting.turn("/a", "::1"):
                raise ZeroDivisionError
        self.enter("/a", "::1")
        self.assertEqual(len(self.waiting), 1)
        self.turns.close()
        self.assertEqual(len(self.waiting), 0)
