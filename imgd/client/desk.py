"""Where a command works: what it may use, and how it talks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TextIO

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from imgd.client.api import REQUEST_SECONDS, Client
from imgd.client.connecting import client_of
from imgd.client.discovery import Server
from imgd.client.line import Line, endpoints
from imgd.client.loader import Check
from imgd.client.progress import Bar, Lines, Silent, View
from imgd.client.retry import Patience, Told, untold
from imgd.client.trust import policy
from imgd.client.verify import Checker, NoCheck
from imgd.logs import escape


@dataclass(slots=True)
class Desk:
    """A reactor for sockets, a clock, the environment, and where results and remarks go.

    ``stopped`` is why the work was called off, if it was.
    """

    reactor: Any
    environ: Mapping[str, str]
    out: TextIO
    err: TextIO
    clock: IReactorTime
    stopped: str | None = None

    def say(self, text: str) -> None:
        """A remark to the user, on a line of its own."""
        self.err.write(f"{escape(text)}\n")
        self.err.flush()

    def tell(self, text: str) -> None:
        """A result, on a line of its own."""
        self.out.write(f"{escape(text)}\n")
        self.out.flush()

    def give(self, text: str) -> None:
        """A result for programs, as it is: nothing of it may be a server's that is not escaped."""
        self.out.write(f"{text}\n")
        self.out.flush()

    def view(self, *, quiet: bool = False) -> View:
        """How progress is shown here."""
        if quiet:
            return Silent()
        return Bar(self.err) if self.err.isatty() else Lines(self.err.write)

    def client(
        self, server: Server, *, deadline: float = REQUEST_SECONDS, told: Told = untold
    ) -> Client:
        """The API of a server."""
        return client_of(server, self.reactor, self.clock, deadline=deadline, told=told)

    def checks(
        self, server: Server, how: str, workers: int, deadline: float, told: Told = untold
    ) -> list[Check]:
        """So many workers' ways of checking URLs that a server hands out: head, get or none.

        Nothing is asked but the server and its public URLs, and its token is shown to its own
        origins alone.
        """
        if how == "none":
            return [NoCheck()]
        endpoint_for = endpoints(self.reactor, policy(server.ca), policy(server.far_ca), server)
        tokens = dict.fromkeys(server.origins, server.token) if server.token else {}
        patience = Patience(self.clock, told=told)
        return [
            Checker(
                Line(endpoint_for, self.clock, deadline, tokens), patience, how.upper().encode()
            )
            for _ in range(workers)
        ]


class Work:
    """A command under way, which can be called off with a reason."""

    def __init__(self, desk: Desk, working: Deferred[int]) -> None:
        self._desk = desk
        self.working = working

    def stop(self, reason: str) -> None:
        """Call it off; it may still put things in order before ``working`` fires."""
        if not self.working.called and self._desk.stopped is None:
            self._desk.stopped = reason
            self.working.cancel()
