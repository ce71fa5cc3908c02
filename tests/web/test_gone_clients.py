"""Clients that close the connection before they are answered."""

from __future__ import annotations

from twisted.logger import formatEvent

from imgd.errors import Unavailable
from imgd.web.folder_listings import MAX_WAITING_PER_FOLDER
from tests.fakes import record_log
from tests.scans import Scans
from tests.web.list_case import ListCase


class GoneClientTests(ListCase):
    def setUp(self) -> None:
        super().setUp()
        self.events = record_log(self)

    def logged(self) -> list[str]:
        return [formatEvent(event) for event in self.events]

    def test_not_made(self) -> None:
        """Work that nobody waits for any more is not begun, and makes room for others."""
        scans = Scans(self.big)
        self.memory_site.blocking.held = True
        waiting = [self.begin("/big/?format=json") for _ in range(MAX_WAITING_PER_FOLDER)]
        for transport in waiting:
            transport.lose()
        self.assertEqual(self.memory_site.blocking.waiting, 0)
        again = self.begin("/big/?format=json")
        self.memory_site.blocking.release()
        self.assertEqual(self.answer(again).status, 200)
        self.assertEqual(scans.count, 1)

    def test_others_wait(self) -> None:
        """A client that goes takes nothing from others that wait for the same."""
        self.memory_site.load(self.big)
        self.memory_site.blocking.held = True
        first, second = self.begin("/"), self.begin("/")
        first.lose()
        while self.memory_site.blocking.waiting:
            self.memory_site.blocking.step()
        self.assertEqual(self.answer(second).json["image_count"], 3)

    def test_at_every_wait(self) -> None:
        """A client may go at any time: no work is left behind, and no line is logged."""
        self.memory_site.load(self.big)
        for path, accept in (
            ("/", "*/*"),
            ("/", "text/html"),
            ("/big/", "text/html"),
            ("/big/?format=json", "*/*"),
            ("/big/?archive=tar", "*/*"),
            ("/big/?archive=zip", "*/*"),
            ("/collections", "*/*"),
            ("/collections", "text/html"),
            ("/collections/current", "*/*"),
            ("/collections/current/images", "*/*"),
            ("/collections/current/images?format=ndjson", "*/*"),
        ):
            for steps in range(8):
                with self.subTest(path=path, accept=accept, steps=steps):
                    self.lose_after(steps, path, accept)

    def lose_after(self, steps: int, path: str, accept: str) -> None:
        self.memory_site.blocking.held = True
        transport = self.begin(path, accept=accept)
        for _ in range(steps):
            if self.memory_site.blocking.waiting:
                self.memory_site.blocking.step()
        self.events.clear()
        transport.lose()
        self.assertEqual(self.memory_site.blocking.waiting, 0)
        self.memory_site.clock.advance(2)
        self.assertEqual(self.logged(), [])

    def test_slow_reader(self) -> None:
        """A stream whose client goes while there is no room for more ends quietly."""
        self.memory_site.load(self.big)
        transport = self.memory_site.connect()
        self.memory_site.blocking.held = True
        head = b"GET /collections/current/images?format=ndjson HTTP/1.1\r\nHost: localhost\r\n\r\n"
        transport.protocol.dataReceived(head)
        self.memory_site.blocking.step()
        transport.producer.pauseProducing()  # type: ignore[union-attr]
        self.memory_site.blocking.step()
        self.events.clear()
        transport.lose()
        self.assertEqual((self.memory_site.blocking.waiting, self.logged()), (0, []))

    def test_control(self) -> None:
        """A load is done though its client has gone; its failure is no error."""
        body = b'{"directory": "%b"}' % self.big.encode("ascii")
        head = b"POST /load-directory HTTP/1.1\r\nHost: localhost\r\nContent-Type: "
        rest = b"application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
        for os_errors in (None, Unavailable("Full.", "state")):
            self.memory_site.store.fail = os_errors
            self.memory_site.blocking.held = True
            transport = self.memory_site.connect()
            transport.protocol.dataReceived(head + rest)
            transport.lose()
            self.assertEqual(self.memory_site.blocking.waiting, 1)
            while self.memory_site.blocking.waiting:
                self.memory_site.blocking.step()
        self.assertEqual(len(self.memory_site.manager.loaded_collections()), 1)
        self.assertFalse([line for line in self.logged() if "Traceback" in line])
