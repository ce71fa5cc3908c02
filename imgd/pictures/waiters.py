"""Who waits for a picture that the pool was asked for, and may meet on its way to another."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred

from imgd.pictures.waiting import Picture


class Waiters:
    """Who leafs through a volume asks for a slice while the pass for the one before goes on."""

    def __init__(self) -> None:
        self._waiting: dict[str, dict[Deferred[Picture], Deferred[Picture]]] = {}

    def wait(self, key: str, making: Deferred[Picture]) -> Deferred[Picture]:
        """What comes first: the result of ``making``, or a picture by ``answer``. Cancelling it
        cancels ``making``.
        """
        waiter: Deferred[Picture] = Deferred(lambda _: making.cancel())
        self._waiting.setdefault(key, {})[waiter] = making
        making.addBoth(self._end, key, waiter)
        return waiter

    def answer(self, key: str, picture: Picture) -> None:
        """A picture was made unasked: all who wait for it need no other."""
        for waiter, making in self._waiting.pop(key, {}).items():
            making.cancel()
            waiter.callback(picture)

    def _end(self, result: Any, key: str, waiter: Deferred[Picture]) -> None:
        waiters = self._waiting.get(key, {})
        if waiter not in waiters:  # it was answered
            return
        del waiters[waiter]
        if not waiters:
            del self._waiting[key]
        waiter.callback(result)  # a Failure becomes an errback
