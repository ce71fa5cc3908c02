"""``imgd tunnel``: asks ngrok's agent for the public URL of a tunnel, and sets it in the daemon."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import msgspec
from treq.client import HTTPClient
from twisted.internet.defer import CancelledError
from twisted.internet.task import deferLater

from imgd.client.api import Client
from imgd.client.commands import CliContext
from imgd.client.discovery import Server, base_of, origin_of
from imgd.client.errors import ClientError, Retrier, TimedOut, Unreachable
from imgd.client.options import CliOptions
from imgd.client.session import HttpSession
from imgd.client.transport import ApiTransport
from imgd.client.tunnel_agent import started_agent
from imgd.core.urls import DEFAULT_PORTS, Origin, parse_authority

ASK_SECONDS: Final = 5.0
POLL_SECONDS: Final = 1.0


class TunnelConfig(msgspec.Struct, kw_only=True):
    addr: str  # a port, host:port, or a URL: https://ngrok.com/docs/agent/api/


class Tunnel(msgspec.Struct, kw_only=True):
    public_url: str
    config: TunnelConfig


class Tunnels(msgspec.Struct, kw_only=True):
    tunnels: list[Tunnel]


async def tunnel(context: CliContext, server: Server, options: CliOptions) -> int:
    client = context.client(server)
    if options.clear:
        context.print((await client.set_public_url(None)).message)
        return 0
    if options.start:
        return await _start(context, client, server, options)
    url = await _find_tunnel(context, options.agent, origin_of(server.url), options.wait)
    await _announce(context, client, url, options.agent)
    return 0


async def _announce(context: CliContext, client: Client, url: str, agent: str) -> None:
    """Tell the daemon, and print what scripts read: lines that a shell can evaluate."""
    public = await client.set_public_url(url)
    context.log(public.message)
    context.print(f"NGROK_URL={shlex.quote(public.public_url or url)}")
    context.print(f"NGROK_WEB_INTERFACE={shlex.quote(base_of(agent))}")


async def _start(context: CliContext, client: Client, server: Server, options: CliOptions) -> int:
    """Run an agent, and hand out its tunnel's URL, until this is stopped or the agent ends."""
    origin = origin_of(server.url)
    if await _is_answering(context, options.agent):
        detail = f"an ngrok agent runs at {options.agent} already: run imgd tunnel without --start"
        raise ClientError(detail)
    with started_agent(context.environ, str(origin)) as agent:
        try:
            url = await _find_tunnel(context, options.agent, origin, options.wait, agent.check)
            await _announce(context, client, url, options.agent)
            context.log("Ctrl-C closes the tunnel.")
            try:
                while True:
                    await deferLater(context.clock, POLL_SECONDS)
                    agent.check()
            finally:
                context.log((await client.set_public_url(None)).message)
        except CancelledError:
            context.log("stopping")
            return 0


async def _is_answering(context: CliContext, agent: str) -> bool:
    with _agent_api(context, agent) as transport:
        try:
            await transport.request("GET", "/api/tunnels", Tunnels, None, ASK_SECONDS)
        except (Unreachable, TimedOut):
            return False
        except ClientError:  # something is there, and no other can be
            return True
        return True


@contextmanager
def _agent_api(context: CliContext, agent: str) -> Iterator[ApiTransport]:
    base = base_of(agent)
    session = HttpSession(context.reactor, Server(base))
    try:
        yield ApiTransport(HTTPClient(session), base, Retrier(context.clock, tries=1), None)
    finally:
        session.close()


async def _find_tunnel(
    context: CliContext,
    agent: str,
    server: Origin,
    patience: float,
    check: Callable[[], None] = lambda: None,
) -> str:
    """The public URL of the tunnel to ``server``. ``check`` raises if there is none to wait for."""
    deadline = context.clock.seconds() + patience
    logged = None
    with _agent_api(context, agent) as transport:
        while True:
            try:
                tunnels = await transport.request("GET", "/api/tunnels", Tunnels, None, ASK_SECONDS)
                missing = "ngrok has no tunnel to imgd"
                if chosen := tunnel_to(server, tunnels):
                    return chosen.public_url
            except (Unreachable, TimedOut):
                missing = "no ngrok agent answers"
            except ClientError as error:
                raise ClientError(
                    f"what answers at {agent} is no ngrok agent: {error.detail}"
                ) from None
            check()
            if context.clock.seconds() + POLL_SECONDS > deadline:
                raise ClientError(f"{missing}: run this and try again: ngrok http {server}")
            if missing != logged:
                context.log(f"{missing}; waiting. To open one: ngrok http {server}")
                logged = missing
            await deferLater(context.clock, POLL_SECONDS)


def tunnel_to(server: Origin, tunnels: Tunnels) -> Tunnel | None:
    """The tunnel that leads to this server's port on this machine, over https if one does."""
    leading = [tunnel for tunnel in tunnels.tunnels if _leads_to(server, tunnel.config.addr)]
    by_scheme = {tunnel.public_url.partition("://")[0]: tunnel for tunnel in reversed(leading)}
    return by_scheme.get("https") or by_scheme.get("http")


def _leads_to(server: Origin, addr: str) -> bool:
    scheme, _, rest = addr.rpartition("://")
    authority = parse_authority(f"localhost:{addr}" if addr.isdigit() else rest.partition("/")[0])
    if authority is None:
        return False
    is_near = authority.host == server.host or Origin("http", authority.host, 80).is_loopback
    return is_near and (authority.port or DEFAULT_PORTS.get(scheme)) == server.port
