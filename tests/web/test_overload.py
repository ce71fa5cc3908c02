"""A connection that is one too many."""

from __future__ import annotations

from tests.fakes import Transport, parse_answer
from tests.web.connection_case import ASK, ConnectionCase


class OverloadTests(ConnectionCase):
    def refused(self) -> Transport:
        protocol = self.memory_site.site.limiter.overload_protocol()
        assert protocol is not None
        transport = Transport("192.0.2.1")
        transport.protocol = protocol
        protocol.makeConnection(transport)
        return transport

    def test_refusal(self) -> None:
        """A connection too many is answered 503 with Retry-After when it sends a request, and
        closed.
        """
        transport = self.refused()
        self.assertEqual(transport.value(), b"")
        transport.protocol.dataReceived(ASK)
        transport.protocol.dataReceived(ASK)
        answer = parse_answer(transport.value())
        self.assertEqual((answer.status, answer.headers["retry-after"]), (503, "5"))
        self.assertIn("Try again", answer.json["detail"])
        self.assertTrue(transport.disconnecting)
        self.assertEqual(transport.value().count(b"HTTP/1.1"), 1)

    def test_refusals_are_bounded(self) -> None:
        """Such connections that send nothing are closed soon, and not many may wait."""
        waiting = []
        while (protocol := self.memory_site.site.limiter.overload_protocol()) is not None:
            transport = Transport("192.0.2.1")
            transport.protocol = protocol
            protocol.makeConnection(transport)
            waiting.append(transport)
        self.assertEqual(len(waiting), 64)
        self.wait(6)
        self.assertTrue(all(transport.aborted for transport in waiting))
        self.assertIsNotNone(self.memory_site.site.limiter.overload_protocol())
