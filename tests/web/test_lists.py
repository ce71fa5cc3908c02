"""Lists that many ask for: read once, kept, bounded, and not made for who has gone."""

from __future__ import annotations

import os
from typing import Any

from twisted.logger import formatEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from imgd.errors import Unavailable
from imgd.host.single_flight import SOON
from imgd.web.folder_listings import EACH_CLIENT, EACH_FOLDER
from imgd.web.image_lists import STREAMS_OF_CLIENT
from tests.collections.manager_case import LONG_AGO
from tests.fakes import Answer, House, Transport, parse_answer, write
from tests.scans import Scans


class ListCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = os.path.realpath(self.mktemp())
        self.house = House(self.folder)
        self.big = os.path.join(self.house.documents, "big")
        for name in ("a.png", "b.png", "c.png"):
            write(os.path.join(self.big, name), b"1")
        os.utime(self.big, LONG_AGO)
        self.logged: list[str] = []
        globalLogPublisher.addObserver(self.hear)
        self.addCleanup(globalLogPublisher.removeObserver, self.hear)

    def hear(self, event: Any) -> None:
        self.logged.append(formatEvent(event))

    def begin(
        self, path: str, peer: str = "127.0.0.1", accept: str = "*/*", method: str = "GET"
    ) -> Transport:
        """A question that is not answered yet."""
        transport = self.house.connect(peer)
        head = f"{method} {path} HTTP/1.1\r\nHost: localhost:8888\r\nAccept: {accept}\r\n"
        transport.protocol.dataReceived(head.encode("ascii") + b"\r\n")
        return transport

    def answer(self, transport: Transport) -> Answer:
        return parse_answer(transport.value())

    def names(self, path: str = "/big/?format=json") -> list[str]:
        return [entry["name"] for entry in self.house.ask(path).json["entries"]]


class KeptTests(ListCase):
    def test_once_for_all(self) -> None:
        """However many wait for a folder, it is read once, though it has just been changed."""
        os.utime(self.big)
        scans = Scans(self.big)
        self.house.blocking.held = True
        waiting = [self.begin(f"/big/?format=json&sort={sort}") for sort in ("name", "kind")] * 3
        self.house.blocking.release()
        for transport in waiting:
            self.assertEqual(self.answer(transport).json["total"], 3)
        self.assertEqual(scans.count, 1)

    def test_changed_since(self) -> None:
        """Who asks after a folder was changed is told of the change, however soon."""
        os.utime(self.big)
        for number in range(3):
            write(os.path.join(self.big, f"new{number}.png"))
            self.assertIn(f"new{number}.png", self.names())

    def test_kept(self) -> None:
        """A folder that stands is read once, for every order and filter of it."""
        scans = Scans(self.big)
        self.assertEqual(self.names(), ["a.png", "b.png", "c.png"])
        self.assertEqual(self.names("/big/?format=json&order=desc")[0], "c.png")
        self.assertEqual(self.names("/big/?format=json&filter=B&sort=size"), ["b.png"])
        self.assertEqual(scans.count, 1)
        os.remove(os.path.join(self.big, "b.png"))
        self.assertEqual(self.names(), ["a.png", "c.png"])
        self.assertEqual(scans.count, 2)

    def test_facts(self) -> None:
        """A page tells of each file what it is now, though its folder is not read again."""
        self.names()
        scans = Scans(self.big)
        write(os.path.join(self.big, "b.png"), b"larger")
        sizes = [e["size"] for e in self.house.ask("/big/?format=json").json["entries"]]
        self.assertEqual((sizes, scans.count), ([1, 6, 1], 0))

    def test_order_of_facts(self) -> None:
        """The order of sizes follows them within seconds."""
        by_size = "/big/?format=json&sort=size"
        self.assertEqual(self.names(by_size)[-1], "c.png")
        write(os.path.join(self.big, "a.png"), b"larger")
        self.house.clock.advance(6)
        self.assertEqual(self.names(by_size)[-1], "a.png")

    def test_links(self) -> None:
        """A link that leads somewhere at last is listed soon, though its folder stands."""
        place = os.path.join(self.house.documents, "later.png")
        os.symlink(place, os.path.join(self.big, "link.png"))
        os.utime(self.big, LONG_AGO)
        self.assertNotIn("link.png", self.names())
        write(place)
        self.house.clock.advance(6)
        self.assertIn("link.png", self.names())

    def test_status(self) -> None:
        """The names in the status are as they are on disk."""
        self.house.load(self.big)
        self.assertEqual(self.house.ask("/").json["image_list"], ["a.png", "b.png", "c.png"])
        write(os.path.join(self.big, "\udcff.png"))
        told = self.house.ask("/").json
        self.assertEqual((told["image_list"][3], told["image_count"]), ("\ufffd.png", 4))
        self.assertFalse(told["image_list_truncated"])
        self.assertEqual(told["collections"][0]["image_count"], 4)


class BoundTests(ListCase):
    def refused(self, path: str, peer: str = "127.0.0.1") -> bool:
        answer = self.begin(path, peer).value()
        if answer:
            self.assertEqual(parse_answer(answer).status, 503)
            self.assertIn("retry-after", parse_answer(answer).headers)
        return bool(answer)

    def test_of_a_folder(self) -> None:
        """So many wait for a folder; one more is told at once to try again. Others go on."""
        self.house.blocking.held = True
        waiting = [self.begin("/big/?format=json", f"192.0.2.{n}") for n in range(EACH_FOLDER)]
        self.assertTrue(self.refused("/big/?format=json", "192.0.2.99"))
        self.assertFalse(self.refused("/?format=json", "192.0.2.99"))
        self.house.blocking.release()
        self.assertEqual({self.answer(transport).status for transport in waiting}, {200})
        self.assertFalse(self.refused("/big/?format=json", "192.0.2.99"))

    def test_of_a_client(self) -> None:
        """So many of one client wait, for whatever; another client is let in. A network of IPv6 is
        one client, and so are all that come through loopback.
        """
        for number in range(EACH_CLIENT):
            write(os.path.join(self.house.documents, str(number), "a.png"))
        self.house.blocking.held = True
        for peers, other in (
            (("127.0.0.1", "::1"), "192.0.2.1"),
            (("2001:db8::1", "2001:db8::2"), "2001:db8:0:1::1"),
        ):
            for number in range(EACH_CLIENT):
                self.assertFalse(self.refused(f"/{number}/?format=json", peers[number % 2]))
            self.assertTrue(self.refused("/big/?format=json", peers[0]))
            self.assertFalse(self.refused("/big/?format=json", other))
            self.house.blocking.release()

    def test_of_images(self) -> None:
        """Lists of images are bounded with the folders, and streams by themselves."""
        self.house.load(self.big, name="big")
        self.house.blocking.held = True
        for _ in range(EACH_FOLDER):
            self.assertFalse(self.refused("/collections/big/images"))
        self.assertTrue(self.refused("/collections/big/images"))
        for _ in range(STREAMS_OF_CLIENT):
            self.assertFalse(self.refused("/collections/big/images?format=ndjson"))
        self.assertTrue(self.refused("/collections/big/images?format=ndjson"))


class GoneTests(ListCase):
    def test_not_made(self) -> None:
        """What nobody waits for any more is not begun, and makes room for others."""
        scans = Scans(self.big)
        self.house.blocking.held = True
        waiting = [self.begin("/big/?format=json") for _ in range(EACH_FOLDER)]
        for transport in waiting:
            transport.lose()
        self.assertEqual(self.house.blocking.waiting, 0)
        again = self.begin("/big/?format=json")
        self.house.blocking.release()
        self.assertEqual(self.answer(again).status, 200)
        self.assertEqual(scans.count, 1)

    def test_others_wait(self) -> None:
        """One who goes takes nothing from others who wait for the same."""
        self.house.load(self.big)
        self.house.blocking.held = True
        first, second = self.begin("/"), self.begin("/")
        first.lose()
        while self.house.blocking.waiting:
            self.house.blocking.step()
        self.assertEqual(self.answer(second).json["image_count"], 3)

    def test_at_every_wait(self) -> None:
        """A client may go whenever it likes: nothing is left undone, and no line is logged."""
        self.house.load(self.big)
        for path, accept in (
            ("/", "*/*"),
            ("/", "text/html"),
            ("/big/", "text/html"),
            ("/big/?format=json", "*/*"),
            ("/collections", "*/*"),
            ("/collections/current", "*/*"),
            ("/collections/current/images", "*/*"),
            ("/collections/current/images?format=ndjson", "*/*"),
        ):
            for steps in range(8):
                with self.subTest(path=path, accept=accept, steps=steps):
                    self.lose_after(steps, path, accept)

    def lose_after(self, steps: int, path: str, accept: str) -> None:
        self.house.blocking.held = True
        transport = self.begin(path, accept=accept)
        for _ in range(steps):
            if self.house.blocking.waiting:
                self.house.blocking.step()
        self.logged.clear()
        transport.lose()
        self.assertEqual(self.house.blocking.waiting, 0)
        self.house.clock.advance(2)
        self.assertEqual(self.logged, [])

    def test_slow_reader(self) -> None:
        """A stream whose reader went away while there was no room for more ends quietly."""
        self.house.load(self.big)
        transport = self.house.connect()
        self.house.blocking.held = True
        head = b"GET /collections/current/images?format=ndjson HTTP/1.1\r\nHost: localhost\r\n\r\n"
        transport.protocol.dataReceived(head)
        self.house.blocking.step()
        transport.producer.pauseProducing()  # type: ignore[union-attr]
        self.house.blocking.step()
        self.logged.clear()
        transport.lose()
        self.assertEqual((self.house.blocking.waiting, self.logged), (0, []))

    def test_control(self) -> None:
        """What was ordered is done, though who ordered it has gone; and its failure is no error."""
        body = b'{"directory": "%b"}' % self.big.encode("ascii")
        head = b"POST /load-directory HTTP/1.1\r\nHost: localhost\r\nContent-Type: "
        rest = b"application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
        for os_errors in (None, Unavailable("Full.", "state")):
            self.house.store.fail = os_errors
            self.house.blocking.held = True
            transport = self.house.connect()
            transport.protocol.dataReceived(head + rest)
            transport.lose()
            self.assertEqual(self.house.blocking.waiting, 1)
            while self.house.blocking.waiting:
                self.house.blocking.step()
        self.assertEqual(len(self.house.manager.loaded_collections()), 1)
        self.assertFalse([line for line in self.logged if "Traceback" in line], self.logged)


class UnexpectedTests(ListCase):
    def test_once_a_second(self) -> None:
        """What nobody foresaw is told once a second, with how often it was met beside that."""
        self.house.load(self.big)
        self.house.store.fail = ZeroDivisionError()
        self.logged.clear()
        for _ in range(5):
            self.assertEqual(self.house.post("/unload").status, 500)
        self.assertEqual(len(self.logged), 1)
        self.assertIn("Could not answer POST /unload", self.logged[0])
        self.house.clock.advance(1)
        self.house.post("/unload")
        self.assertEqual(len(self.logged), 2)
        self.assertIn("and 4 more that were not logged", self.logged[1])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 2)


class LateTests(ListCase):
    def setUp(self) -> None:
        super().setUp()
        self.house.load(self.big)
        self.house.blocking.held = True

    def test_status(self) -> None:
        """A directory that does not answer keeps the status for a second: it tells what was known,
        then at once, until it answers.
        """
        first = self.begin("/")
        self.assertEqual(first.value(), b"")
        self.house.clock.advance(SOON)
        second = self.begin("/")
        for told in (self.answer(first).json, self.answer(second).json):
            self.assertEqual(told["image_list"], ["a.png", "b.png", "c.png"])
            self.assertFalse(told["collections"][0]["available"])
        self.house.blocking.held = False
        self.house.blocking.release()
        self.assertTrue(self.house.ask("/").json["collections"][0]["available"])

    def test_collections(self) -> None:
        """So it is with the collections; and the one that answers is told as there."""
        write(os.path.join(self.folder, "other", "a.png"))
        self.house.blocking.held = False
        self.house.load("other", name="other")
        self.house.blocking.held = True
        asked = self.begin("/collections")
        self.house.blocking.step()
        self.house.clock.advance(SOON)
        told = {c["name"]: c["available"] for c in self.answer(asked).json["collections"]}
        self.assertEqual(told, {"current": True, "other": False})

    def test_never_read(self) -> None:
        """Of a directory that was not read since the start, the count is told that was stored."""
        again = House(self.folder, store=self.house.store)
        again.manager.restore()
        again.blocking.held = True
        transport = again.connect()
        transport.protocol.dataReceived(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        again.clock.advance(SOON)
        told = self.answer(transport).json
        self.assertEqual((told["image_count"], told["image_list"]), (3, []))
        self.assertTrue(told["image_list_truncated"])
