"""``imgd`` as a process."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any, ClassVar

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase

from tests.daemons import environment


class CommandProcess(ProcessProtocol):
    """``imgd`` with these arguments; ``ended`` fires with its exit status."""

    prefix: ClassVar[tuple[str, ...]] = ()

    def __init__(
        self,
        case: TestCase,
        folder: Path,
        *words: str,
        prefix: tuple[str, ...] = (),
        **env: str,
    ) -> None:
        self.out = self.err = ""
        self.ended: Deferred[int | None] = Deferred()
        self._awaited: list[tuple[str, Deferred[None]]] = []
        command = [
            *(prefix or self.prefix),
            sys.executable,
            "-W",
            "error::DeprecationWarning",
            "-m",
            "imgd.client.cli",
        ]
        command += words
        self.handle = reactor.spawnProcess(
            self, command[0], command, environment(folder, env), str(folder)
        )
        case.addCleanup(self._end)

    def outReceived(self, data: bytes) -> None:
        self.out += data.decode()
        self._look()

    def errReceived(self, data: bytes) -> None:
        self.err += data.decode()
        self._look()

    def says(self, pattern: str) -> Deferred[None]:
        """Fires when its output or its remarks have this."""
        said: Deferred[None] = Deferred()
        self._awaited.append((pattern, said))
        self._look()
        return said

    def _look(self) -> None:
        for pattern, said in self._awaited:
            if not said.called and re.search(pattern, self.out + self.err):
                said.callback(None)

    def processEnded(self, reason: Failure) -> None:
        for _, said in self._awaited:
            if not said.called:
                said.errback(AssertionError(f"it ended first: {self.out}{self.err}"))
        ended: Any = reason.value
        self.ended.callback(ended.exitCode)

    def _end(self) -> Deferred[Any] | None:
        if self.ended.called:
            return None
        self.handle.signalProcess("KILL")
        return self.ended
