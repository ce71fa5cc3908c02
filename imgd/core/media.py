"""Media types by suffix, and what counts as an image. The table is imgd's: platforms differ."""

from __future__ import annotations

from typing import Final

OCTET_STREAM: Final = "application/octet-stream"

RASTER: Final = {
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".jfif": "image/jpeg",
    ".png": "image/png",
    ".gif": "image/gif",
    ".webp": "image/webp",
    ".bmp": "image/bmp",
    ".tif": "image/tiff",
    ".tiff": "image/tiff",
    ".avif": "image/avif",
    ".heic": "image/heic",
    ".svg": "image/svg+xml",
    ".jxl": "image/jxl",
}
MEDICAL: Final = {
    ".nii": "application/x-nifti",
    ".hdr": OCTET_STREAM,
    ".img": OCTET_STREAM,
    ".mgz": OCTET_STREAM,
    ".mgh": OCTET_STREAM,
    ".nrrd": OCTET_STREAM,
    ".nhdr": OCTET_STREAM,
    ".mha": OCTET_STREAM,
    ".mhd": OCTET_STREAM,
    ".dcm": "application/dicom",
    ".dicom": "application/dicom",
}
OTHER: Final = {
    ".gz": "application/gzip",
    ".zip": "application/zip",
    ".json": "application/json",
    ".pdf": "application/pdf",
    ".html": "text/html; charset=utf-8",
    ".htm": "text/html; charset=utf-8",
    ".xhtml": "application/xhtml+xml",
    ".xml": "application/xml",
    ".txt": "text/plain; charset=utf-8",
    ".log": "text/plain; charset=utf-8",
    ".md": "text/markdown; charset=utf-8",
    ".csv": "text/csv; charset=utf-8",
    ".tsv": "text/tab-separated-values; charset=utf-8",
    ".bval": "text/plain; charset=utf-8",
    ".bvec": "text/plain; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".wasm": "application/wasm",
    ".yaml": "application/yaml",  # RFC 9512
    ".yml": "application/yaml",
    ".mp4": "video/mp4",
    ".m4v": "video/mp4",
    ".mov": "video/quicktime",
    ".webm": "video/webm",
    ".mkv": "video/matroska",  # RFC 9559
    ".m3u8": "application/vnd.apple.mpegurl",  # RFC 8216
    ".vtt": "text/vtt; charset=utf-8",
}
TYPES: Final = {**OTHER, **RASTER, **MEDICAL}

# Documents that a browser runs scripts in when they are opened as a page.
ACTIVE_SUFFIXES: Final = (".svg", ".html", ".htm", ".xhtml", ".xml")


def _suffix(name: str) -> str:
    dot = name.rfind(".")
    return name[dot:].lower() if dot > 0 else ""


def media_type(name: str) -> str:
    """The ``Content-Type`` of a file of this name. ``*.gz`` is gzip, whatever it contains: there is
    never a ``Content-Encoding``, so that the bytes of the file are the bytes on the wire.
    """
    return TYPES.get(_suffix(name), OCTET_STREAM)


def is_image(name: str) -> bool:
    """Whether a collection serves a file of this name: it is a raster image or a volume."""
    suffix = _suffix(name)
    return suffix in RASTER or suffix in MEDICAL or name.lower().endswith(".nii.gz")


def is_active(name: str) -> bool:
    """Whether a browser could run scripts in this file, so that it must be sandboxed."""
    return _suffix(name) in ACTIVE_SUFFIXES


def kind(name: str) -> str:
    """What a person calls a file of this name, for the listing: ``"NIfTI volume"``, ``"JPEG"``."""
    if name.lower().endswith(".nii.gz"):
        return "NIfTI volume"
    suffix = _suffix(name)
    return KINDS.get(suffix) or (suffix[1:].upper() if 1 < len(suffix) <= 6 else "File")


KINDS: Final = {
    ".nii": "NIfTI volume",
    ".hdr": "Analyze header",
    ".img": "Analyze volume",
    ".mgz": "MGH volume",
    ".mgh": "MGH volume",
    ".nrrd": "NRRD volume",
    ".nhdr": "NRRD header",
    ".mha": "MetaImage volume",
    ".mhd": "MetaImage header",
    ".dcm": "DICOM",
    ".dicom": "DICOM",
    ".jpg": "JPEG",
    ".jfif": "JPEG",
    ".tif": "TIFF",
    ".gz": "Gzip archive",
    ".txt": "Text",
}
