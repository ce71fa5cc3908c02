"""A body is judged at its head: who sends it, of which type, how long; before any of it is kept."""

from __future__ import annotations

import os

from twisted.trial.unittest import SynchronousTestCase

from tests.fakes import TOKEN, Answer, MemorySite, Transport, parse_answer, write

FAR = "203.0.113.9"  # RFC 5737: documentation
JSON = b"Content-Type: application/json\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"
BEARER = f"Authorization: Bearer {TOKEN}\r\n".encode()
LENGTH = b"Content-Length: 2\r\n"
EXPECT = b"Expect: 100-continue\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
GET = b"GET /a.txt HTTP/1.1\r\nHost: localhost\r\n\r\n"


class Case(SynchronousTestCase):
    def setUp(self) -> None:
        self.memory_site = MemorySite(os.path.realpath(self.mktemp()))
        write(os.path.join(self.memory_site.documents, "a.txt"), b"text of a")

    def send(
        self,
        fields: bytes,
        line: bytes = b"POST /unload HTTP/1.1",
        peer: str = "127.0.0.1",
        host: bytes = b"Host: localhost\r\n",
    ) -> Transport:
        """A connection that was sent a head, and nothing of its body."""
        transport = self.memory_site.connect(peer)
        transport.protocol.dataReceived(line + b"\r\n" + host + fields + b"\r\n")
        return transport

    def refused(self, transport: Transport) -> Answer:
        """The one answer, after which the connection is closed and nothing more is heard."""
        self.assertTrue(transport.disconnecting)
        said = transport.value()
        self.assertEqual(said.count(b"HTTP/1.1 "), 1)
        transport.protocol.dataReceived(b"{}" + GET)
        self.assertEqual(transport.value(), said)
        answer = parse_answer(said)
        self.assertEqual(answer.headers["connection"], "close")
        self.assertEqual(list(answer.json), ["detail"])
        self.assertNotIn("access-control-allow-origin", answer.headers)
        return answer


class WhoTests(Case):
    def test_strangers(self) -> None:
        """A stranger's body is refused at its head, wherever it goes, whatever it is."""
        for path in (b"/load-directory", b"/links/revoke", b"/timeout/5", b"/nothing", b"/a.txt"):
            for fields in (LENGTH + JSON, CHUNKED + JSON, LENGTH, b"Content-Length: 99999999\r\n"):
                line = b"POST " + path + b" HTTP/1.1"
                self.assertEqual(self.refused(self.send(fields, line, FAR)).status, 403)

    def test_wrong_token(self) -> None:
        """A wrong token is 401, with the challenge; the right one is heard."""
        wrong = self.send(LENGTH + JSON + b"Authorization: Bearer no\r\n")
        answer = self.refused(wrong)
        self.assertEqual((answer.status, answer.headers["www-authenticate"]), (401, "Bearer"))
        right = self.send(LENGTH + JSON + BEARER, peer=FAR)
        self.assertEqual(right.value(), b"")
        right.protocol.dataReceived(b"{}" + GET)
        self.assertEqual(right.value().count(b"HTTP/1.1 200 OK"), 2)

    def test_absolute(self) -> None:
        """Of an absolute target the authority says who asks, and not the Host beside it."""
        evil = b"Host: evil.example\r\n"
        for target, host, status in (
            (b"http://evil.example/unload", b"Host: localhost\r\n", 403),
            (b"http://localhost/unload", evil, 0),
            (b"https://localhost/unload", b"Host: localhost\r\n", 421),
        ):
            line = b"POST " + target + b" HTTP/1.1"
            transport = self.send(LENGTH + JSON, line, host=host)
            if status:
                self.assertEqual(self.refused(transport).status, status)
            else:
                self.assertEqual(transport.value(), b"")

    def test_logged(self) -> None:
        """A refused request stands in the access log like any other."""
        self.send(LENGTH + JSON, b"POST /unload?a HTTP/1.1", FAR)
        self.assertEqual(len(self.memory_site.access_lines), 1)
        self.assertIn('"POST /unload?a HTTP/1.1" 403 ', self.memory_site.access_lines[0])


class TypeTests(Case):
    def test_types(self) -> None:
        """A body that is not JSON, said once, is 415 at its head, wherever it goes."""
        for path in (b"/load-directory", b"/links/revoke", b"/timeout/5", b"/a.txt"):
            for types in (
                b"",
                b"Content-Type: text/plain\r\n",
                b"Content-Type: application/x-www-form-urlencoded\r\n",
                b"Content-Type: text/plain\r\n" + JSON,
                JSON + JSON,
                b"Content-Type: application/json, text/plain\r\n",
            ):
                for framing in (LENGTH, CHUNKED):
                    line = b"POST " + path + b" HTTP/1.1"
                    self.assertEqual(self.refused(self.send(framing + types, line)).status, 415)

    def test_parameters(self) -> None:
        """Parameters of the type are allowed."""
        transport = self.send(LENGTH + b"content-type: Application/JSON ; charset=utf-8\r\n")
        transport.protocol.dataReceived(b"{}")
        self.assertEqual(parse_answer(transport.value()).status, 200)

    def test_empty(self) -> None:
        """An empty body needs no type: ``curl -X POST`` and ``curl -d ''`` go on working."""
        for fields in (
            b"",
            b"Content-Length: 0\r\n",
            b"Content-Length: 0\r\nContent-Type: a/b\r\n",
        ):
            for line in (b"POST /timeout/5 HTTP/1.1", b"POST /unload HTTP/1.1"):
                transport = self.send(fields, line)
                self.assertEqual(parse_answer(transport.value()).status, 200)
                self.assertFalse(transport.disconnecting)


class LengthTests(Case):
    def test_declared(self) -> None:
        """Over 64 KiB is 413 at the head, whatever the method."""
        for method in (b"POST", b"GET", b"HEAD", b"PUT", b"OPTIONS"):
            line = method + b" /a.txt HTTP/1.1"
            transport = self.send(b"Content-Length: 65537\r\n" + JSON, line)
            self.assertTrue(transport.disconnecting)
            self.assertEqual(parse_answer(transport.value(), method.decode()).status, 413)
            self.assertEqual(self.send(b"Content-Length: 65536\r\n" + JSON, line).value(), b"")

    def test_chunk(self) -> None:
        """A chunk above what is left is 413 as soon as its size is there."""
        for first, size in (
            (b"", b"10001"),
            (b"ffff\r\n" + bytes(0xFFFF) + b"\r\n", b"2"),
            (b"", b"10000000000000000"),
        ):
            transport = self.send(CHUNKED + JSON)
            transport.protocol.dataReceived(first + size + b"\r")
            self.assertEqual(transport.value(), b"")
            transport.protocol.dataReceived(b"\n")
            self.assertEqual(self.refused(transport).status, 413)

    def test_dropped(self) -> None:
        """A body that nobody reads is read to its end, and the next request is answered."""
        for method in (b"GET", b"DELETE", b"OPTIONS", b"PATCH", b"QUERY"):
            for framing, body in (
                (b"Content-Length: 65536\r\n", bytes(65536)),
                (CHUNKED, b"10000\r\n" + bytes(65536) + b"\r\n0\r\n\r\n"),
            ):
                transport = self.send(framing, method + b" /a.txt HTTP/1.1")
                for start in range(0, len(body), 5000):
                    self.assertEqual(transport.value(), b"")
                    transport.protocol.dataReceived(body[start : start + 5000])
                transport.protocol.dataReceived(GET)
                self.assertEqual(transport.value().count(b"HTTP/1.1 "), 2)
                self.assertTrue(transport.value().endswith(b"text of a"))


class ContinueTests(Case):
    def test_continue(self) -> None:
        """Whose body will be read is told to send it, once."""
        for framing, body in ((LENGTH, b"{}"), (CHUNKED, b"2\r\n{}\r\n0\r\n\r\n")):
            for line in (
                b"POST /unload HTTP/1.1",
                b"POST /unload HTTP/1.2",
                b"GET /a.txt HTTP/1.1",
            ):
                transport = self.send(framing + JSON + EXPECT, line)
                self.assertEqual(transport.value(), CONTINUE)
                transport.clear()
                transport.protocol.dataReceived(body)
                self.assertEqual(parse_answer(transport.value()).status, 200)

    def test_no_continue(self) -> None:
        """Whose body will be refused is not told to send it, nor who does not wait."""
        for fields, peer, status in (
            (LENGTH + JSON, FAR, 403),
            (LENGTH + JSON + b"Authorization: Bearer no\r\n", "127.0.0.1", 401),
            (LENGTH, "127.0.0.1", 415),
            (b"Content-Length: 65537\r\n" + JSON, "127.0.0.1", 413),
        ):
            self.assertEqual(self.refused(self.send(fields + EXPECT, peer=peer)).status, status)
        for fields, line in (
            (LENGTH + JSON + EXPECT + BEARER, b"POST /unload HTTP/1.0"),
            (LENGTH + JSON + b"Expect: 200-ok\r\n", b"POST /unload HTTP/1.1"),
        ):
            self.assertEqual(self.send(fields, line).value(), b"")

    def test_no_body(self) -> None:
        """There is nothing to continue with where no body was announced, or it is there."""
        for fields in (EXPECT, EXPECT + b"Content-Length: 0\r\n"):
            self.assertEqual(parse_answer(self.send(fields).value()).status, 200)
        transport = self.memory_site.connect()
        transport.protocol.dataReceived(
            b"POST /unload HTTP/1.1\r\nHost: localhost\r\n" + LENGTH + JSON + EXPECT + b"\r\n{}"
        )
        self.assertEqual(parse_answer(transport.value()).status, 200)
