"""The order in which idle connections make room."""

from __future__ import annotations

from collections import Counter

from twisted.trial.unittest import SynchronousTestCase

from imgd.core.eviction import IdleQueue


class IdleQueueTests(SynchronousTestCase):
    def drained(self, queue: IdleQueue[str], held: Counter[str]) -> list[str]:
        order = []
        while (name := queue.pop()) is not None:
            order.append(name)
            held[name[0]] -= 1
        return order

    def test_order(self) -> None:
        """The oldest of the client that has most comes first, by the counts when it is popped."""
        held = Counter({"a": 1, "b": 3})
        queue: IdleQueue[str] = IdleQueue(held)
        for since, name in enumerate(("a1", "b1", "b2")):
            queue.add(name[0], name, since)
        held["a"] = 4
        for since, name in enumerate(("a2", "a3", "a1"), 10):
            queue.add(name[0], name, since)
        self.assertEqual(self.drained(queue, held), ["a2", "b1", "a3", "b2", "a1"])

    def test_nobody(self) -> None:
        """An empty queue pops None."""
        self.assertIsNone(IdleQueue(Counter()).pop())
