"""Memory that idle TLS connections give back."""

from __future__ import annotations

from typing import Final, Protocol

from twisted.internet.interfaces import IDelayedCall, IReactorTime

CHECK_EVERY: Final = 0.5  # seconds


class HasBuffers(Protocol):
    """A TLS connection whose buffers stay as large as its largest write."""

    def reset_bios(self) -> None:
        """Replace empty buffers by new ones."""


class IdleBufferReclaimer:
    """Resets the buffers of connections that were not marked active for a whole ``CHECK_EVERY``.

    The timer runs only while there are such connections. The first large write after a rest resets
    its buffers at once: thousands of connections with one request each never have thousands of
    large buffers.
    """

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._active: set[HasBuffers] = set()  # since the last check
        self._active_before: set[HasBuffers] = set()  # between the last check and the one before
        self._timer: IDelayedCall | None = None

    def mark_active(self, connection: HasBuffers) -> bool:
        """The connection wrote something large: whether for the first time after a rest."""
        if connection in self._active:
            return False
        self._active.add(connection)
        if self._timer is None:
            self._timer = self._clock.callLater(CHECK_EVERY, self._check)
        return connection not in self._active_before

    def remove(self, connection: HasBuffers) -> None:
        """The connection is closed."""
        self._active.discard(connection)
        self._active_before.discard(connection)
        if self._timer is not None and not (self._active or self._active_before):
            self._timer.cancel()
            self._timer = None

    def _check(self) -> None:
        self._timer = None
        for connection in self._active_before - self._active:
            connection.reset_bios()
        self._active_before, self._active = self._active, set()
        if self._active_before:
            self._timer = self._clock.callLater(CHECK_EVERY, self._check)
