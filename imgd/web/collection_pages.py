"""The pages of ``/collections`` for people: what is loaded, until when, and where it leads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from imgd.core import routes
from imgd.core.messages import CollectionInfo
from imgd.web import pages
from imgd.web.page_parts import Breadcrumb, minute


class CollectionView(NamedTuple):
    """A collection as the pages show it; its links are relative. Times are RFC 3339 or ""."""

    name: str
    directory: str
    is_recursive: bool
    is_available: bool
    images: int
    loaded: str
    loaded_minute: str
    unloads: str
    unloads_minute: str
    page: str
    files: str
    image_list: str
    dicom: str

    @classmethod
    def of(cls, info: CollectionInfo, top: str) -> CollectionView:
        """``top`` leads from the page to the root of the server."""
        page = top + routes.collection_path(info.name)[1:]
        return cls(
            name=info.name,
            directory=info.directory,
            is_recursive=info.recursive,
            is_available=info.available,
            images=info.image_count,
            loaded=info.loaded_at,
            loaded_minute=minute(info.loaded_at),
            unloads=info.expires_at or "",
            unloads_minute=minute(info.expires_at) if info.expires_at else "",
            page=page,
            files=f"{page}/files/",  # of the current one, too: a link to the page covers it
            image_list=top + routes.images_path(info.name)[1:],
            dicom=top + routes.dicom_path(info.name)[1:],
        )


def collections_page(collections: Sequence[CollectionInfo], path: str) -> bytes:
    """Every loaded collection, as the page at ``path``: HTML in UTF-8."""
    top = _top(path)
    return pages.render(
        "collections.html",
        top=top,
        trail=[Breadcrumb("imgd", top), Breadcrumb("Collections", "")],
        collections=[CollectionView.of(info, top) for info in collections],
    )


def collection_page(
    collection: CollectionInfo, path: str, *, has_archives: bool, has_dicom: bool
) -> bytes:
    """One collection, as the page at ``path``: HTML in UTF-8. ``has_dicom``: its DICOM can be
    indexed.
    """
    top = _top(path)
    return pages.render(
        "collection.html",
        top=top,
        trail=[
            Breadcrumb("imgd", top),
            Breadcrumb("Collections", top + routes.RouteKind.COLLECTIONS.value[1:]),
            Breadcrumb(collection.name, ""),
        ],
        collection=CollectionView.of(collection, top),
        has_archives=has_archives,
        has_dicom=has_dicom,
    )


def _top(path: str) -> str:
    """The way from a page to the root: it stays below a tunnel's prefix, or a signed link."""
    return "../" * (path.count("/") - 1) or "./"
