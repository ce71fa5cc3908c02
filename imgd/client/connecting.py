"""From a server to a :class:`~imgd.client.api.Client` of it: what a program starts with."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from twisted.internet.interfaces import IReactorTime

from imgd.client.agents import treq_client
from imgd.client.api import REQUEST_SECONDS, Client
from imgd.client.discovery import Server, find_server
from imgd.client.retry import Patience, Told, untold
from imgd.client.trust import policy


def connect(
    reactor: Any,
    url: str | None = None,
    *,
    token: str | None = None,
    ca_file: str | None = None,
    state_dir: str | None = None,
    environ: Mapping[str, str] = os.environ,
) -> Client:
    """A client of this server, or else of ``IMGD_SERVER``, or of the imgd that runs here.

    Token and CA are found as the command finds them. Nothing is asked yet. ``close`` it in the end.
    Raises an ImgdError where there is no server to ask.
    """
    server = find_server(environ, url=url, token=token, ca_file=ca_file, state_dir=state_dir)
    return client_of(server, reactor, reactor)


def client_of(
    server: Server,
    reactor: Any,
    clock: IReactorTime,
    *,
    deadline: float = REQUEST_SECONDS,
    told: Told = untold,
) -> Client:
    """A client of this server; ``told`` hears of what is tried again."""
    treq = treq_client(reactor, policy(server.ca))
    patience = Patience(clock, told=told)
    return Client(treq, server.url, patience, token=server.token, deadline=deadline)
