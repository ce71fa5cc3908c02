"""Which media type a name has, and which names are images."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from imgd.core import media


class MediaTypeTests(SynchronousTestCase):
    """Suffix to ``Content-Type``."""

    def test_table(self) -> None:
        """The last suffix decides, in any case, and what is unknown is octet-stream."""
        for name, expected in (
            ("brain.nii", "application/x-nifti"),
            ("brain.nii.gz", "application/gzip"),
            ("BRAIN.NII.GZ", "application/gzip"),
            ("a.tar.gz", "application/gzip"),
            ("x.svg.gz", "application/gzip"),
            ("scan.dcm", "application/dicom"),
            ("scan.DICOM", "application/dicom"),
            ("a.jpg", "image/jpeg"),
            ("a.JpEg", "image/jpeg"),
            ("a.svg", "image/svg+xml"),
            ("a.mgz", media.OCTET_STREAM),
            ("a.jfif", "image/jpeg"),
            ("a.json", "application/json"),
            ("a.csv", "text/csv; charset=utf-8"),
            ("a.txt", "text/plain; charset=utf-8"),
            ("a.md", "text/markdown; charset=utf-8"),
            ("a.wasm", "application/wasm"),
            ("a.mjs", "text/javascript; charset=utf-8"),
            ("a.yaml", "application/yaml"),
            ("a.yml", "application/yaml"),
            ("a.vtt", "text/vtt; charset=utf-8"),
            ("a.mp4", "video/mp4"),
            ("a.m4v", "video/mp4"),
            ("a.MOV", "video/quicktime"),
            ("a.webm", "video/webm"),
            ("a.mkv", "video/matroska"),
            ("a.m3u8", "application/vnd.apple.mpegurl"),
            ("a.jpg.exe", media.OCTET_STREAM),
            ("jpg", media.OCTET_STREAM),
            (".jpg", media.OCTET_STREAM),
            ("a.", media.OCTET_STREAM),
            ("", media.OCTET_STREAM),
            ("a.jpg ", media.OCTET_STREAM),
            ("README", media.OCTET_STREAM),
            ("brain.raw.gz", "application/gzip"),
            ("brain.zraw", media.OCTET_STREAM),
            ("lh.pial.gii", "application/xml"),
            ("skull.stl", "model/stl"),
            ("skull.OBJ", "model/obj"),
            (".zarray", "application/json"),
            ("zarr.json", "application/json"),
            (".zarrays", media.OCTET_STREAM),
        ):
            self.assertEqual(media.media_type(name), expected, name)

    def test_headers_can_carry_every_type(self) -> None:
        """Every type of the table is ASCII and has one slash, and no suffix is written twice."""
        for suffix, kind in media.TYPES.items():
            self.assertTrue(kind.isascii() and kind.count("/") == 1, suffix)
            self.assertEqual(suffix, suffix.lower())
        tables = media.RASTER, media.MEDICAL, media.BESIDE_VOLUMES, media.OTHER
        sizes = sum(map(len, tables))
        self.assertEqual(len(media.TYPES), sizes)


class ImageTests(SynchronousTestCase):
    """What a collection serves."""

    def test_every_suffix_of_the_contract_is_an_image(self) -> None:
        """All suffixes that users were promised are images, in either case."""
        promised = (
            *(".jpg", ".jpeg", ".jfif", ".png", ".gif", ".webp", ".bmp", ".tif", ".tiff", ".avif"),
            *(".heic", ".svg", ".jxl", ".nii", ".nii.gz", ".hdr", ".img", ".mgz", ".mgh"),
            *(".nrrd", ".nhdr", ".mha", ".mhd", ".dcm", ".dicom"),
            *(".raw", ".zraw", ".raw.gz", ".hdr.gz", ".img.gz"),
            *(".gii", ".mz3", ".obj", ".stl", ".ply"),
        )
        for suffix in promised:
            self.assertTrue(media.is_image("a" + suffix), suffix)
            self.assertTrue(media.is_image("A" + suffix.upper()), suffix)

    def test_neighbours_are_no_images(self) -> None:
        """Names that only resemble an image's are no images."""
        for name in (
            "a.gz",
            "nii.gz",
            "a.niigz",
            "a.png.txt",
            "png",
            ".png",
            "img.gz",
            "a.mgz.gz",
            "a.pdf",
            ".zarray",
        ):
            self.assertFalse(media.is_image(name), name)


class DicomTests(SynchronousTestCase):
    """Which files must be looked into."""

    def test_names(self) -> None:
        """Those with no suffix, or one that says nothing; not the index of a medium."""
        for name in ("IM0000", "1.2.840.10008.42", "scan.IMA", "a.docx", "DICOMDIR.x", "dicom"):
            self.assertTrue(media.may_be_dicom(name), name)
        for name in ("a.dcm", "a.txt", "a.NII.gz", "DICOMDIR", "dicomdir", "a.gz", ".zgroup"):
            self.assertFalse(media.may_be_dicom(name), name)


class ActiveTests(SynchronousTestCase):
    """What a browser would run scripts of."""

    def test_documents_that_run_scripts(self) -> None:
        """Documents are active whatever the case; pictures, scripts and archives are not."""
        for name in ("a.svg", "a.SVG", "a.html", "a.htm", "a.xhtml", "a.xml", "a.gii"):
            self.assertTrue(media.is_active(name), name)
        for name in ("a.png", "a.svg.gz", "a.js", "svg", "a.nii"):
            self.assertFalse(media.is_active(name), name)


class KindTests(SynchronousTestCase):
    """What a person calls it."""

    def test_table(self) -> None:
        """A known kind by its name, a short suffix by itself, and the rest as a file."""
        for name, expected in (
            ("a.nii", "NIfTI volume"),
            ("a.NII.gz", "NIfTI volume"),
            ("a.gz", "Gzip archive"),
            ("a.dcm", "DICOM"),
            ("a.png", "PNG"),
            ("a.abcdef", "File"),
            ("a.abcde", "ABCDE"),
            ("a.", "File"),
            ("a", "File"),
            ("1.2.840.10008.42", "File"),
            (".zattrs", "Zarr metadata"),
            ("lh.gii", "GIFTI surface"),
        ):
            self.assertEqual(media.kind(name), expected, name)
