"""What this machine is called, and its addresses."""

from __future__ import annotations

import ipaddress
import socket

from twisted.trial.unittest import SynchronousTestCase

from imgd.host import addresses


class AddressTests(SynchronousTestCase):
    def test_names(self) -> None:
        """The machine's own name comes first, and none twice."""
        names = addresses.machine_names()
        self.assertEqual(len(names), len(set(names)))
        self.assertEqual(addresses.machine_name(), socket.gethostname())
        if not socket.gethostname().endswith(".arpa"):
            self.assertEqual(names[0], socket.gethostname())

    def test_addresses(self) -> None:
        """Addresses are those of the machine, and none needs a scope."""
        texts = addresses.machine_addresses()
        self.assertEqual(len(texts), len(set(texts)))
        for text in texts:
            address = ipaddress.ip_address(text)
            self.assertFalse(address.version == 6 and address.is_link_local, text)
