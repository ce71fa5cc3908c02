"""What a command works with: reactor, clock, environment, and where results and remarks go."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TextIO

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from imgd.client.api import REQUEST_SECONDS, Client, client_of
from imgd.client.discovery import Server
from imgd.client.retry import Retrier
from imgd.logs import escape


@dataclass(slots=True)
class CliContext:
    """``reactor`` is for sockets and processes; ``stopped`` is why the command was stopped."""

    reactor: Any
    environ: Mapping[str, str]
    out: TextIO
    err: TextIO
    clock: IReactorTime
    stopped: str | None = None

    def log(self, text: str) -> None:
        """Write a remark to the user, on a line of its own."""
        print(escape(text), file=self.err, flush=True)

    def print(self, text: str) -> None:
        """Write a result, on a line of its own."""
        self.print_raw(escape(text))

    def print_raw(self, text: str) -> None:
        """Write a result for programs as it is: a server's words in it must have been escaped."""
        print(text, file=self.out, flush=True)

    def client(
        self, server: Server, retrier: Retrier | None = None, deadline: float = REQUEST_SECONDS
    ) -> Client:
        return client_of(server, self.reactor, retrier or Retrier(self.clock), deadline)

    def stop(self, working: Deferred[int], reason: str) -> None:
        """Cancel a command, which may still put things in order before its Deferred fires."""
        if not working.called and self.stopped is None:
            self.stopped = reason
            working.cancel()
