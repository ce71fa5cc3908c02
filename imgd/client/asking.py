"""One request of the control API, from path and message to message: what ``Client`` is made of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import msgspec
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from twisted.web.iweb import IResponse

from imgd import __version__
from imgd.client import bodies
from imgd.client.deadline import Watch, within
from imgd.client.errors import Misbehaved, Refused
from imgd.client.retry import Patience, retry_after
from imgd.client.trust import explain
from imgd.core import messages
from imgd.core.messages import Problem

T = TypeVar("T")
_HEADERS: Final = {"Accept": "application/json", "User-Agent": f"imgd/{__version__}"}


@dataclass(frozen=True, slots=True)
class Asking:
    """Asks a server through anything that has treq's ``request``.

    ``base`` is its URL without a trailing slash; ``token`` goes along with every request, and these
    go nowhere else. What may pass is tried again. Errors are ClientErrors.
    """

    treq: Any
    base: str
    patience: Patience
    token: str | None

    async def ask(self, method: str, path: str, kind: type[T], body: object, deadline: float) -> T:
        """The answer to a request as a message of this kind; each try has so many seconds."""

        async def attempt() -> bytes:
            whole = Deferred.fromCoroutine(self._whole(method, path, body))
            try:
                return await within(deadline, whole, self.patience.clock)
            except Exception:
                raise explain(Failure()) from None

        return decoded(await self.patience.insist(attempt), kind)

    async def stream(self, path: str, each: Callable[[bytes], None], deadline: float) -> None:
        """Hand the lines of an answer to ``each``; the deadline counts from the last that came.

        It is not tried again, for lines would come twice.
        """

        def take(line: bytes) -> None:
            watch.came()
            if line:
                each(line)

        watch = Watch[None](deadline, self.patience.clock)
        try:
            await watch.over(Deferred.fromCoroutine(self._lines(path, take)))
        except Exception:
            raise explain(Failure()) from None

    async def _lines(self, path: str, take: Callable[[bytes], None]) -> None:
        response = await self._request("GET", path, None)
        if response.code != 200:
            raise self._refused(response, await bodies.read(response))
        await bodies.lines(response, take)

    async def _whole(self, method: str, path: str, body: object) -> bytes:
        response = await self._request(method, path, body)
        content = await bodies.read(response)
        if response.code != 200:
            raise self._refused(response, content)
        return content

    def _request(self, method: str, path: str, body: object) -> Deferred[IResponse]:
        headers = dict(_HEADERS)
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        if body is not None:
            headers["Content-Type"] = "application/json"
        asked: Deferred[IResponse] = self.treq.request(
            method,
            self._url(path),
            headers=headers,
            data=b"" if body is None else messages.encode(body),
            allow_redirects=False,
            unbuffered=True,
        )
        return asked

    def _url(self, path: str) -> str:
        if not path.startswith("/") or path.startswith("//"):
            raise Misbehaved("The server names a page that is not on it.")
        return self.base + path

    def _refused(self, response: IResponse, content: bytes) -> Refused:
        asked = response.headers.getRawHeaders("Retry-After", [None])[0]
        wait = retry_after(asked, self.patience.clock.seconds())
        try:
            detail = msgspec.json.decode(content, type=Problem).detail
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            detail = f"The server answers with status {response.code}."
        return Refused(response.code, detail, wait)


def decoded(body: bytes, kind: type[T]) -> T:
    """An answer as a message of this kind, else :class:`Misbehaved`."""
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Misbehaved(
            f"The server's answer is not what an imgd would say ({error}): is it one?"
        ) from None
