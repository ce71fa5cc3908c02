"""A site in memory with a folder of three images."""

from __future__ import annotations

import os

from twisted.trial.unittest import SynchronousTestCase

from tests.collections.manager_case import LONG_AGO
from tests.fakes import Answer, MemorySite, Transport, parse_answer, write


class ListCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = os.path.realpath(self.mktemp())
        self.memory_site = MemorySite(self.folder)
        self.big = os.path.join(self.memory_site.documents, "big")
        for name in ("a.png", "b.png", "c.png"):
            write(os.path.join(self.big, name), b"1")
        os.utime(self.big, LONG_AGO)

    def begin(
        self, path: str, peer: str = "127.0.0.1", accept: str = "*/*", method: str = "GET"
    ) -> Transport:
        """A request that is not answered yet."""
        transport = self.memory_site.connect(peer)
        head = f"{method} {path} HTTP/1.1\r\nHost: localhost:8888\r\nAccept: {accept}\r\n"
        transport.protocol.dataReceived(head.encode("ascii") + b"\r\n")
        return transport

    def answer(self, transport: Transport) -> Answer:
        return parse_answer(transport.value())

    def names(self, path: str = "/big/?format=json") -> list[str]:
        return [entry["name"] for entry in self.memory_site.ask(path).json["entries"]]

    def is_refused(self, path: str, peer: str = "127.0.0.1") -> bool:
        answer = self.begin(path, peer).value()
        if answer:
            self.assertEqual(parse_answer(answer).status, 503)
            self.assertIn("retry-after", parse_answer(answer).headers)
        return bool(answer)
