"""The names by which the daemon may be asked."""

from __future__ import annotations

import os

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
