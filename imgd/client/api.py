"""The daemon's API: one method for each thing it can be asked, typed messages out."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any, Final, TypeVar
from urllib.parse import quote, urljoin

from twisted.internet.defer import Deferred, succeed

from imgd.client.asking import Asking, decoded
from imgd.client.retry import Patience
from imgd.client.urls import base_of
from imgd.core import messages, routes
from imgd.core.catalog import CURRENT
from imgd.core.messages import (
    CollectionInfo,
    CollectionList,
    Health,
    Image,
    ImagePage,
    LinkRequest,
    LinkResult,
    LoadRequest,
    LoadResult,
    PublicUrlRequest,
    PublicUrlResult,
    RevokeResult,
    StatusInfo,
    TimeoutInfo,
    TimeoutResult,
    UnloadRequest,
    UnloadResult,
)
from imgd.core.routes import RouteKind

REQUEST_SECONDS: Final = 30.0
LINK_SECONDS: Final = 3600  # that a link is good when nobody says
LOAD_SECONDS: Final = 600.0  # a load counts every file, and answers when it is on the disk
T = TypeVar("T")


class Client:
    """An imgd at ``base_url``, asked through anything that has treq's ``request``.

    Every method returns a Deferred (so that it can be awaited) of a message of
    :mod:`imgd.core.messages`, or fails with a :class:`~imgd.client.errors.ClientError`:
    ``Refused`` with the server's own sentence, ``Unreachable``, ``Untrusted``, ``TimedOut``,
    ``Misbehaved``. What may pass is tried again, as ``patience`` has it; each try gets ``deadline``
    seconds on its clock.
    """

    def __init__(
        self,
        treq: Any,
        base_url: str,
        patience: Patience,
        *,
        token: str | None = None,
        deadline: float = REQUEST_SECONDS,
    ) -> None:
        self.base_url = base_of(base_url)
        self._asking = Asking(treq, self.base_url, patience, token)
        self._deadline = deadline

    def close(self) -> Deferred[None]:
        """Close the connections that treq keeps, where it is one that :func:`connect` made."""
        close = getattr(self._asking.treq, "close", None)
        return succeed(None) if close is None else close()

    def status(self) -> Deferred[StatusInfo]:
        """``GET /``: what is loaded, and until when."""
        return self._get("/", StatusInfo)

    def health(self) -> Deferred[Health]:
        """``GET /health``."""
        return self._get(RouteKind.HEALTH.value, Health)

    def timeout(self) -> Deferred[TimeoutInfo]:
        """``GET /timeout``: minutes that a load without its own timeout gets."""
        return self._get("/timeout", TimeoutInfo)

    def collections(self) -> Deferred[CollectionList]:
        """``GET /collections``."""
        return self._get("/collections", CollectionList)

    def collection(self, name: str = CURRENT) -> Deferred[CollectionInfo]:
        """``GET /collections/NAME``."""
        return self._get(routes.collection_path(name), CollectionInfo)

    def load(
        self,
        directory: str,
        *,
        name: str | None = None,
        recursive: bool = False,
        timeout_minutes: int | None = None,
    ) -> Deferred[LoadResult]:
        """``POST /load-directory``. The directory is the server's; 0 minutes is never."""
        request = LoadRequest(
            directory=directory, name=name, recursive=recursive, timeout_minutes=timeout_minutes
        )
        return self._post("/load-directory", LoadResult, request, LOAD_SECONDS)

    def unload(self, name: str | None = None) -> Deferred[UnloadResult]:
        """``POST /unload``: the named collection, or the current one."""
        return self._post("/unload", UnloadResult, UnloadRequest(name=name))

    def set_timeout(self, minutes: int) -> Deferred[TimeoutResult]:
        """``POST /timeout/MINUTES``: restart every running timer, and set the default."""
        return self._post(f"/timeout/{messages.valid_minutes(minutes)}", TimeoutResult)

    def set_public_url(self, url: str | None) -> Deferred[PublicUrlResult]:
        """``POST /public-url``: the base of the URLs that the server hands out from now on."""
        return self._post("/public-url", PublicUrlResult, PublicUrlRequest(url=url))

    def link(
        self, place: str, *, expires: int = LINK_SECONDS, prefix: bool = False
    ) -> Deferred[LinkResult]:
        """``POST /links``: a signed link to a URL or path of the server, for so many seconds.

        With ``prefix`` to everything below it, too.
        """
        ascii_place = quote(place.encode("utf-8", "surrogateescape"), safe=bytes(range(128)))
        is_url = place.lower().startswith(("https://", "http://"))
        where = {"url" if is_url else "path": ascii_place}
        return self._post(
            "/links", LinkResult, LinkRequest(**where, expires=expires, prefix=prefix)
        )

    def revoke_links(self) -> Deferred[RevokeResult]:
        """``POST /links/revoke``: no link made so far is good any more."""
        return self._post("/links/revoke", RevokeResult)

    def images_page(self, name: str = CURRENT, *, limit: int = 1000) -> Deferred[ImagePage]:
        """The first page of ``GET /collections/NAME/images``; URLs are absolute."""
        return self.next_page(routes.images_page_path(name, limit))

    def next_page(self, path: str) -> Deferred[ImagePage]:
        """The page that another one's ``next`` names."""
        return self._get(path, ImagePage).addCallback(self._absolute)

    async def images(self, name: str = CURRENT, *, limit: int = 1000) -> AsyncIterator[Image]:
        """Every image of a collection, page by page: ``async for image in client.images():``."""
        page = await self.images_page(name, limit=limit)
        while True:
            for image in page.images:
                yield image
            if page.next is None:
                return
            page = await self.next_page(page.next)

    def stream(self, name: str, each: Callable[[Image], None]) -> Deferred[int]:
        """``?format=ndjson``: call ``each`` with every image as it comes; fires with their number.

        The deadline counts from the last line that came. A stream is not tried again.
        """
        path = f"{routes.images_path(name)}?format=ndjson"
        return Deferred.fromCoroutine(self._stream(path, each))

    async def _stream(self, path: str, each: Callable[[Image], None]) -> int:
        seen = 0

        def take(line: bytes) -> None:
            nonlocal seen
            seen += 1
            each(self._resolved(decoded(line, Image)))

        await self._asking.stream(path, take, self._deadline)
        return seen

    def _get(self, path: str, kind: type[T]) -> Deferred[T]:
        return Deferred.fromCoroutine(self._asking.ask("GET", path, kind, None, self._deadline))

    def _post(
        self, path: str, kind: type[T], body: object = None, deadline: float = 0.0
    ) -> Deferred[T]:
        seconds = max(self._deadline, deadline)
        return Deferred.fromCoroutine(self._asking.ask("POST", path, kind, body, seconds))

    def _absolute(self, page: ImagePage) -> ImagePage:
        for image in page.images:
            self._resolved(image)
        return page

    def _resolved(self, image: Image) -> Image:
        if not image.url.startswith(("https://", "http://")):
            image.url = urljoin(self.base_url + "/", image.url)
        return image
