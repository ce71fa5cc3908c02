"""Whose connection it is, and how many each client has."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from imgd.core.client_counts import ClientCounts, client_of


class ClientCountTests(SynchronousTestCase):
    def test_full(self) -> None:
        """A client is full at its bound, and has room again when one is removed."""
        counts = ClientCounts(2)
        for _ in range(2):
            self.assertFalse(counts.is_full("192.0.2.1"))
            counts.add("192.0.2.1")
        self.assertTrue(counts.is_full("192.0.2.1"))
        self.assertFalse(counts.is_full("192.0.2.2"))
        counts.remove("192.0.2.1")
        self.assertFalse(counts.is_full("192.0.2.1"))
        counts.remove("192.0.2.1")
        self.assertEqual(counts.counts, {})

    def test_no_bound(self) -> None:
        """Loopback is never full, nor is anybody if the bound is 0."""
        for most, client in ((1, ""), (0, "192.0.2.1")):
            counts = ClientCounts(most)
            for _ in range(9):
                counts.add(client)
            self.assertFalse(counts.is_full(client))

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
        self.assertEqual(client_of("a socket"), "a socket")
