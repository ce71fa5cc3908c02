"""Pages of a collection to verified URLs, with so many requests in flight and little memory."""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass, field
from typing import Final

from twisted.internet.defer import Deferred, FirstError, gatherResults
from twisted.python.failure import Failure

from imgd.client.api import Client
from imgd.client.errors import ClientError, InvalidResponse, Unreachable
from imgd.client.image_checker import ImageChecker
from imgd.client.manifest import UrlTable
from imgd.client.progress import LoadProgress
from imgd.client.signed_urls import SignedUrls, redact
from imgd.core.messages import Image, ImagePage

PAGE: Final = 2_000  # images; some 500 kB of JSON, and one page is read ahead
SPARE_PAGES: Final = 1_000  # how many more than announced a growing directory may come in
# Failures to reach anything, one after the other, after which the server is taken to be gone: to
# try for each of a million images would take days.
LOST: Final = 50


@dataclass(slots=True)
class BatchQueue:
    """Hands out the images of a collection in batches to any number of workers.

    One page is read ahead. URLs are those that ``signed`` makes of them, if it is given.
    """

    client: Client
    name: str
    batch_size: int
    signed: SignedUrls | None = None
    _images: list[Image] = field(default_factory=list)
    _coming: Deferred[ImagePage] | None = None
    _arrived: ImagePage | Failure | None = None
    _waiting: list[Deferred[None]] = field(default_factory=list)
    _pages_left: int = 0

    async def begin(self) -> int:
        """Ask for the first page, and return how many images there are."""
        page = await self.client.images_page(self.name, limit=PAGE)
        self._pages_left = page.count // PAGE + SPARE_PAGES
        self._take(page)
        return page.count

    async def get(self) -> Sequence[Image]:
        """The next batch, none if there are no more images."""
        while not self._images:
            if self._arrived is not None:
                page, self._arrived = self._arrived, None
                self._take(page)
            elif self._coming is not None:
                page_came: Deferred[None] = Deferred()
                self._waiting.append(page_came)
                await page_came
            else:
                break
        batch = self._images[-self.batch_size :][::-1]
        del self._images[-self.batch_size :]
        return batch

    def close(self) -> None:
        if self._coming is not None:
            self._coming.cancel()

    def _take(self, page: ImagePage | Failure) -> None:
        if isinstance(page, Failure):
            page.raiseException()
        if self.signed is not None:
            for image in page.images:
                image.url = self.signed.url(image.url)
        self._images = page.images[::-1]  # taken from the end, which costs nothing
        self._pages_left -= 1
        if page.next is not None:
            if self._pages_left <= 0:
                raise InvalidResponse("The list of images does not end.")
            self._coming = self.client.next_page(page.next)
            self._coming.addBoth(self._on_page)

    def _on_page(self, page: ImagePage | Failure) -> None:
        self._coming, self._arrived = None, page
        workers, self._waiting = self._waiting, []
        for worker in workers:
            worker.callback(None)


@dataclass(slots=True)
class Verification:
    """Checks the images of a queue. ``done`` holds URLs that are known to be good.

    However it ends, ``urls`` are those that are good, and ``failed`` the others.
    """

    queue: BatchQueue
    progress: LoadProgress
    done: Container[str] = frozenset()
    urls: UrlTable = field(default_factory=UrlTable)
    failed: UrlTable = field(default_factory=UrlTable)
    _lost: int = 0

    def close(self) -> None:
        self.urls.close()
        self.failed.close()

    async def run(self, checkers: Sequence[ImageChecker]) -> None:
        """Each checker works through the images, one at a time, until there are no more.

        An image that fails is noted and passed over. A list that fails ends the run with its
        ClientError, and so does a server that is gone; cancelling does, with CancelledError.
        """
        self.progress.begin(await self.queue.begin())
        workers = [Deferred.fromCoroutine(self._work(checker)) for checker in checkers]
        try:
            await gatherResults(workers, consumeErrors=True)
        except FirstError as error:
            raise (error.subFailure.value or error) from None
        finally:
            for worker, checker in zip(workers, checkers, strict=True):
                worker.cancel()
                checker.session.close()
            self.queue.close()

    async def _work(self, checker: ImageChecker) -> None:
        while batch := await self.queue.get():
            await checker.check_all([one for one in batch if not self._is_done(one)], self._report)

    def _is_done(self, image: Image) -> bool:
        if image.url not in self.done:
            return False
        self._report(image, None)
        return True

    def _report(self, image: Image, problem: ClientError | None) -> None:
        if problem is None:
            self._lost = 0
            self.urls.add(image.url)
            self.progress.add_good(image.size)
            return
        self.failed.add(image.url, problem.detail)
        self.progress.add_bad(redact(image.url), problem.detail)
        self._lost = self._lost + 1 if isinstance(problem, Unreachable) else 0
        if self._lost >= LOST:
            raise problem
