"""Bad requests over a connection: heads are parsed before the fast path and twisted.web."""

from __future__ import annotations

import os
import re

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.core.test_request_body import BAD, GOOD
from tests.core.test_request_head import HOPELESS, ROWS
from tests.fakes import TOKEN, MemorySite, Transport, parse_answer, write

OF_THE_CHECK = (400, 414, 431, 501, 505)
GET = b"GET /a.txt HTTP/1.1\r\nHost: localhost\r\n\r\n"
PIPELINE = (
    GET,
    b"GET /images/ HTTP/1.1\r\nHost: localhost\r\nAccept: application/json\r\n\r\n",
    b"POST /unload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 11\r\n"
    b"Content-Type: application/json\r\n\r\n"
    b'{"name":"x"',
    b"HEAD /a.txt HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"POST /unload HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n"
    b"Content-Type: application/json\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    b"GET http://localhost/health HTTP/1.1\r\nHost: elsewhere\r\n\r\n",
    b"OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"DELETE /a.txt HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\nabc",
    GET,
)
_STATUS = re.compile(rb"HTTP/1\.1 ([0-9]{3}) [A-Z]")
STATUSES = [200, 400, 400, 200, 200, 200, 204, 405, 200]


class WireCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.memory_site = MemorySite(os.path.realpath(self.mktemp()))
        write(os.path.join(self.memory_site.documents, "a.txt"), b"text of a")

    def send(self, data: bytes, size: int) -> Transport:
        """A new connection that was sent these bytes, so many at a time, until it was closed."""
        transport = self.memory_site.connect()
        for start in range(0, len(data), size):
            if transport.disconnecting:
                break
            transport.protocol.dataReceived(data[start : start + size])
        self.assertEqual(self.flushLoggedErrors(), [])
        return transport

    def statuses(self, transport: Transport) -> list[int]:
        """The status of each answer, in order."""
        return [int(status) for status in _STATUS.findall(transport.value())]


class RefusedTests(WireCase):
    def test_rows(self) -> None:
        """Each row of the rules is answered with its status, and the connection is closed."""
        for section, head, wanted in ROWS:
            if not wanted or head.startswith(b"\r\n"):
                continue
            for size in (len(head), 1):
                with self.subTest(section=section, head=head[:80], size=size):
                    transport = self.send(head, size)
                    answer = parse_answer(transport.value())
                    self.assertEqual(answer.status, wanted)
                    self.assertEqual(answer.headers["connection"], "close")
                    self.assertEqual(list(answer.json), ["detail"])
                    self.assertEqual(answer.headers["access-control-allow-origin"], "*")
                    self.assertTrue(transport.disconnecting)

    def test_accepted(self) -> None:
        """What the rules accept is judged by what it asks for."""
        for section, head, wanted in ROWS:
            if wanted:
                continue
            for size in (len(head), 1):
                with self.subTest(section=section, head=head[:80], size=size):
                    found = self.statuses(self.send(head, size))
                    self.assertFalse(set(found) & set(OF_THE_CHECK), found)

    def test_hopeless(self) -> None:
        """What can become no request is refused while its client still waits."""
        for data, wanted in HOPELESS:
            for size in (len(data), 7):
                with self.subTest(data=data[:40], size=size):
                    transport = self.send(data, size)
                    self.assertEqual(self.statuses(transport), [wanted])
                    self.assertTrue(transport.disconnecting)

    def test_smuggling(self) -> None:
        """After a refusal nothing is heard: a second request behind a bad one is never answered."""
        for _, head, wanted in ROWS:
            if wanted and not head.startswith(b"\r\n"):
                for size in (len(head) + len(GET), 1):
                    transport = self.send(head + GET, size)
                    self.assertEqual(len(self.statuses(transport)), 1, head[:80])
                    self.assertNotIn(b"text of a", transport.value())

    def test_in_the_midst(self) -> None:
        """What came before a bad request is answered, in order, and nothing after it."""
        bad = b"GET /a.txt HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"
        for size in (10_000, 5, 1):
            transport = self.send(GET + GET + bad + GET, size)
            self.assertEqual(self.statuses(transport), [200, 200, 400])
            self.assertTrue(transport.disconnecting)


class PipelineTests(WireCase):
    def test_order(self) -> None:
        """Pipelined requests are answered in order, bodies or not, however the bytes are cut."""
        data = b"".join(PIPELINE)
        for size in (len(data), 400, 100, 13, 1):
            self.assertEqual(self.statuses(self.send(data, size)), STATUSES, size)

    def test_close(self) -> None:
        """After ``Connection: close`` no further request is answered."""
        last = b"GET /a.txt HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        for size in (10_000, 1):
            transport = self.send(GET + last + GET, size)
            self.assertEqual(self.statuses(transport), [200, 200])
            self.assertTrue(transport.disconnecting)

    def test_slow_work(self) -> None:
        """What waits behind a request whose answer takes time is answered after it."""
        self.memory_site.blocking.held = True
        listing = b"GET /?format=json HTTP/1.1\r\nHost: localhost\r\n\r\n"
        transport = self.send(listing + GET + PIPELINE[4] + GET, 10_000)
        self.assertEqual(self.statuses(transport), [])
        self.memory_site.blocking.held = False
        self.memory_site.blocking.release()
        self.assertEqual(self.statuses(transport), [200, 200, 200, 200])

    @settings(deadline=None, database=None, max_examples=100)
    @given(st.lists(st.sampled_from(PIPELINE), max_size=8), st.integers(1, 300))
    def test_any_order(self, requests: list[bytes], size: int) -> None:
        """Any requests one after the other give the statuses that they have alone."""
        wanted = [STATUSES[PIPELINE.index(request)] for request in requests]
        self.assertEqual(self.statuses(self.send(b"".join(requests), size)), wanted)

    @settings(deadline=None, database=None, max_examples=200)
    @given(st.binary(max_size=60), st.integers(0, 7), st.integers(0, 60), st.integers(1, 80))
    def test_damaged(self, noise: bytes, at: int, place: int, size: int) -> None:
        """Damage in the midst of a pipeline: what came before it is answered as ever."""
        before = b"".join(PIPELINE[:at])
        after = b"".join(PIPELINE[at:])
        found = self.statuses(self.send(before + after[:place] + noise + after[place:], size))
        self.assertEqual(found[:at], STATUSES[:at])


class VersionTests(WireCase):
    def test_minor_versions(self) -> None:
        """HTTP/1.2 is answered like 1.1, by the fast path and the tree, and the connection lives;
        the log says how it was read.
        """
        for target in (b"/a.txt", b"/health", b"http://localhost/a.txt"):
            for version in (b"1.1", b"1.2", b"1.9"):
                head = b"GET " + target + b" HTTP/" + version + b"\r\nHost: localhost\r\n\r\n"
                self.assertEqual(self.statuses(self.send(head * 2, 1000)), [200, 200])
        self.assertEqual(len(self.memory_site.access_lines), 18)
        for line in self.memory_site.access_lines:
            self.assertIn(' HTTP/1.1" 200 ', line)

    def test_bodies(self) -> None:
        """So are its bodies, chunked ones too; in 1.0 a body has a length, and ends the talk unless
        the client asks that the connection be kept.
        """
        post = PIPELINE[4]
        for version in (b"1.2", b"1.9"):
            request = post.replace(b"HTTP/1.1", b"HTTP/" + version)
            self.assertEqual(self.statuses(self.send(request + GET, 1000)), [200, 200])
        old = (
            b"POST /unload HTTP/1.0\r\nContent-Length: 2\r\nHost: localhost\r\n"
            b"Content-Type: application/json\r\n"
            b"Authorization: Bearer %b\r\n\r\n{}" % TOKEN.encode()
        )
        for size in (1000, 1):
            transport = self.send(old + GET, size)
            self.assertTrue(transport.value().startswith(b"HTTP/1.0 200 OK\r\n"))
            self.assertNotIn(b"text of a", transport.value())
            self.assertTrue(transport.disconnecting)
            kept = old.replace(b"\r\n\r\n", b"\r\nConnection: Keep-Alive\r\n\r\n")
            transport = self.send(kept + GET, size)
            self.assertTrue(transport.value().startswith(b"HTTP/1.0 200 OK\r\n"))
            self.assertIn(b"text of a", transport.value())

    def test_kept_1_0(self) -> None:
        """HTTP/1.0 is kept open where it is asked for and the answer has a length; the answer says
        which it is (RFC 9112 section 9.3).
        """
        write(os.path.join(self.memory_site.documents, "sub", "a.jpg"))
        self.memory_site.load(os.path.join(self.memory_site.documents, "sub"), name="sub")
        for target, options, wanted in (
            (b"/a.txt", b"keep-alive", b"keep-alive"),
            (b"/a.txt", b"TE, Keep-Alive", b"keep-alive"),
            (b"/none", b"keep-alive", b"keep-alive"),
            (b"/a.txt", b"keep-alive, close", b"close"),
            (b"/a.txt", b"x", b"close"),
            (b"/collections/sub/images?format=ndjson", b"keep-alive", b"close"),
        ):
            old = b"GET %b HTTP/1.0\r\nConnection: %b\r\n\r\n" % (target, options)
            for size in (1000, 1):
                transport = self.send(old + old, size)
                sent = transport.value()
                self.assertEqual(sent.count(b"\r\nConnection: " + wanted), sent.count(b"HTTP/1.0 "))
                self.assertEqual(sent.count(b"HTTP/1.0 "), 2 if wanted == b"keep-alive" else 1)
                self.assertEqual(transport.disconnecting, wanted == b"close")

    def test_major_versions(self) -> None:
        """Another major version is 505."""
        for version in (b"0.9", b"2.0", b"2.1", b"3.0"):
            head = GET.replace(b"1.1", version)
            self.assertEqual(self.statuses(self.send(head + GET, 1000)), [505])


class BodyTests(WireCase):
    """What RFC 9112 section 7.1 forbids in a chunked body is refused."""

    HEAD = (
        b"POST /unload HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n"
        b"Content-Type: application/json\r\n\r\n"
    )

    def test_chunks(self) -> None:
        """Each malformed body is refused with its reason, the connection is closed, and what stands
        behind it is no request.
        """
        for body, status in BAD:
            for size in (4096, 1) if len(body) < 5000 else (4096,):
                transport = self.send(self.HEAD + body + GET, size)
                self.assertEqual(self.statuses(transport), [status], body[:20])
                answer = parse_answer(transport.value())
                self.assertEqual(list(answer.json), ["detail"])
                self.assertEqual(answer.headers["connection"], "close")
                self.assertNotIn("access-control-allow-origin", answer.headers)
                self.assertTrue(transport.disconnecting)

    def test_good(self) -> None:
        """Each good body is read, and the request behind it is answered."""
        for body, content in GOOD:
            wanted = 400 if content.strip() not in (b"", b"{}") else 200
            for size in (len(self.HEAD + body), 10_000, 1) if len(body) < 5000 else (10_000,):
                found = self.statuses(self.send(self.HEAD + body + GET, size))
                self.assertEqual(found, [wanted, 200], body[:20])

    def test_nobody_reads(self) -> None:
        """Bodies of other methods are judged alike, and dropped."""
        for method in (b"GET", b"DELETE", b"OPTIONS", b"PUT"):
            head = self.HEAD.replace(b"POST", method).replace(b"application/json", b"a/b")
            for body, status in BAD[:20]:
                self.assertEqual(self.statuses(self.send(head + body + GET, 7)), [status], body)
            for body, _ in GOOD[:8]:
                found = self.statuses(self.send(head + body + GET, 100))
                self.assertEqual(len(found), 2)
                self.assertEqual(found[1], 200)
