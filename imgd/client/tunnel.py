"""``imgd tunnel``: the public URL of a tunnel, asked of ngrok's agent and told to the daemon.

The agent's local API is documented at https://ngrok.com/docs/agent/api/: ``GET /api/tunnels``
lists tunnels, each with a ``public_url`` and, in ``config.addr``, what it leads to.
"""

from __future__ import annotations

import shlex
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

from imgd.client.api import Client
from imgd.client.asking import Asking
from imgd.client.desk import Desk
from imgd.client.errors import ClientError, TimedOut, Unreachable
from imgd.client.retry import Patience, RetryPolicy
from imgd.client.urls import Origin, base_of, origin_of

AGENT: Final = "http://127.0.0.1:4040"
ASK_SECONDS: Final = 5.0
POLL_SECONDS: Final = 1.0
REMARK_POLLS: Final = 5  # a progress line with every so many questions


class Config(msgspec.Struct, kw_only=True):
    """Where a tunnel leads to, as its user wrote it: a port, host:port, or a URL."""

    addr: str


class Tunnel(msgspec.Struct, kw_only=True):
    """One of the agent's tunnels."""

    public_url: str
    config: Config
    name: str = ""
    proto: str = ""


class Tunnels(msgspec.Struct, kw_only=True):
    """``GET /api/tunnels``."""

    tunnels: list[Tunnel]


class Agent:
    """An ngrok agent's local API, through anything that has treq's ``request``."""

    def __init__(self, treq: Any, url: str, clock: IReactorTime) -> None:
        once = Patience(clock, RetryPolicy(tries=1))
        self._asking = Asking(treq, base_of(url), once, None)

    def tunnels(self) -> Deferred[Tunnels]:
        """What the agent has open; ``Unreachable`` where none runs."""
        return Deferred.fromCoroutine(
            self._asking.ask("GET", "/api/tunnels", Tunnels, None, ASK_SECONDS)
        )


def tunnel_to(server: Origin, tunnels: Tunnels) -> Tunnel | None:
    """The tunnel that leads to this server's port on this machine, over https where it can."""
    leading = [t for t in tunnels.tunnels if _leads_to(server, t.config.addr)]
    usable = [t for t in leading if t.public_url.startswith(("https://", "http://"))]
    return min(usable, key=lambda t: not t.public_url.startswith("https://"), default=None)


def _leads_to(server: Origin, addr: str) -> bool:
    if addr.isdigit():
        return int(addr) == server.port
    try:
        parts = urlsplit(addr if "://" in addr else f"//{addr}")
        port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    except ValueError:
        return False
    host = parts.hostname or ""
    near = host == server.host or Origin("http", host, 80).is_loopback
    return near and port == server.port


class Finding:
    """Waits for a tunnel to a server, saying so from time to time."""

    def __init__(self, agent: Agent, server_url: str, desk: Desk) -> None:
        self._agent = agent
        self._server_url = server_url
        self._desk = desk

    async def find(self, patience: float) -> Tunnel:
        """The tunnel, waited for so many seconds; ClientError says what to run."""
        deadline = self._desk.clock.seconds() + patience
        polls = 0
        while True:
            tunnel, missing = await self._look()
            if tunnel is not None:
                return tunnel
            if self._desk.clock.seconds() + POLL_SECONDS > deadline:
                raise ClientError(f"{missing}: run this and try again: {self._what_to_run()}")
            if polls % REMARK_POLLS == 0:
                self._desk.say(f"{missing}; waiting. To open one: {self._what_to_run()}")
            polls += 1
            await deferLater(self._desk.clock, POLL_SECONDS)

    async def _look(self) -> tuple[Tunnel | None, str]:
        try:
            tunnels = await self._agent.tunnels()
        except (Unreachable, TimedOut):
            return None, "no ngrok agent answers"
        return tunnel_to(origin_of(self._server_url), tunnels), "ngrok has no tunnel to imgd"

    def _what_to_run(self) -> str:
        server = origin_of(self._server_url)
        return f"ngrok http {server.scheme}://{server.authority}"


async def use_tunnel(agent: Agent, client: Client, desk: Desk, patience: float) -> None:
    """Find the tunnel, have the daemon hand out its URLs, and print ``NGROK_URL=…``."""
    tunnel = await Finding(agent, client.base_url, desk).find(patience)
    told = await client.set_public_url(tunnel.public_url)
    desk.say(told.message)
    desk.tell(f"NGROK_URL={shlex.quote(told.public_url or tunnel.public_url)}")
