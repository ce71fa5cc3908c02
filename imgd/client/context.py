"""What a command works with: reactor, clock, environment, and where results and remarks go."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TextIO

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from imgd.client.api import REQUEST_SECONDS, Client, client_of
from imgd.client.discovery import Server
from imgd.client.errors import Retrier
from imgd.logs import escape


@dataclass(slots=True)
class CliContext:
    """A reactor for sockets, a clock, the environment and the output streams.

    ``stopped`` is why the command was stopped, if it was.
    """

    reactor: Any
    environ: Mapping[str, str]
    out: TextIO
    err: TextIO
    clock: IReactorTime
    stopped: str | None = None

    def log(self, text: str) -> None:
        """A remark to the user, on a line of its own."""
        self.err.write(f"{escape(text)}\n")
        self.err.flush()

    def print(self, text: str) -> None:
        """A result, on a line of its own."""
        self.print_raw(escape(text))

    def print_raw(self, text: str) -> None:
        """A result for programs, as it is: a server's words in it must have been escaped."""
        self.out.write(f"{text}\n")
        self.out.flush()

    def client(
        self, server: Server, retrier: Retrier | None = None, deadline: float = REQUEST_SECONDS
    ) -> Client:
        return client_of(server, self.reactor, retrier or Retrier(self.clock), deadline)

    def stop(self, working: Deferred[int], reason: str) -> None:
        """Cancel a command, which may still put things in order before its Deferred fires."""
        if not working.called and self.stopped is None:
            self.stopped = reason
            working.cancel()
