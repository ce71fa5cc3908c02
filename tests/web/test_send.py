"""Bodies over real sockets: whole or cut off, however they are sent."""

from __future__ import annotations

import contextlib
import http.client
import os
import select
import socket
import subprocess
import sys
from collections.abc import Iterator
from typing import Any
from unittest import skipUnless

from twisted.internet import reactor
from twisted.internet.defer import gatherResults, inlineCallbacks
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

import tests
from imgd.net.bulk_tls import tls_factory
from imgd.net.tls import SwappableContext, build_context
from tests.fakes import MemorySite, parse_answer, write
from tests.host.this_machine import open_files
from tests.listening import listen
from tests.net.tls_case import TIMEOUT, client, made

HOME = os.path.dirname(os.path.dirname(os.path.abspath(tests.__file__)))
SIZE = 40 << 20  # bytes: more than the buffers of two sockets hold
SECOND = SIZE // 2
ASK = b"GET /v.nii HTTP/1.1\r\nHost: localhost\r\n"


class SendTests(TestCase):
    timeout = 120

    def setUp(self) -> None:
        self.memory_site = MemorySite(os.path.abspath(self.mktemp()))
        self.path = write(os.path.join(self.memory_site.documents, "v.nii"), os.urandom(SIZE))
        write(os.path.join(self.memory_site.documents, "a.jpg"), b"small")
        context = SwappableContext(build_context(made().pairs))
        tls = tls_factory(context, self.memory_site.site, reactor)
        self.ports = {False: listen(self, self.memory_site.site), True: listen(self, tls)}

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

    def read_around(self, tls: bool, act: Any, headers: bytes = b"") -> bytes:
        """The whole answer if ``act`` is called after its first bytes."""
        with self.connected(tls) as wrapped:
            wrapped.sendall(ASK + headers + b"Connection: close\r\n\r\n")
            received = bytearray(wrapped.recv(1 << 16))
            act()
            with contextlib.suppress(OSError):
                while data := wrapped.recv(1 << 20):
                    received += data
            return bytes(received)

    def contents(self) -> bytes:
        with open(self.path, "rb") as file:
            return file.read()

    @inlineCallbacks
    def test_whole(self) -> Any:
        """A large file, and several large ranges of it, arrive unchanged."""
        body = self.contents()
        for tls in (False, True):
            raw = yield deferToThread(self.read_around, tls, lambda: None)
            self.assertEqual(parse_answer(raw).body, body)
            ranges = b"Range: bytes=5-9999999,20000000-20000000,30000000-39999999\r\n"
            raw = yield deferToThread(self.read_around, tls, lambda: None, ranges)
            answer = parse_answer(raw)
            self.assertEqual(len(answer.body), int(answer.headers["content-length"]))
            for start, end in ((5, 9999999), (20000000, 20000000), (30000000, 39999999)):
                self.assertIn(b"\r\n\r\n" + body[start : end + 1] + b"\r\n--", answer.body)

    @inlineCallbacks
    def check_cut_off(self, act: Any) -> Any:
        for tls in (False, True):
            write(self.path, os.urandom(SIZE))
            raw = yield deferToThread(self.read_around, tls, act)
            head, _, body = raw.partition(b"\r\n\r\n")
            self.assertIn(b"Content-Length: %d" % SIZE, head)
            self.assertLess(len(body), SIZE)

    def test_truncated(self) -> Any:
        """The answer is cut off, not filled up, if the file shrinks meanwhile."""
        return self.check_cut_off(lambda: os.truncate(self.path, SECOND))

    def test_changed(self) -> Any:
        """So it is if the file is written to, even with its size unchanged."""

        def change() -> None:
            with open(self.path, "r+b") as file:
                file.seek(SECOND)
                file.write(b"changed")

        return self.check_cut_off(change)

    @inlineCallbacks
    def test_replaced(self) -> Any:
        """If the file is replaced by another, the answer goes on with the first."""
        for tls in (False, True):
            body = self.contents()
            other = write(self.path + ".new", os.urandom(SIZE))
            raw = yield deferToThread(
                self.read_around, tls, lambda o=other: os.replace(o, self.path)
            )
            self.assertEqual(parse_answer(raw).body, body)

    @skipUnless(os.path.exists("/proc/self/fd"), "needs /proc")
    @inlineCallbacks
    def test_client_leaves(self) -> Any:
        """A client that leaves in the middle leaves no file open."""

        def leave(tls: bool) -> None:
            with self.connected(tls) as wrapped:
                wrapped.sendall(ASK + b"\r\n")
                wrapped.recv(100)

        for tls in (False, True):
            yield deferToThread(leave, tls)
        while any(path.endswith("v.nii") for path in open_files()):
            yield deferToThread(lambda: None)

    @inlineCallbacks
    def test_slow_reader(self) -> Any:
        """While one client does not read, others are answered, and it gets the rest in the end."""

        def ask(tls: bool) -> bytes:
            with self.connected(tls) as slow:
                slow.sendall(ASK + b"\r\n")
                received = bytearray(slow.recv(100))
                with self.connected(tls) as other:
                    other.sendall(b"GET /a.jpg HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
                    response = http.client.HTTPResponse(other)
                    response.begin()
                    self.assertEqual(response.read(), b"small")
                while len(received) < SIZE and (data := slow.recv(1 << 20)):
                    received += data
                return bytes(received)

        for tls in (False, True):
            raw = yield deferToThread(ask, tls)
            self.assertEqual(parse_answer(raw).body, self.contents())


class PortableTests(TestCase):
    timeout = 180

    @inlineCallbacks
    def test_reactors(self) -> Any:
        """On every reactor, and without sendfile, files come whole over TCP and TLS."""

        def run(*args: str) -> bytes:
            command = [sys.executable, "-m", "tests.web.transfers", *args]
            done = subprocess.run(command, capture_output=True, timeout=120, cwd=HOME)
            return done.stdout or done.stderr

        folder = os.path.abspath(self.mktemp())
        os.mkdir(folder)
        reactors = ["selectreactor", "asyncioreactor", "default"]
        for name, needed in (("epollreactor", "epoll"), ("pollreactor", "poll")):
            if hasattr(select, needed):
                reactors.append(name)
        runs = [(name, folder) for name in reactors] + [("default", folder, "without-sendfile")]
        answers = yield gatherResults([deferToThread(run, *args) for args in runs])
        self.assertEqual(answers, [b"ok\n"] * len(runs))
