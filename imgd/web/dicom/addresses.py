"""URLs that answers about DICOM hand out: whoever got the answer may read what they lead to."""

from __future__ import annotations

from typing import Final

from imgd.core import routes
from imgd.web.request import Request
from imgd.web.serializers import Urls
from imgd.web.signed_links import Links

LINK_LIFE: Final = 24 * 3600  # seconds


class Addresses:
    """Makes absolute URLs by ``urls``, signed by ``links`` if reading needs the token."""

    def __init__(self, urls: Urls, links: Links) -> None:
        self._urls, self._links = urls, links

    def collection(self, request: Request, name: str) -> str:
        """The URL of a collection without a slash at its end; what is below it may be read."""
        path = routes.collection_path(name)
        base = self._urls.base(request)
        if not request.is_private:
            return base + path
        if routes.is_signed(request.uri):  # never longer than the link that was given
            ticket = request.uri.split(b"/", 4)[3].decode("latin-1")
            return f"{base}{routes.SIGNED_BASE}{ticket}{path}"
        signed, _expires = self._links.make(f"{path}/", LINK_LIFE, is_prefix=True)
        return base + signed.rstrip("/")
