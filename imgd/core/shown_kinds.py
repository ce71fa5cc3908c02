"""Which files a picture can be made of, as far as a listing knows them, and which folders are
galleries.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from imgd.core import listing, media
from imgd.core.listing import Entry, Layout

_SUFFIXES: Final = frozenset(
    (
        *(".jpg", ".jpeg", ".jfif", ".png", ".gif", ".webp", ".tif", ".tiff", ".bmp", ".avif"),
        *(".jp2", ".j2k", ".nii", ".hdr", ".img", ".nrrd", ".nhdr", ".mha", ".mhd", ".mgh", ".mgz"),
        *(".dcm", ".dicom"),
    )
)
_GZIP_SUFFIXES: Final = (".nii.gz", ".hdr.gz", ".img.gz")


def may_be_shown(entry: Entry) -> bool:
    """Whether a picture can be made of this entry if its content is what its name says."""
    if entry.is_folder:
        return False
    suffix = media.suffix(entry.name)
    is_gzip = suffix == ".gz" and entry.name.lower().endswith(_GZIP_SUFFIXES)
    return entry.is_dicom or suffix in _SUFFIXES or is_gzip


def is_frame(entry: Entry) -> bool:
    """Whether it is one picture of a stack, as far as its name tells: no volume."""
    media_type = listing.media_type(entry)
    return may_be_shown(entry) and (media_type == media.DICOM or media_type.startswith("image/"))


def layout_of(entries: Iterable[Entry]) -> Layout:
    """A gallery if more than half of the files can be shown, and two at least; folders do not
    count.
    """
    files = [entry for entry in entries if not entry.is_folder]
    shown = sum(map(may_be_shown, files))
    return Layout.GALLERY if shown >= 2 and 2 * shown > len(files) else Layout.LIST
