"""The status with every name: whole, streamed and bounded."""

from __future__ import annotations

import os

from imgd.collections.scan import MAX_FIRST
from imgd.errors import Unavailable
from imgd.web.image_lists import MAX_STREAMS_PER_CLIENT
from imgd.web.whole_status import PIECE
from tests.collections.manager_case import LONG_AGO
from tests.fakes import MemorySite, Transport, write
from tests.web.list_case import ListCase
from tests.web.test_control import FAR

WHOLE = "/?image_list=all"


class WholeStatusTests(ListCase):
    def fill(self, count: int) -> None:
        for number in range(count):
            write(os.path.join(self.big, f"{number:05}.png"), b"")
        os.utime(self.big, LONG_AGO)
        self.memory_site.load(self.big)

    def test_whole(self) -> None:
        """Of more names than a status holds, it says so and how to get them; and all are got."""
        self.fill(MAX_FIRST + 7)
        part = self.memory_site.ask("/").json
        self.assertEqual((len(part["image_list"]), part["image_list_truncated"]), (MAX_FIRST, True))
        self.assertEqual(
            part["image_list_note"],
            "10,000 of 10,010 names are listed here; GET /?image_list=all lists every one.",
        )
        whole = self.memory_site.ask(WHOLE)
        self.assertEqual(whole.headers["content-type"], "application/json")
        names = whole.json["image_list"]
        self.assertEqual(names[:MAX_FIRST], part["image_list"])
        self.assertEqual((len(names), whole.json["image_count"]), (10_010, 10_010))
        self.assertEqual(len(set(names)), 10_010)
        del part["image_list"]
        part |= {"image_list_truncated": False, "image_list_note": None}
        self.assertEqual({k: v for k, v in whole.json.items() if k != "image_list"}, part)

    def test_small(self) -> None:
        """Of few names, or without a current collection, it is the ordinary status."""
        for loads in (False, True):
            if loads:
                write(os.path.join(self.big, '","image_list":["\udcff.png'))
                self.memory_site.load(self.big)
            self.assertEqual(
                self.memory_site.ask(WHOLE).json, self.memory_site.ask("/").json, loads
            )

    def test_hostile_directory(self) -> None:
        """A directory's name that looks like the list does not move it."""
        hostile = os.path.join(self.folder, '"image_list":[x')
        write(os.path.join(hostile, "a.png"))
        self.memory_site.load(hostile)
        status = self.memory_site.ask(WHOLE).json
        self.assertEqual((status["current_directory"], status["image_list"]), (hostile, ["a.png"]))

    def test_directory_that_is_gone(self) -> None:
        """Of a directory that is gone since before the start, no name is known, and it says so."""
        self.memory_site.load(self.big)
        os.rename(self.big, self.big + "-away")
        again = MemorySite(self.folder, store=self.memory_site.store)
        again.manager.restore()
        status = again.ask(WHOLE).json
        self.assertEqual((status["image_count"], status["image_list"]), (3, []))
        self.assertTrue(status["image_list_truncated"])

    def test_who_asks(self) -> None:
        """A browser gets it too, HEAD gets no body, others see no path, and all is all there is."""
        self.memory_site.load(self.big)
        browser = self.memory_site.ask(WHOLE, headers={"Accept": "text/html"})
        self.assertEqual(len(browser.json["image_list"]), 3)
        self.assertEqual(self.memory_site.ask(WHOLE, "HEAD").body, b"")
        self.assertEqual(self.memory_site.ask(WHOLE, peer=FAR).json["current_directory"], "big")
        refused = self.memory_site.ask("/?image_list=some")
        self.assertEqual(
            (refused.status, refused.json), (400, {"detail": "image_list must be all, not some."})
        )

    def begin_names(self, count: int) -> Transport:
        """A request of which the names are still to be made."""
        self.fill(count)
        self.memory_site.blocking.held = True
        transport = self.begin(WHOLE)
        while b'"image_list":[' not in transport.value():
            self.memory_site.blocking.step()
        return transport

    def test_slow_reader(self) -> None:
        """While the client takes nothing no further piece is made; when it does, it gets all."""
        transport = self.begin_names(2 * PIECE)
        transport.protocol.pauseProducing()
        self.memory_site.blocking.step()
        self.assertEqual(transport.value().count(b'.png"'), PIECE)
        self.assertEqual(self.memory_site.blocking.waiting, 0)
        self.memory_site.blocking.held = False
        transport.protocol.resumeProducing()
        self.assertEqual(len(self.answer(transport).json["image_list"]), 2 * PIECE + 3)

    def test_failure(self) -> None:
        """A piece that fails cuts the answer short, which no client takes for a whole one."""
        transport = self.begin_names(PIECE)
        self.memory_site.blocking.fail(Unavailable("The disk failed."))
        self.assertTrue(transport.aborted)
        self.assertFalse(transport.value().endswith(b"0\r\n\r\n"))

    def test_gone(self) -> None:
        """If the client has gone, no further piece is made."""
        transport = self.begin_names(2 * PIECE)
        transport.lose()
        self.memory_site.blocking.release()
        self.assertEqual(self.memory_site.blocking.waiting, 0)
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_bounds(self) -> None:
        """Of one client so many are answered at once, and no more."""
        self.memory_site.load(self.big)
        self.memory_site.blocking.held = True
        for _ in range(MAX_STREAMS_PER_CLIENT):
            self.assertFalse(self.is_refused(WHOLE))
        self.assertTrue(self.is_refused(WHOLE))
