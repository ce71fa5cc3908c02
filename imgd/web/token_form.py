"""The page on which a person enters the token: it leads to a signed link of what was asked for.

No cookie, and the token is in no URL. A wrong one is answered after a second, in which its sender
has one try fewer, so that nobody tries many.
"""

from __future__ import annotations

import re
from collections.abc import Coroutine
from typing import Any, Final
from urllib.parse import parse_qs

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

from imgd.core import paths
from imgd.core.routes import RouteKind, route, split_view
from imgd.core.urls import is_loopback, parse_url
from imgd.core.wait_limits import WaitLimit
from imgd.errors import BadRequest, Forbidden, Gone, ImgdError, Unauthorized
from imgd.web import pages
from imgd.web.access import Access
from imgd.web.endpoint import HTML, Endpoint, respond
from imgd.web.own_hosts import OwnHosts
from imgd.web.request import Request
from imgd.web.response_headers import RETRY_AFTER
from imgd.web.serializers import Urls
from imgd.web.signed_links import Links

LIFETIME: Final = 3600  # seconds for which the link is good
DELAY: Final = 1.0  # seconds before a wrong token is answered
# Tries at once, in all and of one client: with the delay, so many wrong ones a second at most.
MAX_TRIES: Final = 16
MAX_TRIES_PER_CLIENT: Final = 4
_BUSY: Final = "Too many wrong tokens are being tried. Try again in a moment."
_QUERY: Final = re.compile("[!-~]*")  # what may stand in a header as it is


class TokenForm(Endpoint):
    """``/-/token``, and the page in place of a read without permission, for a browser."""

    methods = (b"GET", b"HEAD", b"POST")

    def __init__(
        self, links: Links, access: Access, hosts: OwnHosts, urls: Urls, clock: IReactorTime
    ) -> None:
        super().__init__()
        self._links = links
        self._access = access
        self._hosts = hosts
        self._urls = urls
        self._clock = clock
        self._tries = WaitLimit(MAX_TRIES, MAX_TRIES_PER_CLIENT, _BUSY)

    def answer(self, request: Request) -> Coroutine[Any, Any, None] | None:
        """The form, or what a browser sent of it."""
        if request.method == b"POST":
            return self._enter(request)
        self._show(request, "/", "", 200)
        return None

    def show_for(self, request: Request) -> None:
        """Answer a read that needs the token: 401, and the form leads back to what was asked."""
        self._show_back(request, request.path, "", 401)

    def show_expired(self, request: Request, path: bytes, error: Gone) -> None:
        """Answer a read by a link that was good for this path."""
        self._show_back(request, path, error.detail, error.status)

    def _show_back(self, request: Request, path: bytes, problem: str, status: int) -> None:
        request.set_policy(is_file=False)  # whatever it stands for, it is a page of imgd's own
        query = request.uri.partition(b"?")[1:]
        self._show(request, b"".join((path, *query)).decode("latin-1"), problem, status)

    async def _enter(self, request: Request) -> None:
        target = "/"
        try:
            self._require_own_page(request)
            token, target = _fields(request)
            location = self._location(target)
            with self._tries.slot("", request.peer):
                await self._require_token(token)
        except ImgdError as error:
            self._show(request, target, error.detail, error.status)
        else:
            request.setHeader(b"Location", location)
            request.setHeader(b"Cache-Control", b"no-store")
            respond(request, b"", b"", 303)

    def _require_own_page(self, request: Request) -> None:
        host = request.getHeader(b"host")
        if not self._hosts.accepts(host):
            raise self._hosts.misdirected(host)
        public = parse_url(self._urls.public or "")
        own_origins = [str(public.origin)] if public else []
        if not self._access.is_own_page(request, own_origins):
            raise Forbidden("A page of another site sent this form: enter the token here.")

    async def _require_token(self, token: str) -> None:
        if not self._access.is_token(token):
            await deferLater(self._clock, DELAY)
            raise Unauthorized("That is not imgd's token.")

    def _location(self, target: str) -> bytes:
        """A new link to the folder of what was asked for, and in it to that; relative to the form.

        BadRequest if no link can be for it.
        """
        path, question, query = target.partition("?")
        folder = _folder(path)
        link, _ = self._links.make(folder, LIFETIME, is_prefix=True)
        if not _QUERY.fullmatch(query):
            raise BadRequest("The query of the page cannot be read.")
        names = path[len(folder) :].encode("utf-8", "surrogateescape").split(b"/")
        rest = paths.encode(*map(paths.decode, names))
        return f"{link.removeprefix('/-/')}{rest}{question}{query}".encode("ascii")

    def _show(self, request: Request, target: str, problem: str, status: int) -> None:
        if status == 401:
            request.setHeader(b"WWW-Authenticate", b"Bearer")  # RFC 9110 section 15.5.2
        if status == 503:
            request.setHeader(*RETRY_AFTER)
        peer = getattr(request.other_end(), "host", "")
        page = pages.token_page(
            path=request.path.decode("latin-1"),
            target=target,
            problem=problem,
            is_open_to_others=not request.isSecure() and not is_loopback(peer),
        )
        request.setHeader(b"Content-Security-Policy", pages.CSP.encode("ascii"))
        # With no-referrer, browsers send the form with "Origin: null".
        request.setHeader(b"Referrer-Policy", b"same-origin")
        request.setHeader(b"Cache-Control", b"no-store")
        respond(request, page, HTML, status)


def _folder(path: str) -> str:
    """The folder of what is at a path. What tells of DICOM shows files of the whole collection."""
    page, shown = split_view(path.encode("utf-8", "surrogateescape"))
    if route(shown).kind not in (RouteKind.DICOM, RouteKind.DICOM_JSON, RouteKind.DICOMWEB):
        return path[: path.rfind("/") + 1]
    collection = path.split("/")[: 3 + page.count(b"/")]
    return "/".join(collection) + "/"


def _fields(request: Request) -> tuple[str, str]:
    """Token and path of the form."""
    try:
        fields = parse_qs(request.content.read().decode("utf-8"), max_num_fields=8)
    except ValueError:
        raise BadRequest("The form cannot be read.") from None
    return fields.get("token", [""])[-1], fields.get("path", ["/"])[-1]
