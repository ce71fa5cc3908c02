"""Answers made of many files: whole, or cut off, and never mixed of versions."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator, Mapping
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import inlineCallbacks
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import SynchronousTestCase, TestCase
from twisted.web.resource import Resource

from imgd.core import joined_file
from imgd.core.conditional import FileFacts
from imgd.core.joined_file import FileSlice, JoinedFile, Piece
from imgd.core.ranges import Slice
from imgd.errors import Unavailable
from imgd.files import disk
from imgd.net.bulk_tls import tls_factory
from imgd.net.tls import SwappableContext, build_context
from imgd.web.endpoint import Reply
from imgd.web.many_files import MAX_AHEAD, AheadLimit, FileOpener, send_joined
from imgd.web.request import Request
from tests.fakes import Answer, MemorySite, Transport, parse_answer, write
from tests.host.this_machine import open_files
from tests.listening import listen
from tests.net.tls_case import TIMEOUT, client, made

HEAD = b"352 bytes of header"
END = b"the end"


class JoinedSite:
    """A site that answers ``/all`` with parts of files, one after the other."""

    def __init__(self, folder: str, count: int, size: int) -> None:
        self.memory_site = MemorySite(folder)
        self.folder = self.memory_site.documents
        self.root = disk.Root(os.path.realpath(self.folder))
        self.names = [(f"{number:04}",) for number in range(count)]
        for name in self.names:
            write(self.path(name), os.urandom(size + 200))
        self.size = size
        self.limit = AheadLimit()
        self.changed: list[tuple[str, ...]] = []
        self.opener = FileOpener(
            self.root, self.memory_site.blocking, self.limit, self.changed.append
        )
        self.pieces = self.now()
        self.memory_site.site.getResourceFor = self._resource  # type: ignore[method-assign,assignment]

    def path(self, names: tuple[str, ...]) -> str:
        return os.path.join(self.folder, *names)

    def facts(self, names: tuple[str, ...]) -> FileFacts:
        st = os.stat(self.path(names))
        return FileFacts(st.st_size, st.st_mtime_ns, st.st_ctime_ns, st.st_ino)

    def now(self) -> list[Piece]:
        """What is answered, of the files as they are."""
        part = Slice(100, self.size)
        files = [FileSlice(names, self.facts(names), part) for names in self.names]
        return [HEAD, *(piece for file in files for piece in (file, b"--")), END]

    def body(self) -> bytes:
        """What should come."""
        found = bytearray(HEAD)
        for names in self.names:
            with open(self.path(names), "rb") as file:
                found += file.read()[100 : 100 + self.size] + b"--"
        return bytes(found + END)

    def _resource(self, _request: Request) -> Resource:
        return Reply(self.answer, deep=True)

    async def answer(self, request: Request) -> None:
        joined = JoinedFile(self.pieces)
        versions = [piece.facts for piece in self.pieces if isinstance(piece, FileSlice)]
        tag = joined_file.digest(versions, b"all")
        rep = joined_file.represent(joined, "application/octet-stream", tag, request.now)
        plan = joined_file.plan_joined(rep, request.conditions(), request.now)
        await send_joined(request, plan, joined, self.opener)


def read_slowly(transport: Transport) -> None:
    """From now on the transport is full after each write, until its producer is resumed."""
    write_all = transport.write

    def write_and_pause(data: bytes) -> None:
        write_all(data)
        if transport.producer is not None:
            transport.producer.pauseProducing()

    transport.write = write_and_pause  # type: ignore[method-assign]


def resume(transport: Transport) -> None:
    """The client has read what came."""
    if transport.producer is not None:
        transport.producer.resumeProducing()


class ManyFilesTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.joined = JoinedSite(os.path.abspath(self.mktemp()), count=80, size=5000)
        self.blocking = self.joined.memory_site.blocking

    def ask(self, method: str = "GET", **headers: str) -> Answer:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.joined.memory_site.ask("/all", method, named)

    def connect(self) -> Transport:
        """Ask, and do not wait for files."""
        self.blocking.held = True
        transport = self.joined.memory_site.connect()
        transport.protocol.dataReceived(b"GET /all HTTP/1.1\r\nHost: localhost\r\n\r\n")
        return transport

    def check_nothing_held(self) -> None:
        self.assertEqual(self.joined.limit.free, MAX_AHEAD)
        self.assertEqual(self.held_files(), [])

    def held_files(self) -> list[str]:
        return [path for path in open_files() if path.startswith(self.joined.root.path)]

    def test_whole(self) -> None:
        """All bytes come in their order, and no file stays open."""
        answer = self.ask()
        self.assertEqual((answer.status, answer.body), (200, self.joined.body()))
        self.assertEqual(int(answer.headers["content-length"]), len(answer.body))
        self.check_nothing_held()

    def test_ranges(self) -> None:
        """A range of it opens the files that it is made of, and no others."""
        body, opened = self.joined.body(), []
        real_open = self.joined.opener.ask

        def ask(directory: str, f: Any, root: Any, wanted: Any, key: Any = None) -> Any:
            opened.extend(wanted)
            return real_open(directory, f, root, wanted, key=key)

        self.joined.opener = FileOpener(self.joined.root, ask)  # type: ignore[arg-type]
        cases: Mapping[str, int] = {"0-5": 0, "0-30": 1, "5000-20000": 4, "-3": 0, "-10": 1}
        for asked, files in cases.items():
            opened.clear()
            answer = self.ask(Range=f"bytes={asked}")
            first, last = asked.split("-")
            expected = body[int(first) : int(last) + 1] if first else body[-int(last) :]
            self.assertEqual((answer.status, answer.body), (206, expected), asked)
            self.assertEqual(len(opened), files, asked)
        several = self.ask(Range="bytes=5000-20000,0-30")
        self.assertIn(b"\r\n\r\n" + body[5000:20001] + b"\r\n--", several.body)
        self.assertIn(b"\r\n\r\n" + body[:31] + b"\r\n--", several.body)
        self.assertEqual(len(several.body), int(several.headers["content-length"]))

    def test_head(self) -> None:
        """HEAD and 304 tell of it, and open nothing."""
        whole = self.ask()
        self.blocking.held = True
        head = self.ask("HEAD")
        self.assertEqual((head.status, head.body), (200, b""))
        self.assertEqual(head.headers["content-length"], str(len(whole.body)))
        unchanged = self.ask(If_None_Match=whole.headers["etag"])
        self.assertEqual((unchanged.status, self.blocking.waiting), (304, 0))

    def test_changed_before(self) -> None:
        """If a file is not what was meant before anything is sent: 503, and who looks after files
        is told.
        """
        path = self.joined.path(self.joined.names[3])
        changes = (
            lambda: os.utime(path, ns=(1, 1)),
            lambda: os.remove(path),
            lambda: os.symlink("0000", path),
        )
        for change in changes:
            change()
            answer = self.ask()
            self.assertEqual(answer.status, 503)
            self.assertEqual(answer.headers["retry-after"], "5")
            self.assertEqual(
                answer.json["detail"], "A file changed just now. Try again in a moment."
            )
        self.assertEqual(self.joined.changed, [self.joined.names[3]] * 3)
        self.check_nothing_held()

    def test_changed_after(self) -> None:
        """If that is seen later, the connection ends before the last byte."""
        os.utime(self.joined.path(self.joined.names[-1]), ns=(1, 1))
        answer = self.ask()
        self.assertEqual((answer.status, answer.aborted), (200, True))
        self.assertLess(len(answer.body), len(self.joined.body()))
        self.assertTrue(self.joined.body().startswith(answer.body))
        self.assertEqual(self.joined.changed, [self.joined.names[-1]])
        self.check_nothing_held()

    def test_changed_while_sent(self) -> None:
        """So it is if a file changes that is open already."""
        transport = self.connect()
        read_slowly(transport)
        self.blocking.step()
        self.assertGreater(len(transport.value()), 0)
        for names in self.joined.names[1:]:
            os.utime(self.joined.path(names), ns=(1, 1))
        while not transport.aborted:
            resume(transport)
        self.assertLess(len(parse_answer(transport.value()).body), 2 * 5000)
        self.assertEqual(self.joined.changed, [self.joined.names[1]])
        self.check_nothing_held()

    def test_renamed(self) -> None:
        """A file that only got another mode is what was meant."""
        os.chmod(self.joined.path(self.joined.names[0]), 0o600)
        self.assertEqual(self.ask().body, self.joined.body())

    def test_disk_hangs(self) -> None:
        """A disk that does not answer ends its own request: 503 before the head, and the connection
        after it.
        """
        error = Unavailable("A disk does not answer. Try again later.")
        before = self.connect()
        self.blocking.fail(error)
        answer = parse_answer(before.value())
        self.assertEqual((answer.status, answer.json["detail"]), (503, error.detail))
        after = self.connect()
        self.blocking.step()
        self.blocking.fail(error)
        self.assertTrue(after.aborted)
        self.blocking.held = False
        self.assertEqual(self.ask().body, self.joined.body())
        self.check_nothing_held()

    def test_client_leaves(self) -> None:
        """A client that leaves while a file is opened, or sent, holds nothing any more."""
        for steps in (0, 1, 2):
            transport = self.connect()
            for _ in range(steps):
                self.blocking.step()
            if transport.producer is not None:
                transport.producer.stopProducing()  # as TCP's does it
            transport.lose()
            self.assertEqual(self.blocking.waiting, 0)
            self.check_nothing_held()

    def test_few_descriptors(self) -> None:
        """All answers together have so many files open ahead, and those that get none go on one by
        one.
        """
        transports = [self.connect() for _ in range(12)]
        for transport in transports:
            read_slowly(transport)
        self.blocking.release()
        self.blocking.held = False
        most = 0
        while slow := [t for t in transports if not t.value().endswith(END)]:
            most = max(most, len(self.held_files()))
            for transport in slow:
                resume(transport)
        self.assertEqual(most, MAX_AHEAD + len(transports))
        for transport in transports:
            resume(transport)
            self.assertEqual(parse_answer(transport.value()).body, self.joined.body())
        self.check_nothing_held()


class SocketTests(TestCase):
    """The same over real sockets, plain and TLS, with bodies that no buffer holds."""

    timeout = 120

    def setUp(self) -> None:
        self.joined = JoinedSite(os.path.abspath(self.mktemp()), count=60, size=500_000)
        site = self.joined.memory_site.site
        tls = tls_factory(SwappableContext(build_context(made().pairs)), site, reactor)
        self.ports = {False: listen(self, site), True: listen(self, tls)}

    @contextlib.contextmanager
    def connected(self, tls: bool) -> Iterator[socket.socket]:
        """Called in a thread."""
        address = ("127.0.0.1", self.ports[tls])
        with socket.create_connection(address, timeout=TIMEOUT) as raw:
            if not tls:
                yield raw
                return
            with client().wrap_socket(raw, server_hostname="localhost") as wrapped:
                yield wrapped

    def read(self, tls: bool, headers: bytes = b"", act: Any = lambda: None) -> bytes:
        """The whole answer if ``act`` is called after its first bytes."""
        with self.connected(tls) as wrapped:
            ask = b"GET /all HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
            wrapped.sendall(ask + headers + b"\r\n")
            received = bytearray(wrapped.recv(1 << 16))
            act()
            with contextlib.suppress(OSError):
                while data := wrapped.recv(1 << 20):
                    received += data
            return bytes(received)

    @inlineCallbacks
    def test_whole(self) -> Any:
        """The whole, and a range of many files, come as they are on the disk."""
        body = self.joined.body()
        for tls in (False, True):
            raw = yield deferToThread(self.read, tls)
            self.assertEqual(parse_answer(raw).body, body)
            raw = yield deferToThread(self.read, tls, b"Range: bytes=499999-20000000\r\n")
            self.assertEqual(parse_answer(raw).body, body[499999:20000001])
        self.assertEqual(self.joined.limit.free, MAX_AHEAD)

    @inlineCallbacks
    def test_changed(self) -> Any:
        """A file that is written to after the first bytes cuts the answer off."""

        def change() -> None:
            for names in self.joined.names[30:]:
                with open(self.joined.path(names), "r+b") as file:
                    file.write(b"changed")

        for tls in (False, True):
            self.joined.pieces = self.joined.now()
            size = len(self.joined.body())
            raw = yield deferToThread(self.read, tls, b"", change)
            head, _, body = raw.partition(b"\r\n\r\n")
            self.assertIn(b"Content-Length: %d" % size, head)
            self.assertLess(len(body), size)
