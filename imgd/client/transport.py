"""A request of the control API, from path and message to message, over treq."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import msgspec
from treq import collect
from twisted.python.url import URL

from imgd.client.connection import HttpResponse
from imgd.client.discovery import split_url
from imgd.client.errors import ErrorResponse, InvalidResponse, RequestTimeout, Retrier
from imgd.core import messages
from imgd.core.conditional import parse_retry_after

MAX_BODY: Final = 32 << 20  # bytes; a page of 10,000 images with the longest names has some 15 MB
MAX_LINE: Final = 1 << 20  # bytes
T = TypeVar("T")
Reader = Callable[[bytes], None]


@dataclass(frozen=True, slots=True)
class ApiTransport:
    treq: Any  # with treq's ``request``
    base: str  # the URL of the only server that is asked, without a trailing slash
    retrier: Retrier
    token: str | None  # for every request

    async def request(
        self, method: str, path: str, kind: type[T], body: object, deadline: float
    ) -> T:
        async def attempt() -> bytearray:
            content = bytearray()
            timeout = RequestTimeout[None](deadline, self.retrier.clock)
            await timeout.watch(self._exchange(method, path, body, _limited(content)))
            return content

        return decode(await self.retrier.call(attempt), kind)

    async def stream(self, path: str, on_line: Reader, deadline: float) -> None:
        """The deadline counts from the last line. No second try, as lines would come twice."""
        rest = bytearray()
        timeout = RequestTimeout[None](deadline, self.retrier.clock)

        def split(data: bytes) -> None:
            rest.extend(data)
            *lines, last = rest.split(b"\n")
            rest[:] = last
            if len(rest) > MAX_LINE:
                raise InvalidResponse(f"The server sent a line of more than {MAX_LINE} bytes.")
            for line in lines:
                timeout.reset()
                if line:
                    on_line(bytes(line))

        await timeout.watch(self._exchange("GET", path, None, split))
        if rest:
            on_line(bytes(rest))

    async def _exchange(self, method: str, path: str, body: object, take: Reader) -> None:
        if not path.startswith("/") or path.startswith("//"):
            raise InvalidResponse("The server names a page that is not on it.")
        url = self.base + path
        split_url(url)
        headers = {"Accept": "application/json"}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        content = b""
        if body is not None:
            headers["Content-Type"] = "application/json"
            content = messages.encode(body)
        response = await self.treq.request(
            method,
            _for_treq(url),
            headers=headers,
            data=content,
            allow_redirects=False,
            unbuffered=True,
        )
        if response.code == 200:
            await read_body(response, take)
            return
        problem = bytearray()
        await read_body(response, _limited(problem))
        try:
            detail = decode(problem, messages.Problem).detail
        except InvalidResponse:
            detail = f"The server answers with status {response.code}."
        value = response.headers.getRawHeaders("Retry-After", [""])[0]
        wait = parse_retry_after(value, self.retrier.clock.seconds())
        raise ErrorResponse(response.code, detail, wait)


class _AddressUrl(URL):
    """A URL of an IPv6 address, which hyperlink 21.0 would encode as if it were a name."""

    def to_uri(self) -> _AddressUrl:
        return self


def _for_treq(url: str) -> str | URL:
    return _AddressUrl.from_text(url) if "://[" in url else url


async def read_body(response: Any, take: Reader) -> None:
    """Hand a body to ``take``; unless it is read to its end, the connection is closed."""
    try:
        await collect(response, take)
    finally:
        response = getattr(response, "original", response)  # treq wraps it
        if isinstance(response, HttpResponse):
            response.discard()


def _limited(content: bytearray) -> Reader:
    def take(data: bytes) -> None:
        if len(content) + len(data) > MAX_BODY:
            raise InvalidResponse(f"The server's answer is longer than {MAX_BODY} bytes.")
        content.extend(data)

    return take


def decode(body: bytes | bytearray, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        detail = f"The server's answer is not what an imgd would say ({error}): is it one?"
        raise InvalidResponse(detail) from None
