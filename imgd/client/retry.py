"""Patience: when to try again, and after how long."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from itertools import count
from typing import TypeVar

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

from imgd.client.errors import ClientError
from imgd.core.conditional import parse_date

T = TypeVar("T")
Told = Callable[[ClientError, float], None]


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often to try and how long to wait between; times in seconds.

    ``longest_wait`` bounds what a server may ask for in ``Retry-After``: longer is a failure,
    for to come back sooner is what the server asked us not to do.
    """

    tries: int = 4
    first_pause: float = 0.25
    longest_pause: float = 8.0
    longest_wait: float = 60.0

    def pause(self, failures: int, error: ClientError, chance: float) -> float | None:
        """Seconds until the next try after this many failures, or None: give up.

        ``chance`` from 0 to 1 is the jitter: clients that failed together come back apart.
        """
        if not error.fleeting or failures >= self.tries:
            return None
        pause = min(self.longest_pause, self.first_pause * 2.0 ** (failures - 1))
        jittered = pause * (0.5 + chance / 2)
        if error.wait is None:
            return jittered
        return error.wait + jittered if error.wait <= self.longest_wait else None


def retry_after(value: str | None, now: float) -> float | None:
    """``Retry-After`` in seconds from ``now`` (since the epoch), RFC 9110 section 10.2.3.

    Delay-seconds or a date; a date that has passed is 0, what cannot be read is None.
    """
    if not value:
        return None
    text = value.strip()
    if text.isascii() and text.isdigit():
        return float(text[:12])
    date = parse_date(text.encode("utf-8"))
    return None if date is None else max(0.0, date - now)


def untold(error: ClientError, pause: float) -> None:
    """Nobody is told."""


@dataclass(frozen=True, slots=True)
class Patience:
    """A policy at work, on this clock. ``told`` hears of every failure that is tried again."""

    clock: IReactorTime
    policy: RetryPolicy = RetryPolicy()
    chance: Callable[[], float] = random.random
    told: Told = untold

    async def insist(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """The attempt's result, from as many tries as the policy allows; else its last error."""
        for failures in count(1):
            try:
                return await attempt()
            except ClientError as error:
                pause = self.policy.pause(failures, error, self.chance())
                if pause is None:
                    raise
                self.told(error, pause)
                await deferLater(self.clock, pause)
        raise AssertionError("unreachable")  # pragma: no cover
