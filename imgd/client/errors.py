"""What can go wrong between the client and a server, and when a request is tried again."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from twisted.internet.defer import CancelledError, Deferred, ensureDeferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

from imgd.errors import ImgdError

T = TypeVar("T")


class ClientError(ImgdError):
    """A request that did not succeed; ``detail`` is the sentence for the user."""

    retryable = False
    retry_after: float | None = None  # seconds that the server asked to wait


class Unreachable(ClientError):
    """No connection, or one that was lost before the answer was whole."""

    retryable = True


class ConnectionReset(Unreachable):
    """A kept-alive connection that was closed while it was idle (RFC 9112 section 9.5)."""


class Untrusted(ClientError):
    """The server's certificate cannot be verified, or it does not speak TLS at all."""


class TimedOut(ClientError):
    """No whole answer before the deadline."""


class InvalidResponse(ClientError):
    """An answer that is not accepted: malformed, endless, compressed, or of another origin."""


class ErrorResponse(ClientError):
    """The server answered with an error: ``status`` is its HTTP status, ``detail`` its sentence."""

    def __init__(self, status: int, detail: str, retry_after: float | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.retry_after = retry_after
        # May differ a moment later: RFC 9110 sections 15.6.3 to 15.6.5, RFC 6585 section 4.
        self.retryable = status in {429, 502, 503, 504}


@dataclass(frozen=True, slots=True)
class Retrier:
    """Tries again; times are in seconds. To be asked for more than ``longest_wait`` is a failure.
    ``chance`` gives the jitter, from 0 to 1: clients that failed together come back apart.
    """

    clock: IReactorTime
    on_retry: Callable[[ClientError, float], None] = lambda error, pause: None
    tries: int = 4
    first_pause: float = 0.25
    longest_pause: float = 8.0
    longest_wait: float = 60.0
    chance: Callable[[], float] = random.random

    def pause(self, failures: int, error: ClientError) -> float | None:
        """Seconds until the next try after this many failures, or None: give up."""
        wait = error.retry_after or 0.0
        if not error.retryable or failures >= self.tries or wait > self.longest_wait:
            return None
        pause = min(self.longest_pause, self.first_pause * 2.0 ** (failures - 1))
        return wait + pause * (0.5 + self.chance() / 2)

    async def call(self, attempt: Callable[[], Awaitable[T]]) -> T:
        failures = 0
        while True:
            try:
                return await attempt()
            except ClientError as error:
                failures += 1
                pause = self.pause(failures, error)
                if pause is None:
                    raise
                self.on_retry(error, pause)
                await deferLater(self.clock, pause)


class RequestTimeout(Generic[T]):
    """Makes what takes too long fail as TimedOut, and what is cancelled as CancelledError.
    HostnameEndpoint reports its cancellation as an unknown name, which would be tried again.
    """

    def __init__(self, seconds: float, clock: IReactorTime) -> None:
        self._seconds = seconds
        timed_out = TimedOut(f"No whole answer within {seconds:g} seconds.")
        self._timer = clock.callLater(seconds, self._cancel, timed_out)
        self._error: Exception | None = None

    def watch(self, watched: Deferred[T] | Coroutine[Deferred[Any], Any, T]) -> Deferred[T]:
        result: Deferred[T] = Deferred(lambda _: self._cancel(CancelledError()))
        self._watched = ensureDeferred(watched)
        self._watched.addBoth(self._finish, result)
        return result

    def reset(self) -> None:
        if self._timer.active():
            self._timer.reset(self._seconds)

    def _finish(self, outcome: T | Failure, result: Deferred[T]) -> None:
        if self._timer.active():
            self._timer.cancel()
        if not result.called:
            result.callback(outcome if self._error is None else Failure(self._error))

    def _cancel(self, error: Exception) -> None:
        self._error = error
        self._watched.cancel()
