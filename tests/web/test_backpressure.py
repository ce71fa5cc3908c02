"""Long answers, written no faster than they are taken."""

from __future__ import annotations

import os

from imgd.core import listing
from tests.collections.manager_case import LONG_AGO
from tests.fakes import write
from tests.web.list_case import ListCase

STREAM = "/collections/current/images?format=ndjson"


class BackpressureTests(ListCase):
    def setUp(self) -> None:
        super().setUp()
        for number in range(2 * listing.PAGE_SIZE):
            write(os.path.join(self.big, f"{number}.png"))
        os.utime(self.big, LONG_AGO)
        self.memory_site.load(self.big)

    def test_room(self) -> None:
        """While the transport is full no further piece is made, and the stream goes on after."""
        self.memory_site.blocking.held = True
        transport = self.begin(STREAM)
        self.memory_site.blocking.step()
        transport.protocol.pauseProducing()
        self.memory_site.blocking.step()
        self.assertEqual(transport.value().count(b'{"name"'), listing.PAGE_SIZE)
        self.assertEqual(self.memory_site.blocking.waiting, 0)
        self.memory_site.blocking.held = False
        transport.protocol.resumeProducing()
        self.assertEqual(self.answer(transport).body.count(b"\n"), 2 * listing.PAGE_SIZE + 3)
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_head(self) -> None:
        """HEAD has the headers of the stream, and no body."""
        answer = self.memory_site.ask(STREAM, "HEAD")
        self.assertEqual((answer.status, answer.body), (200, b""))
        self.assertEqual(answer.headers["content-type"], "application/x-ndjson")
