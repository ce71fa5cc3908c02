"""What the URLs of a manifest begin with, if that is not what the server hands out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from imgd.client.discovery import PUBLIC_URLS, base_of
from imgd.client.errors import InvalidResponse
from imgd.client.manifest import UnfinishedManifest
from imgd.client.options import CliOptions
from imgd.core import routes
from imgd.core.messages import CollectionInfo


@dataclass(frozen=True, slots=True)
class BaseUrls:
    """Bases of one collection's URLs, without a slash at the end: ``listed`` by the server,
    ``checked``, at which the server is asked for the same paths, and ``written``.
    """

    listed: str
    checked: str
    written: str

    @classmethod
    def of(cls, collection: CollectionInfo, *, checked: str, written: str) -> BaseUrls:
        path = routes.images_path(collection.name)
        if not collection.url.endswith(path):
            raise InvalidResponse("The server's URL of the collection is not that of an imgd.")
        return cls(collection.url.removesuffix(path), checked, written)

    def to_check(self, url: str) -> str:
        if not url.startswith(f"{self.listed}/"):
            raise InvalidResponse(
                f"Not below {self.listed}: was the public URL changed? Load again."
            )
        return self.checked + url.removeprefix(self.listed)

    def to_write(self, checked: str) -> str:
        return self.written + checked.removeprefix(self.checked)


def base_url(
    environ: Mapping[str, str], options: CliOptions, previous: UnfinishedManifest | None = None
) -> str | None:
    """The base that was chosen; None for what the server hands out. ``previous`` is resumed.

    Who names a server gets its URLs on that; but who names a public URL as well wants that one,
    which the server hands out.
    """
    if options.base_url is not None:
        return base_of(options.base_url)
    if previous is not None and options.server is None:
        return previous.base_url and base_of(previous.base_url)
    server = options.server or environ.get("IMGD_SERVER")
    has_public_url = options.public_url or any(map(environ.get, PUBLIC_URLS))
    return base_of(server) if server and not has_public_url else None


def link_on(base: str, url: str) -> str:
    """A signed link on another base."""
    _, mount, rest = url.rpartition(routes.SIGNED_BASE)
    if not mount:
        raise InvalidResponse("The server's link is not that of an imgd.")
    return f"{base}{mount}{rest}"
