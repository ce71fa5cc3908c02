"""The control API against pages, tunnels and bodies that mean harm; and any bytes at all."""

from __future__ import annotations

import json
import os

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.fakes import TOKEN, MemorySite, parse_answer, write

BEARER = {"Authorization": f"Bearer {TOKEN}"}
FAR = "203.0.113.9"  # RFC 5737: documentation


class HostileCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = os.path.realpath(self.mktemp())
        self.memory_site = MemorySite(self.folder)
        self.frames = os.path.join(self.folder, "frames")
        write(os.path.join(self.frames, "a.png"), b"png")


class AskerTests(HostileCase):
    """Contract section 3, as an attacker meets it."""

    REFUSED: tuple[tuple[str, dict[str, str]], ...] = (
        # DNS rebinding: the attacker's name leads to 127.0.0.1, and the browser keeps it in Host.
        ("rebinding", {"Host": "evil.example:8888"}),
        ("rebinding", {"Host": "localhost.evil.example"}),
        ("rebinding", {"Host": "evil.example:8888", "Origin": "http://evil.example:8888"}),
        ("rebinding", {"Host": "127.0.0.1.nip.io:8888"}),
        ("rebinding", {"Host": "0.0.0.0:8888"}),
        ("rebinding", {"Host": "2130706433:8888"}),
        # CSRF: a page of another site sends it.
        ("csrf", {"Origin": "https://evil.example"}),
        ("csrf", {"Origin": "http://localhost:3000"}),
        ("csrf", {"Origin": "https://localhost:8888"}),  # another scheme is another site
        ("csrf", {"Origin": "http://localhost:8888.evil.example"}),
        ("csrf", {"Origin": "http://localhost:8888", "Sec-Fetch-Site": "cross-site"}),
        # A sandboxed frame, a data: URL, a redirect from elsewhere.
        ("null", {"Origin": "null"}),
        ("null", {"Origin": "null", "Sec-Fetch-Site": "same-origin"}),
        ("null", {"Origin": ""}),
        # mode: no-cors, which needs no preflight.
        ("no-cors", {"Origin": "https://evil.example", "Sec-Fetch-Mode": "no-cors"}),
        ("no-cors", {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}),
        ("no-cors", {"Sec-Fetch-Site": "same-site"}),
        # Tunnels and proxies on this machine.
        ("tunnel", {"X-Forwarded-For": "203.0.113.9"}),
        ("tunnel", {"x-forwarded-host": "localhost"}),
        ("tunnel", {"Forwarded": "for=127.0.0.1"}),
        ("tunnel", {"X-Real-IP": "127.0.0.1"}),
        ("tunnel", {"Via": "1.1 localhost"}),
        ("tunnel", {"CF-Connecting-IP": "127.0.0.1"}),
        *(
            ("tunnel", {name: "1"})
            for name in (
                *("CF-Ray", "CDN-Loop", "X-Request-Id", "Traceparent", "Tailscale-User-Login"),
                *("Fastly-Client-IP", "X-Amzn-Trace-Id", "X-Envoy-Peer-Metadata", "X-Anything-New"),
            )
        ),
    )

    def test_refused(self) -> None:
        """Each is a 403 that no other origin may read, and nothing is loaded."""
        for kind, headers in self.REFUSED:
            for content_type in ("application/json", "text/plain"):
                with self.subTest(kind=kind, headers=headers):
                    answer = self.memory_site.post(
                        "/load-directory",
                        {"directory": self.frames},
                        headers={"Content-Type": content_type, **headers},
                    )
                    self.assertEqual(answer.status, 403)
                    self.assertNotIn("access-control-allow-origin", answer.headers)
        self.assertEqual(self.memory_site.manager.loaded_collections(), [])

    def test_with_the_token(self) -> None:
        """The same requests with the token are its bearer's, through any tunnel."""
        for kind, headers in self.REFUSED:
            with self.subTest(kind=kind, headers=headers):
                answer = self.memory_site.post("/timeout/5", headers={**headers, **BEARER})
                self.assertEqual(answer.status, 200)

    def test_simple_requests(self) -> None:
        """What a form can send without a preflight is no JSON, even from this machine."""
        for content_type in ("text/plain", "application/x-www-form-urlencoded",
                             "multipart/form-data; boundary=a", "text/json", ""):  # fmt: skip
            answer = self.memory_site.post(
                "/load-directory",
                {"directory": self.frames},
                headers={"Content-Type": content_type},
            )
            self.assertEqual(answer.status, 415)

    def test_two_types(self) -> None:
        """JSON has one Content-Type: of two, another program may have read the other."""
        head = b"POST /load-directory HTTP/1.1\r\nHost: localhost:8888\r\nContent-Length: 2\r\n"
        for one, two in ((b"application/json", b"text/plain"), (b"application/json",) * 2):
            transport = self.memory_site.connect()
            types = b"Content-Type: %b\r\ncontent-type: %b\r\n\r\n" % (one, two)
            transport.protocol.dataReceived(head + types + b"{}")
            self.assertEqual(parse_answer(transport.value()).status, 415)

    def test_old_version(self) -> None:
        """HTTP/1.0, which proxies speak by default, controls with the token alone."""
        for more, wanted in ((b"", 403), (b"Authorization: Bearer %b\r\n" % TOKEN.encode(), 200)):
            transport = self.memory_site.connect()
            head = b"POST /timeout/5 HTTP/1.0\r\nHost: localhost\r\n"
            transport.protocol.dataReceived(head + more + b"\r\n")
            self.assertEqual(parse_answer(transport.value()).status, wanted)

    def test_preflight(self) -> None:
        """A preflight lets no other origin send the token."""
        answer = self.memory_site.ask(
            "/load-directory", "OPTIONS", {"Origin": "https://evil.example"}
        )
        allowed = answer.headers.get("access-control-allow-headers", "")
        self.assertNotIn("authorization", allowed.lower())
        self.assertNotIn("access-control-allow-credentials", answer.headers)

    def test_websocket(self) -> None:
        """An upgrade to WebSocket, which no CORS guards, is never made."""
        handshake = {
            "Connection": "Upgrade",
            "Upgrade": "websocket",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
            "Origin": "https://evil.example",
        }
        for path, wanted in (("/", 200), ("/health", 200), ("/load-directory", 405)):
            answer = self.memory_site.ask(path, headers=handshake)
            self.assertEqual(answer.status, wanted)
            self.assertNotIn("upgrade", answer.headers)
        answer = self.memory_site.ask(
            "/health", headers={"Connection": "Upgrade", "Upgrade": "h2c"}
        )
        self.assertEqual(answer.status, 200)

    def test_method_override(self) -> None:
        """No header and no query makes a POST of a GET."""
        for headers in ({"X-HTTP-Method-Override": "POST"}, {"X-Method-Override": "POST"}):
            self.assertEqual(
                self.memory_site.ask("/unload?_method=POST", headers=headers).status, 405
            )

    def test_absolute(self) -> None:
        """The authority of an absolute URL counts, and not the Host beside it."""
        for target, wanted in (
            (b"http://localhost:8888/timeout/5", 200),
            (b"HTTP://LOCALHOST/timeout/5", 200),
            (b"http://evil.example/timeout/5", 403),
            (b"https://localhost:8888/timeout/5", 421),
        ):
            self.assertEqual(self.memory_site.ask(target, "POST").status, wanted, target)
        self.assertEqual(self.memory_site.ask(b"http://evil.example/health").status, 200)
        self.assertEqual(self.memory_site.ask(b"http://localhost?x").json["image_count"], 0)
        self.assertEqual(self.memory_site.ask(b"*", "OPTIONS").status, 204)


class BodyTests(HostileCase):
    """JSON that means harm."""

    def test_bodies(self) -> None:
        """Each is a 400 in one sentence, and nothing is loaded."""
        good = json.dumps({"directory": self.frames})
        for body in (
            b"",
            b"\xef\xbb\xbf" + good.encode(),
            *(good.encode(name) for name in ("utf-16", "utf-16-le", "utf-32", "utf-7")[:3]),
            good.encode() + b"\0",
            good.encode() + b"{}",
            good.replace('"', "'").encode(),
            good.encode()[:-1] + b"," + good.encode()[1:],  # a field twice
            good.encode()[:-1] + b',"x":{"y":1,"y":1}}',
            b'{"directory":"\xff"}',
            b'{"directory":"\\ud800"}',
            b'{"directory":"\\udc00\\ud800"}',
            b'{"directory":"a","x":"\xed\xa0\x80"}',
            b'{"directory":"\\u0000"}',
            b'{"directory":' + b"[" * 30_000 + b"]" * 30_000 + b"}",
            b'{"directory":"a","x":' + b'{"a":' * 9_000 + b"1" + b"}" * 9_000 + b"}",
            b"[" * 65_000,
            b'{"directory":"a","timeout_minutes":' + b"9" * 60_000 + b"}",
            b'{"directory":"a","timeout_minutes":1e999}',
            b'{"directory":"a","timeout_minutes":NaN}',
            b'{"directory":"a","x":Infinity}',
            b'{"directory":"a"}//',
            b"null",
            b"5",
        ):
            with self.subTest(body=body[:60]):
                answer = self.memory_site.ask(
                    "/load-directory", "POST", {"Content-Type": "application/json"}, body
                )
                self.assertEqual((answer.status, list(answer.json)), (400, ["detail"]))
                self.assertLess(len(answer.body), 300)
        self.assertEqual(self.memory_site.manager.loaded_collections(), [])

    def test_too_large(self) -> None:
        """Over 64 KiB is refused before it is read, whether its length is told or not."""
        for headers in ({"Content-Length": "65537"}, {"Content-Length": "9" * 18}):
            answer = self.memory_site.post("/load-directory", headers=headers)
            self.assertEqual((answer.status, answer.headers["connection"]), (413, "close"))
        chunk = b"10000\r\n" + b" " * 65_536 + b"\r\n1\r\n \r\n0\r\n\r\n"
        transport = self.memory_site.connect()
        transport.protocol.dataReceived(
            b"POST /unload HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n"
            b"Content-Type: application/json\r\n\r\n" + chunk
        )
        self.assertEqual(parse_answer(transport.value()).status, 413)

    @settings(deadline=None, database=None, max_examples=150)
    @given(st.one_of(st.binary(max_size=200), st.text(alphabet='{}[]":,\\u0deE+-1 ', max_size=80)))
    def test_anything(self, body: bytes | str) -> None:
        """Whatever the body, the answer is no worse than a 400 or a 404."""
        data = body if isinstance(body, bytes) else body.encode()
        for path in ("/load-directory", "/unload", "/links", "/public-url"):
            answer = self.memory_site.ask(path, "POST", {"Content-Type": "application/json"}, data)
            self.assertIn(answer.status, (200, 400, 404))
        self.assertEqual(self.flushLoggedErrors(), [])


class BytesTests(HostileCase):
    """Anything may come over a connection."""

    @settings(deadline=None, database=None, max_examples=300)
    @given(
        st.one_of(
            st.binary(max_size=300),
            st.lists(
                st.sampled_from(
                    (
                        *(b"GET ", b"POST ", b"/", b"/images/a.png", b"/unload", b" HTTP/1.1\r\n"),
                        *(b"Host: localhost\r\n", b"\r\n", b"\n", b"\0", b"{}", b"5\r\n", b"0\r\n"),
                        *(b"Content-Length: 2\r\n", b"Transfer-Encoding: chunked\r\n", b" ", b":"),
                        *(b"Range: bytes=0-1,3-\r\n", b"Connection: close\r\n", b"%2e%2e/", b"?"),
                    )
                ),
                max_size=25,
            ).map(b"".join),
        ),
        st.integers(1, 64),
    )
    def test_still_serves(self, data: bytes, size: int) -> None:
        """Arbitrary bytes, in pieces, raise nothing, log no error, and leave it serving."""
        transport = self.memory_site.connect(FAR)
        for start in range(0, len(data), size):
            if transport.disconnecting:
                break
            transport.protocol.dataReceived(data[start : start + size])
        self.assertEqual(self.flushLoggedErrors(), [])
        self.assertEqual(self.memory_site.ask("/health").status, 200)
