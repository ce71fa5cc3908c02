"""Whether each image of a collection can be had as announced: by many workers, in little memory."""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

from twisted.internet.defer import Deferred, FirstError, gatherResults
from twisted.python.failure import Failure
from twisted.web.iweb import UNKNOWN_LENGTH

from imgd.client import errors
from imgd.client.api import Client
from imgd.client.base_urls import BaseUrls
from imgd.client.connection import HttpResponse
from imgd.client.discovery import split_url
from imgd.client.errors import ClientError, InvalidResponse, RequestTimeout, Unreachable
from imgd.client.manifest import UrlTable
from imgd.client.progress import LoadProgress
from imgd.client.session import HttpSession
from imgd.client.signed_urls import SignedUrls
from imgd.client.transport import read_body
from imgd.core.conditional import parse_retry_after
from imgd.core.messages import Image, ImagePage
from imgd.core.routes import redact_text

PAGE: Final = 2_000  # images; some 500 kB of JSON, and one page is read ahead
SPARE_PAGES: Final = 1_000  # how many more than announced a growing directory may come in
# Failures to connect in a row that end a run: to try for each of a million images takes days.
LOST: Final = 50
SLOWEST: Final = 1_000_000  # bytes a second, at which a body that is asked for may come
Report = Callable[[Image, ClientError | None], None]


@dataclass(slots=True)
class BatchQueue:
    """Hands out a collection's images in batches, the last empty, and reads one page ahead."""

    client: Client
    name: str
    batch_size: int
    signed: SignedUrls | None = None
    bases: BaseUrls | None = None
    _images: list[Image] = field(default_factory=list)
    _coming: Deferred[Any] | None = None  # fires with None, for any number of workers
    _arrived: ImagePage | Failure | None = None
    _pages_left: int = 0

    async def begin(self) -> int:
        page = await self.client.images_page(self.name, limit=PAGE)
        self._pages_left = page.count // PAGE + SPARE_PAGES
        self._take(page)
        return page.count

    async def get(self) -> Sequence[Image]:
        while not self._images:
            if self._arrived is not None:
                page, self._arrived = self._arrived, None
                self._take(page)
            elif self._coming is not None:
                await self._coming
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
        for image in page.images if self.signed or self.bases else ():
            if self.signed is not None:
                image.url = self.signed.url(image.url)
            if self.bases is not None:
                image.url = self.bases.to_check(image.url)
        self._images = page.images[::-1]  # taken from the end, which costs nothing
        self._pages_left -= 1
        if page.next is not None:
            if self._pages_left <= 0:
                raise InvalidResponse("The list of images does not end.")
            self._coming = self.client.next_page(page.next)
            self._coming.addBoth(self._on_page)  # at once, if it has failed already

    def _on_page(self, page: ImagePage | Failure) -> None:
        self._coming, self._arrived = None, page


@dataclass(frozen=True, slots=True)
class ImageChecker:
    """``method`` is HEAD, GET to count the bytes as well, or empty: a well-formed URL is enough."""

    session: HttpSession
    retrier: errors.Retrier
    method: bytes = b""
    deadline: float = 30.0  # seconds for each request; a body gets its time besides

    async def check_all(self, images: Sequence[Image], report: Report) -> None:
        """Report each in order, with None if it can be had as announced, else why not."""
        done = 0

        def on_good() -> None:
            nonlocal done
            timeout.reset()
            report(images[done], None)
            done += 1

        while done < len(images):
            response, problem = None, None
            try:
                if self.method == b"HEAD":
                    timeout = RequestTimeout[HttpResponse | None](self.deadline, self.retrier.clock)
                    checking = self.session.check_sizes(images[done:], on_good)
                    with suppress(Unreachable):  # which deserves another try
                        response = await timeout.watch(checking)
                if not self.method:
                    split_url(images[done].url)
                elif done < len(images):
                    await self.check(images[done], response)
            except ClientError as error:
                problem = error
            if done < len(images):
                report(images[done], problem)
                done += 1

    async def check(self, image: Image, response: HttpResponse | None = None) -> None:
        seconds = self.deadline + (image.size / SLOWEST if self.method == b"GET" else 0.0)

        def attempt() -> Deferred[None]:
            nonlocal response
            fetching = self._fetch(image, response)
            response = None
            return RequestTimeout[None](seconds, self.retrier.clock).watch(fetching)

        await self.retrier.call(attempt)

    async def _fetch(self, image: Image, response: HttpResponse | None) -> None:
        response = await self.session.send(self.method, image.url, response=response)
        try:
            if response.code != 200:
                detail = f"The server answers with status {response.code}."
                if response.code == 401:
                    detail += " Reading is private there: --signed makes URLs that need no token."
                now = self.retrier.clock.seconds()
                wait = parse_retry_after(response.header(b"retry-after"), now)
                raise errors.ErrorResponse(response.code, detail, wait)
            response.refuse_compression()
            if response.length not in (image.size, UNKNOWN_LENGTH):
                detail = f"is {response.length}, but {image.size} bytes were announced."
                raise InvalidResponse(f"Content-Length {detail}")
            if self.method == b"GET":
                await _count_body(response, image.size)
            elif response.length == UNKNOWN_LENGTH:
                raise InvalidResponse("The answer has no Content-Length.")
        finally:
            response.discard()


async def _count_body(response: HttpResponse, size: int) -> None:
    received = 0

    def take(data: bytes) -> None:
        nonlocal received
        received += len(data)
        if received > size:
            raise InvalidResponse(f"The body goes on after the {size} bytes that were announced.")

    await read_body(response, take)
    if received != size:
        raise InvalidResponse(f"The body has {received} bytes, but {size} were announced.")


@dataclass(slots=True)
class Verification:
    """``done`` holds URLs known to be good, ``urls`` those found good, ``failed`` the others, all
    of them as they are written.
    """

    queue: BatchQueue
    progress: LoadProgress
    done: Container[str] = frozenset()
    urls: UrlTable = field(default_factory=UrlTable)
    failed: UrlTable = field(default_factory=UrlTable)
    _lost: int = 0

    async def run(self, checkers: Sequence[ImageChecker]) -> None:
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
            images = []
            for image in batch:
                if self._written(image) in self.done:
                    self._report(image, None)
                else:
                    images.append(image)
            await checker.check_all(images, self._report)

    def _written(self, image: Image) -> str:
        bases = self.queue.bases
        return image.url if bases is None else bases.to_write(image.url)

    def _report(self, image: Image, problem: ClientError | None) -> None:
        url = self._written(image)
        if problem is None:
            self._lost = 0
            self.urls.add(url)
            self.progress.add_good(image.size)
            return
        self.failed.add(*(" ".join(text.split()) for text in (url, problem.detail)))
        self.progress.add_bad(redact_text(url), problem.detail)
        self._lost = self._lost + 1 if isinstance(problem, Unreachable) else 0
        if self._lost >= LOST:
            raise problem
