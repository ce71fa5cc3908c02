"""Signed URLs of a whole collection: one link to all of it, of which each image's URL is made."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import Final

from imgd.client.api import Client
from imgd.client.errors import Misbehaved
from imgd.client.manifest import moment
from imgd.core import links, routes
from imgd.core.messages import CollectionInfo

LASTING: Final = 24 * 3600  # seconds that links live to what never unloads itself
SHORTEST: Final = 60  # seconds; the server's clock may differ from ours


@dataclass(frozen=True, slots=True)
class SignedUrls:
    """A link to a collection: what URLs begin with, and what they begin with signed.

    ``expires_at`` is RFC 3339, UTC.
    """

    plain: str
    base: str
    expires_at: str

    def url(self, url: str) -> str:
        """The signed URL of an image, which ends as the plain one does."""
        if not url.startswith(self.plain):
            raise Misbehaved(
                "The server hands out URLs that its link is not for: "
                "was its public URL changed meanwhile? Load again."
            )
        return self.base + url.removeprefix(self.plain)


def lifetime(collection: CollectionInfo, now: float) -> int:
    """Seconds that links to a collection live when nobody says: as long as it stays loaded.

    ``now`` is in seconds since the epoch.
    """
    if collection.expires_at is None:
        return LASTING
    left = ceil(moment(collection.expires_at) - now)
    return min(max(left, SHORTEST), links.MAX_SECONDS)


async def sign(client: Client, collection: str, seconds: int) -> SignedUrls:
    """A link to every image of this collection, for so many seconds."""
    place = routes.files_base(collection)
    made = await client.link(place, expires=seconds, prefix=True)
    base, mount, rest = made.url.rpartition(routes.SIGNED_BASE)
    _, slash, path = rest.partition("/")
    if not mount or slash + path != place:
        raise Misbehaved("The server's link is not for what it was asked for.")
    return SignedUrls(base + place, made.url, made.expires_at)


def shown(url: str) -> str:
    """A URL for eyes and logs: with its signature it would open the whole collection."""
    return routes.redact(url.encode("utf-8", "replace")).decode("utf-8")
