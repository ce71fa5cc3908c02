"""Connections that could not be accepted are logged once."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from imgd.net.accept_errors import AcceptErrors


class AcceptTests(SynchronousTestCase):
    def test_silenced(self) -> None:
        """What twisted says of a connection that it could not accept is counted and not logged;
        everything else passes.
        """
        met: list[str] = []
        observer = AcceptErrors(met.append)
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
        self.assertEqual(met, ["ENFILE"] * 4)
        observer({"isError": 0})
