"""URLs that answers about DICOM hand out: whoever got the answer may read what they lead to."""

from __future__ import annotations

from typing import Final

from imgd.core import routes
from imgd.errors import Forbidden
from imgd.web.request import Request
from imgd.web.serializers import Urls
from imgd.web.signed_links import Links

LINK_LIFE: Final = 24 * 3600  # seconds


class Addresses:
    """Makes absolute URLs by ``urls``, signed by ``links`` if reading needs the token."""

    def __init__(self, urls: Urls, links: Links) -> None:
        self._urls, self._links = urls, links

    def collection(self, request: Request, name: str) -> str:
        """The URL of a collection without a slash at its end; what is below it may be read.

        What was asked for by a signed link has URLs with that link, which reach as far as it does
        and no longer. A link to one page alone reaches nothing else: URLs then need the token.
        """
        path = routes.collection_path(name)
        base = self._urls.base(request)
        if not request.is_private:
            return base + path
        if not routes.is_signed(request.uri):
            signed, _expires = self._links.make(f"{path}/", LINK_LIFE, is_prefix=True)
            return base + signed.rstrip("/")
        ticket = _ticket(request).decode("latin-1")
        return f"{base}{routes.SIGNED_BASE}{ticket}{path}" if request.covers_below else base + path

    def require_all(self, request: Request, name: str) -> None:
        """Forbidden if this was asked for by a signed link that does not reach the files of the
        collection: URLs of them would be of no use.
        """
        if not routes.is_signed(request.uri):
            return
        folder = f"{routes.collection_path(name)}/"
        try:
            scope = self._links.verify(_ticket(request), folder.encode("ascii"))
        except Forbidden:
            scope = None
        if scope is None or not scope.is_prefix:
            raise Forbidden(
                f"This link does not reach the files that the answer names: make one for {folder} "
                "with prefix."
            )


def _ticket(request: Request) -> bytes:
    return request.uri.split(b"/", 4)[3]
