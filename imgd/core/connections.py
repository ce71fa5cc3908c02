"""What the site asks of a connection: its phase, its progress and how to end it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from math import inf
from typing import Protocol


class Phase(IntEnum):
    """What a connection is doing."""

    HANDSHAKE = 0
    HEAD = 1  # waiting for the first request, or for the rest of a head
    BODY = 2
    ANSWER = 3  # imgd's own turn: other deadlines apply
    STALLED = 4  # there is something to send, and the socket does not take it
    IDLE = 5
    CLOSING = 6
    SLOW = 7  # closed to make room: took too little. No progress has this phase


@dataclass(frozen=True, slots=True)
class Deadlines:
    """How long each phase may take, in seconds; ``stalled`` starts again with each byte taken."""

    handshake: float
    header: float
    body: float
    stalled: float
    idle: float
    closing: float = 5  # no setting

    def by_phase(self) -> tuple[float, ...]:
        """The limits, indexed by Phase."""
        before_answer = (self.handshake, self.header, self.body)
        return (*before_answer, inf, self.stalled, self.idle, self.closing)


# The phase, and numbers that change whenever there is progress.
ConnectionProgress = tuple[int, ...]


class Connection(Protocol):
    """A connection, as ``imgd.core.connection_table`` sees it."""

    def progress(self) -> ConnectionProgress:
        """The deadline of its phase runs while this stays the same."""

    def is_idle(self) -> bool:
        """Whether closing it loses nothing: every byte that came belongs to an answered request."""

    def bytes_taken(self) -> int:
        """How many bytes of answers the socket took since the connection was made."""

    def expire(self, phase: Phase) -> None:
        """End it, because this phase took too long."""

    def close_now(self) -> None:
        """Close it in good order, without waiting for the other end."""

    def close_when_idle(self) -> None:
        """Close it when its request is answered; now if it is idle."""

    def abort(self) -> None:
        """Close it and drop what is not sent."""
