"""``imgd tunnel`` against a small server that speaks the ngrok agent's JSON."""

from __future__ import annotations

import json
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase, TestCase

from imgd.client.discovery import Server
from imgd.client.errors import ClientError
from imgd.client.options import CliOptions
from imgd.client.tunnel import Tunnel, TunnelConfig, Tunnels, tunnel, tunnel_to
from imgd.core.urls import Origin
from tests.client.fake_imgd import FakeImgd, TestContext, turn
from tests.client.faulty import FaultyServer, answer

HERE = Origin("https", "localhost", 8888)


def tunnels(*pairs: tuple[str, str]) -> Tunnels:
    return Tunnels(
        tunnels=[Tunnel(public_url=url, config=TunnelConfig(addr=addr)) for url, addr in pairs]
    )


def documented(public_url: str, addr: str) -> bytes:
    """``GET /api/tunnels`` as ngrok documents it."""
    tunnel = {
        "ID": "5a7d5c0c",
        "name": "command_line",
        "uri": "/api/tunnels/command_line",
        "public_url": public_url,
        "proto": "https",
        "config": {"addr": addr, "inspect": True},
        "metrics": {"conns": {"count": 0, "gauge": 0}, "http": {"count": 0}},
    }
    return json.dumps({"tunnels": [tunnel], "uri": "/api/tunnels"}).encode()


class Choosing(SynchronousTestCase):
    def test_ports(self) -> None:
        """The tunnel is the one that leads to imgd's port here, however that is written."""
        for addr in ("8888", "localhost:8888", "https://localhost:8888", "http://127.0.0.1:8888"):
            self.assertIsNotNone(tunnel_to(HERE, tunnels(("https://x", addr))), addr)
        for addr in (
            "999999",
            "a",
            "80",
            "18888",
            "localhost",
            "https://other:8888",
            "file:///a",
            "a:b:c",
            "[1",
        ):
            self.assertIsNone(tunnel_to(HERE, tunnels(("https://x", addr))), addr)

    def test_default_ports(self) -> None:
        """A URL without a port has its scheme's; a host without a port has none."""
        server = Origin("https", "a.example", 443)
        self.assertIsNotNone(tunnel_to(server, tunnels(("https://x", "https://a.example/b"))))
        for addr in ("a.example", "http://a.example", "https://b.example"):
            self.assertIsNone(tunnel_to(server, tunnels(("https://x", addr))), addr)

    def test_preference(self) -> None:
        """Of two, the one over https; one over TCP is none."""
        found = tunnels(("tcp://x:1", "8888"), ("http://x", "8888"), ("https://x", "8888"))
        chosen = tunnel_to(HERE, found)
        assert chosen is not None
        self.assertEqual(chosen.public_url, "https://x")


class Using(TestCase):
    timeout = 60

    def setUp(self) -> None:
        self.clock = Clock()
        self.imgd = FakeImgd(self)
        self.port = int(self.imgd.url.rpartition(":")[2])
        self.context = TestContext(self, self.clock)

    def use(self, url: str, wait: float = 60.0) -> Deferred[int]:
        options = CliOptions(agent=url, wait=wait, clear=False)
        return Deferred.fromCoroutine(tunnel(self.context, Server(self.imgd.url), options))

    def serve(self, *bodies: bytes) -> FaultyServer:
        server = FaultyServer(*(answer(body) for body in bodies))
        self.addCleanup(server.stop)
        return server

    async def test_told(self) -> None:
        """The daemon is told the tunnel's URL, which is printed as B's scripts print it."""
        agent = self.serve(documented("https://abc.ngrok.app", f"https://localhost:{self.port}"))
        await self.use(agent.url)
        self.assertEqual(agent.requests, ["GET /api/tunnels"])
        self.assertEqual(self.imgd.posts, [("/public-url", {"url": "https://abc.ngrok.app"})])
        self.assertEqual(
            self.context.printed,
            f"NGROK_URL=https://abc.ngrok.app\nNGROK_WEB_INTERFACE={agent.url}\n",
        )

    async def test_waiting(self) -> None:
        """It waits for the tunnel, saying what to run."""
        agent = self.serve(
            documented("https://other", "80"), documented("https://abc", str(self.port))
        )
        using = self.use(agent.url)
        while not self.context.remarked:
            await turn()
        self.assertIn("no tunnel to imgd; waiting", self.context.remarked)
        self.assertIn(f"ngrok http {self.imgd.url}", self.context.remarked)
        self.clock.advance(1)
        await using
        self.assertEqual(len(agent.requests), 2)

    async def test_no_ngrok(self) -> None:
        """What answers there and is no agent of ngrok's is named, and not taken for an imgd."""
        other = self.serve(b"<h1>Hello</h1>")
        try:
            await self.use(other.url)
        except ClientError as error:
            self.assertIn(f"what answers at {other.url} is no ngrok agent: ", error.detail)
        else:
            self.fail("it found one")

    async def test_no_agent(self) -> None:
        """Where no agent runs, it gives up after its time and says what to run."""
        agent = self.serve(b"")
        await agent.stop()
        using: Deferred[Any] = self.use(agent.url, wait=2.5)
        while not using.called:
            await turn()
            self.clock.advance(1)
        try:
            await using
        except ClientError as error:
            self.assertIn("no ngrok agent answers", error.detail)
            self.assertIn(f"ngrok http {self.imgd.url}", error.detail)
        else:
            self.fail("it found one")
        self.assertEqual((self.imgd.posts, self.context.printed), ([], ""))
