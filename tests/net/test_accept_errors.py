"""Connections that could not be accepted are reported, not logged one by one."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from imgd.net.accept_errors import AcceptErrors


class AcceptTests(SynchronousTestCase):
    def test_silenced(self) -> None:
        """Twisted's lines about a connection that it could not accept are reported and not logged;
        everything else passes.
        """
        reports: list[str] = []
        observer = AcceptErrors(reports.append)
        for namespace, text, silenced in (
            ("twisted.internet.tcp.Port", "EMFILE encountered; releasing ...", True),
            ("twisted.internet.tcp.Port", "EMFILE recovery: Closed socket from {address}", True),
            ("twisted.internet.tcp.Port", "Re-reserving EMFILE recovery file descriptor.", True),
            ("twisted.internet.tcp.Port", "Could not accept new connection ({acceptError})", True),
            ("imgd.service", "EMFILE encountered", False),
            ("twisted.internet.tcp.Port", "Something else", False),
        ):
            event = {"log_namespace": namespace, "log_format": text, "acceptError": "ENFILE"}
            observer(event)
            self.assertEqual(event["log_format"] == "", silenced, text)
        self.assertEqual(reports, ["ENFILE"] * 4)
        observer({"isError": 0})
