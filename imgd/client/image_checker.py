"""Whether what stands behind a URL is what was announced."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from twisted.internet.defer import Deferred
from twisted.web.iweb import UNKNOWN_LENGTH

from imgd.client.connection import HttpResponse
from imgd.client.errors import ClientError, ErrorResponse, InvalidResponse, Unreachable
from imgd.client.retry import RequestTimeout, Retrier, parse_retry_after
from imgd.client.session import HttpSession
from imgd.client.transport import read_body
from imgd.client.urls import split_url
from imgd.core.messages import Image

SLOWEST: Final = 1_000_000  # bytes a second, at which a body that is asked for may come
Report = Callable[[Image, ClientError | None], None]


@dataclass(frozen=True, slots=True)
class ImageChecker:
    """Asks for images one at a time. ``method`` is HEAD, or GET to count the bytes as well.

    Without a method every image is good whose URL is one. Each request gets ``deadline`` seconds,
    connecting and redirects included, and a body its time.
    """

    session: HttpSession
    retrier: Retrier
    method: bytes = b""
    deadline: float = 30.0

    async def check_all(self, images: Sequence[Image], report: Report) -> None:
        """Report of each, in order, None if it can be had as announced, else why not."""
        done = 0

        def on_good() -> None:
            nonlocal done
            report(images[done], None)
            done += 1

        while done < len(images):
            response: HttpResponse | None = None
            problem: ClientError | None = None
            try:
                if self.method == b"HEAD":
                    with suppress(Unreachable):  # which deserves another try
                        response = await self._check_sizes(images[done:], on_good)
                if done < len(images):
                    await self.check(images[done], response)
            except ClientError as error:
                problem = error
            if done < len(images):
                report(images[done], problem)
                done += 1

    async def check(self, image: Image, response: HttpResponse | None = None) -> None:
        """Return if the image can be had as announced; raise a ClientError if it cannot.

        ``response`` is the answer to a first try that has been made.
        """
        if not self.method:
            split_url(image.url)
            return
        responses = [response]
        seconds = self.deadline + (image.size / SLOWEST if self.method == b"GET" else 0.0)

        async def attempt() -> None:
            first = responses.pop() if responses else None
            fetching = Deferred.fromCoroutine(self._fetch(image, first))
            await RequestTimeout[None](seconds, self.retrier.clock).watch(fetching)

        await self.retrier.call(attempt)

    async def _check_sizes(
        self, images: Sequence[Image], on_good: Callable[[], None]
    ) -> HttpResponse | None:
        timeout = RequestTimeout[HttpResponse | None](self.deadline, self.retrier.clock)

        def on_good_in_time() -> None:
            timeout.reset()
            on_good()

        checking = self.session.check_sizes(images, on_good_in_time)
        return await timeout.watch(Deferred.fromCoroutine(checking))

    async def _fetch(self, image: Image, response: HttpResponse | None) -> None:
        response = await self.session.send(self.method, image.url, response=response)
        try:
            await self._judge(response, image.size)
        finally:
            response.discard()

    async def _judge(self, response: HttpResponse, size: int) -> None:
        """Raise a ClientError unless this is a whole file of ``size`` bytes, sent as it is."""
        if response.code != 200:
            detail = f"The server answers with status {response.code}."
            if response.code == 401:
                detail += " Reading is private there: --signed makes URLs that need no token."
            retry_after = response.header(b"retry-after")
            wait = parse_retry_after(retry_after, self.retrier.clock.seconds())
            raise ErrorResponse(response.code, detail, wait)
        response.refuse_compression()
        if response.length not in (size, UNKNOWN_LENGTH):
            raise InvalidResponse(
                f"Content-Length is {response.length}, but {size} bytes were announced."
            )
        if self.method == b"GET":
            await _count_body(response, size)
        elif response.length == UNKNOWN_LENGTH:
            raise InvalidResponse("The answer has no Content-Length.")


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
