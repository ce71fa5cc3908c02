"""Work is handed out to any number of workers, and every image is checked once."""

from __future__ import annotations

from collections import Counter
from typing import Any

from imgd.client.options import CliOptions
from tests.client.faulty import FaultyServer, answer
from tests.client.load_case import LoadCase

IMAGES = 7000


class ManyWorkers(LoadCase):
    def setUp(self) -> None:
        super().setUp()
        self.images = FaultyServer(answer(length=10))
        self.addCleanup(self.images.stop)
        self.imgd.images("/data/frames", IMAGES)
        self.server = self.server.with_public(self.images.url)
        page = self.imgd._page

        def elsewhere(name: str, query: dict[str, str]) -> Any:
            made = page(name, query)
            for image in made["images"]:
                image["url"] = image["url"].replace(self.imgd.url, self.images.url)
            return made

        self.imgd._page = elsewhere  # type: ignore[method-assign]

    async def test_many(self) -> None:
        """However many workers there are, a load ends, and each image is checked once."""
        for workers in (250, 10_000):
            self.images.requests.clear()
            self.options = CliOptions(workers=workers)
            manifest = await self.loaded("/data/frames")
            self.assertEqual((manifest["count"], manifest["failed"]), (IMAGES, []))
            asked = Counter(self.images.requests)
            self.assertEqual((len(asked), set(asked.values())), (IMAGES, {1}))
