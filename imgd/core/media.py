"""Media types by suffix, and what a collection serves. The table is imgd's: platforms differ."""

from __future__ import annotations

from typing import Final

OCTET_STREAM: Final = "application/octet-stream"
DICOM: Final = "application/dicom"

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
    ".dcm": DICOM,
    ".dicom": DICOM,
}
# What headers keep their voxels in (MetaImage, NRRD), and surfaces that viewers draw with volumes.
BESIDE_VOLUMES: Final = {
    ".raw": OCTET_STREAM,
    ".zraw": OCTET_STREAM,
    ".gii": "application/xml",
    ".mz3": OCTET_STREAM,
    ".obj": "model/obj",
    ".stl": "model/stl",
    ".ply": OCTET_STREAM,
}
_SERVED: Final = frozenset((*RASTER, *MEDICAL, *BESIDE_VOLUMES))
# Of other compressed files a collection serves none.
_SERVED_GZIP: Final = (".nii.gz", ".raw.gz", ".hdr.gz", ".img.gz")
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
TYPES: Final = {**OTHER, **RASTER, **MEDICAL, **BESIDE_VOLUMES}
# Types by the whole name: the metadata of Zarr, version 2.
ZARR_METADATA: Final = dict.fromkeys(
    (".zarray", ".zgroup", ".zattrs", ".zmetadata"), "application/json"
)

# Documents that a browser runs scripts in when they are opened as a page.
ACTIVE_SUFFIXES: Final = (".svg", ".html", ".htm", ".xhtml", ".xml", ".gii")


def suffix(name: str) -> str:
    """The last suffix of a name, with its dot and in lower case; "" if there is none."""
    dot = name.rfind(".")
    return name[dot:].lower() if dot > 0 else ""


def media_type(name: str) -> str:
    """The ``Content-Type`` of a file of this name. ``*.gz`` is gzip, whatever it contains: there is
    never a ``Content-Encoding``, so that the bytes of the file are the bytes on the wire.
    """
    return TYPES.get(suffix(name)) or ZARR_METADATA.get(name, OCTET_STREAM)


def is_image(name: str) -> bool:
    """Whether a collection serves a file of this name, whatever is in it: it is a raster image, a
    volume, or what belongs to one.
    """
    last = suffix(name)
    return last in _SERVED or (last == ".gz" and name.lower().endswith(_SERVED_GZIP))


def may_be_dicom(name: str) -> bool:
    """Whether the bytes of a file of this name must be asked what it is: its suffix does not say.

    The index of a medium, DICOMDIR, is no image.
    """
    is_known = suffix(name) in TYPES or name in ZARR_METADATA
    return not is_known and name.upper() != "DICOMDIR"


def is_active(name: str) -> bool:
    """Whether a browser could run scripts in this file, so that it must be sandboxed."""
    return suffix(name) in ACTIVE_SUFFIXES


def kind(name: str) -> str:
    """What a person calls a file of this name, for the listing: ``"NIfTI volume"``, ``"JPEG"``."""
    if name.lower().endswith(".nii.gz"):
        return "NIfTI volume"
    if name in ZARR_METADATA:
        return "Zarr metadata"
    last = suffix(name)
    is_plain = 1 < len(last) <= 6 and not last[1:].isdigit()  # a UID's last number is no suffix
    return KINDS.get(last) or (last[1:].upper() if is_plain else "File")


DICOM_KIND: Final = "DICOM"
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
    ".dcm": DICOM_KIND,
    ".dicom": DICOM_KIND,
    ".raw": "Raw voxels",
    ".zraw": "Raw voxels",
    ".gii": "GIFTI surface",
    ".mz3": "Surface",
    ".obj": "Surface",
    ".stl": "Surface",
    ".ply": "Surface",
    ".jpg": "JPEG",
    ".jfif": "JPEG",
    ".tif": "TIFF",
    ".gz": "Gzip archive",
    ".txt": "Text",
}
