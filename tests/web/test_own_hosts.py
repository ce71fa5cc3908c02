"""The names by which the daemon may be asked."""

from __future__ import annotations

import os
from typing import Any

from imgd.core.forwarded import TrustedProxies
from tests.fakes import TOKEN, MemorySite, parse_answer, write
from tests.web.test_control import SiteCase


class HostTests(SiteCase):
    """DNS rebinding: a page whose own name leads here is of one origin with what answers."""

    OURS = ("localhost:8888", "localhost", "127.0.0.1:1", "[::1]:8888", "viewer.localhost")
    OTHERS = (
        "evil.example:8888",
        "localhost.evil.example",
        "0.0.0.0:8888",
        "[::]:8888",
        "10.1.1.1",
    )

    def setUp(self) -> None:
        super().setUp()
        names = ("localhost", "*.localhost", "127.0.0.1", "::1")
        self.bound = MemorySite(os.path.join(self.folder, "bound"), hosts=names)
        write(os.path.join(self.bound.documents, "a.png"))

    def status(self, host: str, path: str = "/a.png", method: str = "GET") -> int:
        return self.bound.ask(path, method, {"Host": host}).status

    def test_reads(self) -> None:
        """A read under a name that is none of ours is a 421, whatever it asks for and how often."""
        for path in ("/a.png", "/", "/health", "/collections", "/missing", "/-/ca.pem"):
            for method in ("GET", "HEAD"):
                for host in self.OTHERS:
                    for _ in range(2):
                        self.assertEqual(self.status(host, path, method), 421, (host, path))
        for host in self.OURS:
            self.assertEqual(self.status(host), 200, host)
        answer = self.bound.ask("/a.png", headers={"Host": "evil.example"})
        self.assertIn("--allow-host", answer.json["detail"])
        self.assertNotIn("access-control-allow-origin", answer.headers)

    def test_absolute(self) -> None:
        """The authority of an absolute URL counts."""
        self.assertEqual(self.bound.ask(b"http://evil.example/a.png").status, 421)
        self.assertEqual(self.bound.ask(b"http://localhost/a.png").status, 200)

    def test_public_url(self) -> None:
        """The host of a public URL is ours from then on, as a tunnel hands it through."""
        self.assertEqual(self.status("demo.example"), 421)
        self.bound.post("/public-url", {"url": "https://demo.example:1/x"})
        self.assertEqual(self.status("demo.example"), 200)

    def test_control(self) -> None:
        """Control has a rule of its own: with the token it may come under any name."""
        bearer = {"Authorization": f"Bearer {TOKEN}", "Host": "evil.example"}
        self.assertEqual(self.bound.post("/timeout/5", headers=bearer).status, 200)
        answer = self.bound.post("/timeout/5", headers={"Host": "evil.example"})
        self.assertEqual(answer.status, 403)

    def test_old(self) -> None:
        """HTTP/1.0 without a Host is no browser's."""
        transport = self.bound.connect()
        transport.protocol.dataReceived(b"GET /a.png HTTP/1.0\r\n\r\n")
        self.assertEqual(parse_answer(transport.value()).status, 200)

    def test_bound_elsewhere(self) -> None:
        """Where everybody reaches the daemon, every name will do."""
        for host in self.OTHERS:
            self.assertNotEqual(self.memory_site.ask("/", headers={"Host": host}).status, 421)


class OriginTests(SiteCase):
    """What URLs begin with: what the request asked, if that is this daemon."""

    NAMES = ("localhost", "*.localhost", "Box.example", "192.0.2.7", "2001:db8::7")
    FALLBACK = "https://localhost:8888"

    def setUp(self) -> None:
        super().setUp()
        self.named = self.make()

    def make(self, **more: Any) -> MemorySite:
        memory_site = MemorySite(os.path.join(self.folder, "named"), own_names=self.NAMES, **more)
        memory_site.load(self.frames)
        return memory_site

    def base(self, host: str, peer: str = "127.0.0.1", **more: str) -> str:
        """What the URL of the current collection begins with."""
        answer = self.named.ask("/collections/current", headers={"Host": host, **more}, peer=peer)
        url: str = answer.json["url"]
        self.assertTrue(url.endswith("/collections/current/images"), url)
        return url.removesuffix("/collections/current/images")

    def test_own(self) -> None:
        """A name or an address of the daemon is used with the port that the client asked."""
        for host, base in (
            ("localhost:8888", "http://localhost:8888"),
            ("localhost", "http://localhost"),
            ("localhost:80", "http://localhost"),
            ("localhost:443", "http://localhost:443"),
            ("BOX.example.:9000", "http://box.example:9000"),
            ("viewer.localhost:1", "http://viewer.localhost:1"),
            ("192.0.2.7:8888", "http://192.0.2.7:8888"),
            ("[2001:DB8:0::7]:8888", "http://[2001:db8::7]:8888"),
            ("127.0.0.1:8888", "http://127.0.0.1:8888"),  # at which the request came
        ):
            self.assertEqual(self.base(host), base, host)

    def test_hostile(self) -> None:
        """No other host stands in any answer, however it is written."""
        for host in (
            *("evil.example", "evil.example:8888", "localhost.evil.example", "10.1.1.1", "0.0.0.0"),
            *("localhost:0", "localhost:", "*.localhost", "$.localhost", ".localhost"),
            *("a.b.localhost", "%6cocalhost", "[::1]", "[::ffff:127.0.0.1]"),
            *("x'y.localhost", "2130706433"),
        ):  # fmt: skip
            expected = "http://localhost" if host == "localhost:" else self.FALLBACK
            self.assertEqual(self.base(host), expected, host)
        for host in ("localhost:99999", "localhost\t:1", "a@localhost", "localhost/x", '"'):
            answer = self.named.ask("/collections/current", headers={"Host": host})
            self.assertEqual(answer.status, 400, host)

    def test_everywhere(self) -> None:
        """Every answer that has URLs follows: status, lists, streams, loads, links."""
        host, base = {"Host": "box.example:9000"}, "http://box.example:9000"
        bearer = {**host, "Authorization": f"Bearer {TOKEN}"}
        for path in ("/", "/collections", "/collections/current/images"):
            answer = self.named.ask(path, headers=host)
            self.assertIn(f'"url":"{base}/'.encode(), answer.body, path)
            self.assertNotIn(b"localhost", answer.body, path)
        lines = self.named.ask("/collections/current/images?format=ndjson", headers=host).body
        self.assertEqual(lines.count(f'"url":"{base}/images/'.encode()), 2)
        made = self.named.post("/load-directory", {"directory": self.frames}, headers=bearer)
        self.assertEqual(made.json["collection"]["url"], f"{base}/collections/current/images")
        link = self.named.post("/links", {"path": "/images/a.jpg"}, headers=bearer).json["url"]
        self.assertTrue(link.startswith(f"{base}/-/s/"), link)

    def test_public_url(self) -> None:
        """A public URL counts before what a request asks, until there is none."""
        bearer = {"Host": "box.example", "Authorization": f"Bearer {TOKEN}"}
        self.named.post("/public-url", {"url": "https://demo.example/x/"}, headers=bearer)
        self.assertEqual(self.base("box.example"), "https://demo.example/x")
        answer = self.named.post("/public-url", {"url": None}, headers=bearer)
        self.assertEqual(
            answer.json["message"], "URLs now begin with http://box.example, as you ask for it"
        )
        self.assertEqual(self.base("box.example"), "http://box.example")

    def test_old(self) -> None:
        """HTTP/1.0 without a Host gets the daemon's own URL, with one what it asks."""
        for host, base in (("", self.FALLBACK), ("Host: box.example\r\n", "http://box.example")):
            transport = self.named.connect()
            request = f"GET /collections/current HTTP/1.0\r\n{host}\r\n"
            transport.protocol.dataReceived(request.encode("ascii"))
            url = parse_answer(transport.value()).json["url"]
            self.assertEqual(url, f"{base}/collections/current/images")

    def test_absolute(self) -> None:
        """The authority of an absolute URL counts, and not the header."""
        for authority, base in (
            ("box.example:1", "http://box.example:1"),
            ("evil.example", self.FALLBACK),
        ):
            path = f"http://{authority}/collections/current"
            url = self.named.ask(path, headers={"Host": "localhost"}).json["url"]
            self.assertEqual(url, f"{base}/collections/current/images")

    def test_proxy(self) -> None:
        """A trusted proxy says what its client asked for, which must be the daemon's all the same;
        anybody else's word for it does not count.
        """
        said = {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "box.example"}
        self.named = self.make(more={"proxies": TrustedProxies(("192.0.2.1",))})
        for peer, host, more, base in (
            ("192.0.2.1", "localhost:8888", said, "https://box.example"),
            ("192.0.2.1", "box.example:8443", {"X-Forwarded-Proto": "https"},
             "https://box.example:8443"),
            ("192.0.2.1", "box.example", {}, "http://box.example"),
            ("192.0.2.1", "localhost", {**said, "X-Forwarded-Host": "evil.example"}, self.FALLBACK),
            ("192.0.2.1", "localhost", {**said, "X-Forwarded-Proto": "x"}, "http://box.example"),
            ("192.0.2.2", "localhost", said, "http://localhost"),
        ):  # fmt: skip
            found = self.base(host, peer, **{"X-Forwarded-For": "198.51.100.1", **more})
            self.assertEqual(found, base, (peer, host, more))
