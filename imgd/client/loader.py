"""Pages of a collection to verified URLs, with so many requests in flight and little memory."""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from twisted.internet.defer import Deferred, DeferredLock, FirstError, gatherResults

from imgd.client.api import Client
from imgd.client.errors import ClientError, Misbehaved, Unreachable
from imgd.client.manifest import failure
from imgd.client.signed import SignedUrls, shown
from imgd.client.verify import Outcome
from imgd.core.messages import Image, ImagePage
from imgd.host.manifest_file import SortedLines

PAGE: Final = 2_000  # images; some 500 kB of JSON, and one page is read ahead
SPARE_PAGES: Final = 1_000  # how many more than announced a growing directory may come in


# Failures to reach anything, one after the other, after which nothing is there any more: to try
# for each of a million images would take days.
LOST: Final = 50


class Meter(Protocol):
    """Whoever shows how far it is."""

    def begin(self, total: int) -> None:
        """So many images there are."""

    def good(self, size: int) -> None:
        """One more is as announced, with so many bytes."""

    def bad(self, url: str, reason: str) -> None:
        """One more is not."""


class Check(Protocol):
    """One worker's way of checking images."""

    async def check_all(self, images: Sequence[Image], outcome: Outcome) -> None:
        """Tell of each whether it is as announced, or why not."""

    def close(self) -> None:
        """No more are coming."""


@dataclass(slots=True)
class Found:
    """What a run has found so far: URLs that are good, and lines of ``manifest.failure``."""

    urls: SortedLines = field(default_factory=SortedLines)
    failed: SortedLines = field(default_factory=SortedLines)

    def close(self) -> None:
        """Forget it."""
        self.urls.close()
        self.failed.close()


class Source:
    """The images of a collection in batches, for several workers; one page is read ahead.

    Their URLs are those that ``signed`` makes of them, where it is given.
    """

    def __init__(
        self, client: Client, name: str, batch_size: int, signed: SignedUrls | None = None
    ) -> None:
        self._signed = signed
        self._client = client
        self._name = name
        self._batch_size = batch_size
        self._lock = DeferredLock()
        self._images: list[Image] = []
        self._coming: Deferred[ImagePage] | None = None
        self._pages_left = 0

    async def begin(self) -> int:
        """Ask for the first page, and return how many images there are."""
        page = await self._client.images_page(self._name, limit=PAGE)
        self._pages_left = page.count // PAGE + SPARE_PAGES
        self._take(page)
        return page.count

    async def batch(self) -> list[Image]:
        """Up to ``batch_size`` images, none when there are no more."""
        if not self._images:
            await self._lock.run(lambda: Deferred.fromCoroutine(self._turn()))
        batch = self._images[-self._batch_size :]
        del self._images[-self._batch_size :]
        batch.reverse()
        return batch

    def close(self) -> None:
        """Ask for no more."""
        if self._coming is not None:
            self._coming.addErrback(lambda _: None)
            self._coming.cancel()

    async def _turn(self) -> None:
        while not self._images and self._coming is not None:
            coming, self._coming = self._coming, None  # a list that fails ends for every worker
            self._take(await coming)

    def _take(self, page: ImagePage) -> None:
        if self._signed is not None:
            for image in page.images:
                image.url = self._signed.url(image.url)
        self._images = page.images[::-1]  # taken from the end, which costs nothing
        self._pages_left -= 1
        if page.next is not None and self._pages_left <= 0:
            raise Misbehaved("The list of images does not end.")
        self._coming = None if page.next is None else self._client.next_page(page.next)


class Verification:
    """Checks the images of a source; what it finds stands in ``found``, however it ends.

    ``done`` says which URLs are known to be good and need no check.
    """

    def __init__(
        self, source: Source, found: Found, meter: Meter, done: Container[str] = frozenset()
    ) -> None:
        self._source = source
        self._found = found
        self._meter = meter
        self._done = done
        self._lost = 0

    async def run(self, checks: Sequence[Check]) -> None:
        """Each check works through the images, one at a time, until there are no more.

        An image that fails is noted and passed over. A list that fails ends the run with its
        ClientError, and so does a server that is gone; cancelling does, with CancelledError.
        """
        self._meter.begin(await self._source.begin())
        workers = [Deferred.fromCoroutine(self._work(check)) for check in checks]
        try:
            await gatherResults(workers, consumeErrors=True)
        except FirstError as error:
            raise _cause(error) from None
        finally:
            self._source.close()
            for worker, check in zip(workers, checks, strict=True):
                worker.cancel()
                check.close()

    async def _work(self, check: Check) -> None:
        while batch := await self._source.batch():
            await check.check_all([one for one in batch if not self._is_done(one)], self._tell)

    def _is_done(self, image: Image) -> bool:
        if image.url not in self._done:
            return False
        self._tell(image, None)
        return True

    def _tell(self, image: Image, problem: ClientError | None) -> None:
        if problem is None:
            self._lost = 0
            self._found.urls.add(image.url)
            self._meter.good(image.size)
            return
        self._found.failed.add(failure(image.url, problem.detail))
        self._meter.bad(shown(image.url), problem.detail)
        self._lost = self._lost + 1 if isinstance(problem, Unreachable) else 0
        if self._lost >= LOST:
            raise problem


def _cause(error: FirstError) -> BaseException:
    return error.subFailure.value or error
