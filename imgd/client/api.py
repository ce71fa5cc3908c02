"""The daemon's API: one method for each request, which returns a typed message."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, Final, TypeVar
from urllib.parse import quote, urljoin

from msgspec import UNSET
from treq.client import HTTPClient
from twisted.internet.defer import Deferred, succeed

from imgd.client.discovery import Server, base_of, find_server
from imgd.client.errors import Retrier
from imgd.client.session import HttpSession
from imgd.client.transport import ApiTransport, decode
from imgd.core import messages, routes
from imgd.core.catalog import CURRENT
from imgd.core.messages import Image, ImagePage
from imgd.core.routes import RouteKind

REQUEST_SECONDS: Final = 30.0
LINK_SECONDS: Final = 3600  # that a link is good if nobody says how long
LOAD_SECONDS: Final = 600.0  # a load counts every file, and answers when it is on the disk
_ABSOLUTE: Final = ("https://", "http://")
T = TypeVar("T")


class Client:
    """An imgd, asked through anything that has treq's ``request``. Methods return Deferreds of
    :mod:`imgd.core.messages`, or fail with a ClientError; each try has ``deadline`` seconds.
    """

    def __init__(
        self,
        treq: Any,
        base_url: str,
        retrier: Retrier,
        *,
        token: str | None = None,
        deadline: float = REQUEST_SECONDS,
    ) -> None:
        self.base_url = base_of(base_url)
        self._transport = ApiTransport(treq, self.base_url, retrier, token)
        self._deadline = deadline
        self.on_close: Callable[[], None] = lambda: None

    def close(self) -> Deferred[None]:
        self.on_close()
        return succeed(None)

    def status(self) -> Deferred[messages.StatusInfo]:
        return self._request("GET", RouteKind.STATUS.value, messages.StatusInfo)

    def health(self) -> Deferred[messages.Health]:
        return self._request("GET", RouteKind.HEALTH.value, messages.Health)

    def timeout(self) -> Deferred[messages.TimeoutInfo]:
        return self._request("GET", RouteKind.TIMEOUT.value, messages.TimeoutInfo)

    def collections(self) -> Deferred[messages.CollectionList]:
        return self._request("GET", RouteKind.COLLECTIONS.value, messages.CollectionList)

    def collection(self, name: str = CURRENT) -> Deferred[messages.CollectionInfo]:
        return self._request("GET", routes.collection_path(name), messages.CollectionInfo)

    def dicom(self, name: str = CURRENT) -> Deferred[messages.DicomReport]:
        """ErrorResponse with the status 202, and its ``retry_after``, while it is indexed."""
        return self._request("GET", routes.dicom_path(name), messages.DicomReport)

    def load(
        self,
        directory: str,
        *,
        name: str | None = None,
        recursive: bool = False,
        timeout_minutes: int | None = None,
        all_files: bool = False,
        dicom: bool = False,
    ) -> Deferred[messages.LoadResult]:
        """Load a directory of the server's; 0 minutes is never. ``all_files``: not only images.
        ``dicom``: its DICOM is indexed at once.
        """
        request = messages.LoadRequest(
            directory=directory,
            name=name,
            recursive=recursive,
            timeout_minutes=timeout_minutes,
            all_files=all_files,
            dicom=dicom or UNSET,
        )
        seconds = max(self._deadline, LOAD_SECONDS)
        return self._request("POST", RouteKind.LOAD.value, messages.LoadResult, request, seconds)

    def unload(self, name: str | None = None) -> Deferred[messages.UnloadResult]:
        request = messages.UnloadRequest(name=name)
        return self._request("POST", RouteKind.UNLOAD.value, messages.UnloadResult, request)

    def set_timeout(self, minutes: int) -> Deferred[messages.TimeoutResult]:
        path = routes.timeout_path(messages.valid_minutes(minutes))
        return self._request("POST", path, messages.TimeoutResult)

    def set_public_url(self, url: str | None) -> Deferred[messages.PublicUrlResult]:
        request = messages.PublicUrlRequest(url=url)
        return self._request("POST", RouteKind.PUBLIC_URL.value, messages.PublicUrlResult, request)

    def link(
        self, url_or_path: str, *, expires: int = LINK_SECONDS, prefix: bool = False
    ) -> Deferred[messages.LinkResult]:
        """``expires`` is in seconds; with ``prefix`` the link is good for all below it, too."""
        field = "url" if url_or_path.lower().startswith(_ABSOLUTE) else "path"
        ascii_text = quote(url_or_path.encode("utf-8", "surrogateescape"), safe=bytes(range(128)))
        request = messages.LinkRequest(**{field: ascii_text}, expires=expires, prefix=prefix)
        return self._request("POST", RouteKind.LINKS.value, messages.LinkResult, request)

    def revoke_links(self) -> Deferred[messages.RevokeResult]:
        return self._request("POST", RouteKind.REVOKE_LINKS.value, messages.RevokeResult)

    def images_page(self, name: str = CURRENT, *, limit: int = 1000) -> Deferred[ImagePage]:
        return self.next_page(routes.images_page_path(name, limit))

    def next_page(self, path: str) -> Deferred[ImagePage]:
        def absolute(page: ImagePage) -> ImagePage:
            page.images = [self._absolute(image) for image in page.images]
            page.next = page.next and urljoin(path, page.next)  # "?after=..." is of this path
            return page

        return self._request("GET", path, ImagePage).addCallback(absolute)

    async def images(self, name: str = CURRENT, *, limit: int = 1000) -> AsyncIterator[Image]:
        """Every image of a collection, page by page: ``async for image in client.images():``."""
        path: str | None = routes.images_page_path(name, limit)
        while path is not None:
            page = await self.next_page(path)
            for image in page.images:
                yield image
            path = page.next

    def stream(self, name: str, each: Callable[[Image], None]) -> Deferred[int]:
        """Fires with the number of images. No second try; the deadline counts from the last."""
        count = 0

        def on_line(line: bytes) -> None:
            nonlocal count
            count += 1
            each(self._absolute(decode(line, Image)))

        path = f"{routes.images_path(name)}?format=ndjson"
        reading = self._transport.stream(path, on_line, self._deadline)
        return Deferred.fromCoroutine(reading).addCallback(lambda _: count)

    def _request(
        self, method: str, path: str, kind: type[T], body: object = None, seconds: float = 0.0
    ) -> Deferred[T]:
        exchange = self._transport.request(method, path, kind, body, seconds or self._deadline)
        return Deferred.fromCoroutine(exchange)

    def _absolute(self, image: Image) -> Image:
        if not image.url.startswith(_ABSOLUTE):
            image.url = urljoin(self.base_url + "/", image.url)
        return image


def connect(
    reactor: Any,
    url: str | None = None,
    *,
    token: str | None = None,
    ca_file: str | None = None,
    state_dir: str | None = None,
    environ: Mapping[str, str] = os.environ,
) -> Client:
    """A client of the server that the command would find, or ImgdError. ``close`` it in the end."""
    server = find_server(environ, url=url, token=token, ca_file=ca_file, state_dir=state_dir)
    return client_of(server, reactor, Retrier(reactor), REQUEST_SECONDS)


def client_of(server: Server, reactor: Any, retrier: Retrier, deadline: float) -> Client:
    session = HttpSession(reactor, server)
    client = Client(HTTPClient(session), server.url, retrier, token=server.token, deadline=deadline)
    client.on_close = session.close
    return client
