"""What a client sends after its request was refused."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from imgd.web.discard import MAX_DISCARDED, DiscardingReader
from tests.fakes import Transport


class DiscardTests(SynchronousTestCase):
    def test_bound(self) -> None:
        """So many bytes are dropped; a client that sends more is cut off."""
        transport = Transport("192.0.2.1")
        reader = DiscardingReader(transport)
        half = bytes(MAX_DISCARDED // 2)
        reader.feed(half)
        reader.feed(half)
        self.assertFalse(transport.aborted)
        reader.feed(b"a")
        self.assertTrue(transport.aborted)
