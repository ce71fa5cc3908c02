"""The cache's limit, and who goes first."""

from __future__ import annotations

from dataclasses import dataclass

from twisted.trial.unittest import SynchronousTestCase

from imgd.web.lru_cache import OVERHEAD, LruCache


@dataclass(frozen=True)
class Thing:
    size: int


class CacheTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.cache: LruCache[Thing] = LruCache(3 * (1000 + OVERHEAD))

    def keys(self) -> list[bytes]:
        return list(self.cache.entries)

    def test_limit(self) -> None:
        """The entry that was not used for longest goes where there is no room."""
        for key in (b"a", b"b"):
            self.cache.put(key, Thing(999))
        self.cache.touch(b"a")
        self.cache.put(b"c", Thing(999))
        self.assertEqual(self.keys(), [b"b", b"a", b"c"])
        self.cache.put(b"d", Thing(999))
        self.assertEqual(self.keys(), [b"a", b"c", b"d"])

    def test_size(self) -> None:
        """What is kept never exceeds the limit, and nothing of what has gone is counted."""
        for i in range(100):
            self.cache.put(b"%d" % (i % 7), Thing(i * 50))
            self.assertLessEqual(self.cache.size, 3 * (1000 + OVERHEAD))
        for key in self.keys():
            self.cache.drop(key)
        self.cache.drop(b"never there")
        self.assertEqual(self.cache.size, 0)

    def test_too_large(self) -> None:
        """What is larger than the limit is not kept, and throws nothing out but its older self."""
        self.cache.put(b"a", Thing(1))
        self.cache.put(b"b", Thing(1))
        self.cache.put(b"a", Thing(1_000_000))
        self.assertEqual(self.keys(), [b"b"])
