"""How many may wait."""

from __future__ import annotations

from contextlib import ExitStack

from twisted.trial.unittest import SynchronousTestCase

from imgd.core.wait_limits import WaitLimit
from imgd.errors import Unavailable


class WaitLimitTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.limit = WaitLimit(2, 3)
        self.slots = ExitStack()
        self.addCleanup(self.slots.close)

    def take(self, key: str, address: str) -> bool:
        try:
            self.slots.enter_context(self.limit.slot(key, address))
        except Unavailable:
            return False
        return True

    def test_key(self) -> None:
        """So many slots for one key, of any clients."""
        taken = [self.take("/a", f"192.0.2.{number}") for number in range(3)]
        self.assertEqual(taken, [True, True, False])
        self.assertTrue(self.take("/ab", "192.0.2.9"))

    def test_client(self) -> None:
        """So many slots of one client, for any keys; all of loopback are one client."""
        taken = [
            self.take(f"/{number}", address)
            for number, address in enumerate(
                ("127.0.0.1", "::1", "127.0.0.2", "::ffff:127.0.0.1", "192.0.2.1")
            )
        ]
        self.assertEqual(taken, [True, True, True, False, True])

    def test_refusal(self) -> None:
        """What is refused is said as the limit was told."""
        with (
            self.assertRaisesRegex(Unavailable, "Not now"),
            WaitLimit(0, 0, "Not now.").slot("", ""),
        ):
            """Not reached."""

    def test_leave(self) -> None:
        """A slot is free again however the work ends; nothing is kept of it."""
        for _ in range(9):
            with self.assertRaises(ZeroDivisionError), self.limit.slot("/a", "::1"):
                raise ZeroDivisionError
        self.take("/a", "::1")
        self.assertEqual(len(self.limit), 1)
        self.slots.close()
        self.assertEqual(len(self.limit), 0)
