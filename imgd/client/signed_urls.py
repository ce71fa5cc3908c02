"""Signed URLs of a whole collection: one link to all of it, of which each image's URL is made."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from math import ceil
from typing import Final

from imgd.client.api import Client
from imgd.client.errors import InvalidResponse
from imgd.core import links, routes
from imgd.core.messages import CollectionInfo

WITHOUT_TIMER: Final = 24 * 3600  # seconds that links live to what never unloads itself
SHORTEST: Final = 60  # seconds; the server's clock may differ from ours


@dataclass(frozen=True, slots=True)
class SignedUrls:
    """What a collection's URLs begin with, plain and signed; ``expires_at`` is RFC 3339, UTC."""

    plain: str
    base: str
    expires_at: str

    def url(self, url: str) -> str:
        if not url.startswith(self.plain):
            raise InvalidResponse("Not of this link: was the public URL changed? Load again.")
        return self.base + url.removeprefix(self.plain)


def lifetime(collection: CollectionInfo, now: float) -> int:
    """Seconds that links live by default: as long as the collection is loaded; ``now`` is Unix."""
    if collection.expires_at is None:
        return WITHOUT_TIMER
    remaining = ceil(datetime.fromisoformat(collection.expires_at).timestamp() - now)
    return min(max(remaining, SHORTEST), links.MAX_SECONDS)


async def sign(client: Client, collection: str, seconds: int) -> SignedUrls:
    path = routes.files_base(collection)
    link = await client.link(path, expires=seconds, prefix=True)
    base, mount, rest = link.url.rpartition(routes.SIGNED_BASE)
    if not mount or "".join(rest.partition("/")[1:]) != path:
        raise InvalidResponse("The server's link is not for what it was asked for.")
    return SignedUrls(base + path, link.url, link.expires_at)
