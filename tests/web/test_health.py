"""Faults, as ``/health`` and the log report them."""

from __future__ import annotations

import os

from twisted.logger import formatEvent

from imgd.errors import Unavailable
from tests.fakes import record_log
from tests.web.connection_case import ConnectionCase
from tests.web.list_case import ListCase


class HealthTests(ConnectionCase):
    def test_degraded(self) -> None:
        """/health says what is wrong while it lasts, with status 200, and is healthy after."""
        self.assertNotIn("reasons", self.memory_site.ask("/health").json)
        health_monitor = self.memory_site.site.health_monitor
        health_monitor.report("disk", lasts=True)
        answer = self.memory_site.ask("/health")
        self.assertEqual(answer.status, 200)
        self.assertEqual(answer.json["status"], "degraded")
        self.assertEqual(answer.json["reasons"], ["A directory does not answer."])
        health_monitor.clear("disk")
        self.assertEqual(self.memory_site.ask("/health").json["status"], "healthy")

    def test_unavailable(self) -> None:
        """An error of the machine is a 503 with Retry-After, and its fault is in /health."""
        self.memory_site.store.fail = Unavailable("The disk is full.", "state")
        os.makedirs(os.path.join(self.memory_site.documents, "frames"))
        frames = os.path.join(self.memory_site.documents, "frames")
        answer = self.memory_site.post("/load-directory", {"directory": frames})
        self.assertEqual((answer.status, answer.headers["retry-after"]), (503, "5"))
        reasons = self.memory_site.ask("/health").json["reasons"]
        self.assertEqual(reasons, ["What is loaded cannot be stored: loads and unloads fail."])


class UnexpectedTests(ListCase):
    def test_once_a_second(self) -> None:
        """An unexpected error is logged once a second, with the number of those that were not."""
        events = record_log(self)
        self.memory_site.load(self.big)
        self.memory_site.store.fail = ZeroDivisionError()
        events.clear()
        for _ in range(5):
            self.assertEqual(self.memory_site.post("/unload").status, 500)
        self.assertEqual(len(events), 1)
        self.assertIn("Could not answer POST /unload", formatEvent(events[0]))
        self.memory_site.clock.advance(1)
        self.memory_site.post("/unload")
        self.assertEqual(len(events), 2)
        self.assertIn("and 4 more that were not logged", formatEvent(events[1]))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 2)
