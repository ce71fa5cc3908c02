"""An ngrok agent that ``imgd tunnel --start`` started: it runs until the command ends."""

from __future__ import annotations

import shutil
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from subprocess import DEVNULL, STDOUT, Popen, TimeoutExpired
from tempfile import TemporaryFile
from typing import IO, Final

from imgd.client.errors import ClientError

STOP_SECONDS: Final = 5.0
_KEPT_LINES: Final = 5


@dataclass(slots=True)
class TunnelAgent:
    """``output`` holds what the agent says, which it says on a terminal as a screen of its own."""

    process: Popen[bytes]
    output: IO[bytes]

    def check(self) -> None:
        """ClientError with its last words if the agent has ended."""
        if self.process.poll() is not None:
            self.output.seek(0)
            last = b"".join(deque(self.output, _KEPT_LINES)).decode("utf-8", "replace")
            raise ClientError(f"ngrok ended, and said: {' '.join(last.split()) or 'nothing'}")

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(STOP_SECONDS)
        except TimeoutExpired:
            self.process.kill()


@contextmanager
def started_agent(environ: Mapping[str, str], url: str) -> Iterator[TunnelAgent]:
    """``ngrok http URL`` as found on the PATH, stopped at the end; ClientError if there is none."""
    program = shutil.which("ngrok", path=environ.get("PATH"))
    if program is None:
        raise ClientError("no ngrok is on the PATH: install it, or run an agent elsewhere")
    with TemporaryFile() as output:
        command = [program, "http", url]
        try:
            process = Popen(command, env=environ, stdin=DEVNULL, stdout=output, stderr=STDOUT)  # noqa: S603
        except OSError as error:
            raise ClientError(f"{program} cannot be started: {error.strerror}") from None
        with process:
            agent = TunnelAgent(process, output)
            try:
                yield agent
            finally:
                agent.stop()
