"""Whether a connection stays open."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from imgd.core.persistence import is_last


class PersistenceTests(SynchronousTestCase):
    def test_is_last(self) -> None:
        """RFC 9112 section 9.3: close always counts; HTTP/1.0 must ask to be kept."""
        for values, last_1_1, last_1_0 in (
            ((), False, True),
            ((b"close",), True, True),
            ((b"Close",), True, True),
            ((b"keep-alive",), False, False),
            ((b"Keep-Alive, Upgrade",), False, False),
            ((b"TE ,\tclose",), True, True),
            ((b"TE", b"close"), True, True),
            ((b"close, keep-alive",), True, True),
            ((b"closed",), False, True),
            ((b"",), False, True),
            ((b"TE close",), False, True),
        ):
            self.assertEqual(is_last(values, is_1_0=False), last_1_1, values)
            self.assertEqual(is_last(values, is_1_0=True), last_1_0, values)
