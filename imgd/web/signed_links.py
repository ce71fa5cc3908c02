"""Private reading: signed links, and the check of every read if reading is private."""

from __future__ import annotations

import time
from collections.abc import Callable
from secrets import token_bytes
from typing import Any

from msgspec import UnsetType
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from twisted.web.resource import Resource, getChildForRequest
from twisted.web.server import NOT_DONE_YET

from imgd.core import links, messages
from imgd.core.links import Scope
from imgd.core.routes import RouteKind, is_open, route, split_view
from imgd.core.urls import parse_url
from imgd.errors import BadRequest, Forbidden, Gone, ImgdError, NotFound
from imgd.web.access import HINT, Access
from imgd.web.control import read_json
from imgd.web.endpoint import Endpoint
from imgd.web.own_files import send_well_known
from imgd.web.request import Request
from imgd.web.serializers import Urls

NewKey = Callable[[], "Deferred[bytes]"]


class Links:
    """The links of this daemon: every one is good that its key signed.

    ``renew`` makes another key, which revokes them all; ``wall`` gives seconds since the epoch.
    Without arguments, links are good until the daemon ends.
    """

    def __init__(
        self,
        key: bytes | None = None,
        renew: NewKey | None = None,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._key = key or token_bytes(links.KEY_SIZE)
        self._renew = renew
        self._wall = wall

    def make(self, path: str, seconds: int, *, is_prefix: bool) -> tuple[str, int]:
        """The path of a link to this one, and when it expires in seconds since the epoch.

        BadRequest if no link can be for it. A link to the page that shows a file is good for the
        file, which the page reads.
        """
        page, shown = split_view(path.encode("utf-8", "surrogateescape"))
        scope = Scope.of(shown.decode("utf-8", "surrogateescape"), is_prefix=is_prefix)
        expires = int(self._wall()) + seconds
        return links.sign(self._key, scope, expires, page.decode("ascii")), expires

    def verify(self, ticket: bytes, path: bytes) -> Scope:
        """The scope of a link; Forbidden or Gone if it is not good for this path."""
        return links.verify(self._key, ticket, path, self._wall())

    async def revoke(self) -> None:
        """Revoke every link; ImgdError if that cannot be stored, and all stay good."""
        if self._renew is None:
            self._key = token_bytes(links.KEY_SIZE)
        else:
            self._key = await self._renew()


class LinkActions:
    """What a controller does with links."""

    def __init__(self, links: Links, urls: Urls, access: Access) -> None:
        self._links = links
        self._urls = urls
        self._access = access

    async def make(self, request: Request) -> messages.LinkResult:
        """``POST /links``: a link to a file, or with ``prefix`` to a folder."""
        body = read_json(request, messages.LinkRequest)
        base = self._urls.base(request)
        path, question, query = _path(body, base).partition("?")
        seconds = links.seconds(body.expires)
        if seconds > links.MAX_LOCAL_SECONDS and not self._access.bears_token(request):
            raise Forbidden(f"A link that lives longer than a week needs imgd's token. {HINT}")
        signed_path, expires = self._links.make(path, seconds, is_prefix=body.prefix)
        url = f"{base}{signed_path}{question}{query}"
        return messages.LinkResult(url=url, expires_at=messages.utc(expires))

    async def revoke(self, _request: Request) -> messages.RevokeResult:
        """``POST /links/revoke``: no link made so far is good any more."""
        await self._links.revoke()
        return messages.RevokeResult()


def _path(body: messages.LinkRequest, base: str) -> str:
    """The path that a link is asked for, with its query; URLs that were handed out have a base."""
    match body.path, body.url:
        case str(path), UnsetType():
            return path
        case UnsetType(), str(url):
            return url.removeprefix(base) if url.startswith(base + "/") else _path_of(url)
    raise BadRequest("Give one of the fields 'path' and 'url'.")


def _path_of(url: str) -> str:
    """The path of any URL, as people write it: ``Scope.of()`` judges it."""
    scheme, mark, rest = url.partition("://")
    authority, _, path = rest.partition("/")
    parsed = parse_url(f"{scheme}{mark}{authority}")
    if parsed is None or "?" in authority or "#" in url:
        raise BadRequest("Field 'url' must be an http or https URL of this server.")
    return f"/{path}"


class SignedEndpoint(Endpoint):
    """``/-/s/TICKET/PATH``: what PATH leads to, for the holder of a link to it.

    A browser whose link has expired gets what ``show_expired`` answers, if it is given.
    """

    def __init__(
        self,
        links: Links,
        tree: Resource,
        show_expired: Callable[[Request, bytes, Gone], None] | None = None,
    ) -> None:
        super().__init__()
        self._links = links
        self._tree = tree
        self._show_expired = show_expired

    def answer(self, request: Request) -> None:
        """Verify the link, then let the tree answer."""
        ticket, slash, rest = (request.route.below or b"").partition(b"/")
        path = slash + rest
        kind = route(path).kind
        if kind is RouteKind.SIGNED:
            raise NotFound
        if kind is not RouteKind.ASSETS or not is_open(path):
            request.is_private = True
            try:
                request.covers_below = self._links.verify(ticket, path).is_prefix
            except Gone as error:
                if self._show_expired is None or not request.prefers(b"text/html"):
                    raise
                self._show_expired(request, path, error)
                return
        request.rebase(path)
        request.render(getChildForRequest(self._tree, request))


class PrivateTree(Endpoint):
    """Guards the whole tree: to read, the token or a link is needed. A browser gets what
    ``show_form`` answers.

    Open to everybody are ``/health`` and what is imgd's own below ``/-/``: they tell of no file.
    Control has its own gate.
    """

    def __init__(
        self, tree: Resource, access: Access, show_form: Callable[[Request], None]
    ) -> None:
        super().__init__()
        self._tree = tree
        self._access = access
        self._show_form = show_form

    def render(self, request: Request) -> Any:
        """Called by twisted.web for every request."""
        if request.method in self.methods and not is_open(request.path):
            request.is_private = True
            request.set_policy(is_file=not request.path.endswith(b"/"))
            try:
                self._access.require_reader(request)
            except ImgdError:
                # Robots take a 401 for robots.txt as leave to read everything (RFC 9309 section
                # 2.3.1.3), such as links that were published.
                if send_well_known(request):
                    pass
                elif request.prefers(b"text/html"):
                    self._show_form(request)
                else:
                    self._fail(Failure(), request)
                return NOT_DONE_YET
        return getChildForRequest(self._tree, request).render(request)
