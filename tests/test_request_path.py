"""How many modules a reader must open to follow one request: a bound, so that it stays few."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from types import FrameType

from twisted.trial.unittest import SynchronousTestCase

import imgd
from tests.fakes import MemorySite, Transport, write
from tests.web.test_fast_path import use_fast_path

PACKAGE = os.path.dirname(imgd.__file__) + os.sep
MAX_TREE = 18
MAX_FAST_PATH = 8


def modules_entered(act: Callable[[], None]) -> set[str]:
    """The files of imgd in which a function runs meanwhile."""
    entered = set()

    def note(frame: FrameType, event: str, _argument: object) -> None:
        name = frame.f_code.co_filename
        if event == "call" and name.startswith(PACKAGE):
            entered.add(name.removeprefix(PACKAGE))

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        act()
    finally:
        sys.setprofile(before)
    return entered


class RequestPathTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.memory_site = MemorySite(os.path.abspath(self.mktemp()))
        self.addCleanup(self.memory_site.clock.advance, 0)  # when files of a turn are closed
        write(os.path.join(self.memory_site.documents, "a.jpg"))

    def entered(self, target: bytes) -> set[str]:
        """By the last of several requests on one connection."""
        request = b"GET %b HTTP/1.1\r\nHost: localhost:8888\r\n\r\n" % target
        transport: Transport = self.memory_site.connect()
        for _ in range(3):
            transport.protocol.dataReceived(request)
            self.memory_site.clock.advance(0)
        transport.clear()
        entered = modules_entered(lambda: transport.protocol.dataReceived(request))
        self.assertTrue(transport.value().startswith(b"HTTP/1.1 200 "))
        self.assertIn("web/channel.py".replace("/", os.sep), entered)
        return entered

    def test_tree(self) -> None:
        """A GET of a file that the resource tree answers."""
        entered = self.entered(b"/a.jpg?x=1")
        self.assertLessEqual(len(entered), MAX_TREE, sorted(entered))

    def test_fast_path(self) -> None:
        """A GET of a file that is kept in memory; where none can be kept, it is read each time."""
        fast_path = use_fast_path(self.memory_site)
        entered = self.entered(b"/a.jpg")
        self.assertEqual(fast_path.count, 4)
        read_each_time = {f"core{os.sep}plan.py", f"web{os.sep}bodies.py", f"files{os.sep}disk.py"}
        self.assertLessEqual(len(entered - read_each_time), MAX_FAST_PATH, sorted(entered))
