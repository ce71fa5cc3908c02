"""What a picture can be made of, and which folders open as galleries."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from imgd.core.folder_index import SAMPLE, FolderIndex
from imgd.core.listing import Entry, Layout
from imgd.core.shown_kinds import is_frame, layout_of, may_be_shown
from tests.core.test_listing import file, folder


class ShownTests(SynchronousTestCase):
    def test_names(self) -> None:
        """Raster images, volumes with their headers and data, and DICOM files can be shown,
        whatever the case of their suffix.
        """
        for name in (
            *("a.jpg", "a.JPEG", "a.jfif", "a.png", "a.gif", "a.webp", "a.tif", "a.tiff", "a.bmp"),
            *("a.avif", "a.jp2", "a.j2k", "a.nii", "a.nii.gz", "A.NII.GZ", "a.hdr", "a.img"),
            *("a.hdr.gz", "a.img.gz", "a.mha", "a.mhd", "a.nrrd", "a.nhdr", "a.mgh", "a.mgz"),
            *("a.dcm", "a.dicom"),
        ):
            self.assertTrue(may_be_shown(file(name)), name)

    def test_other_names(self) -> None:
        """Voxels without a header, drawings, documents, films, archives and names that only look
        like a suffix cannot.
        """
        for name in (
            *(
                "a.raw",
                "a.zraw",
                "a.raw.gz",
                "a.svg",
                "a.pdf",
                "a.mp4",
                "a.txt",
                "a.gz",
                "a.tar.gz",
            ),
            *("png", ".png", "a.txt", "nii.gz.txt", "a", "a.heic", "a.jxl"),
        ):
            self.assertFalse(may_be_shown(file(name)), name)

    def test_dicom_without_suffix(self) -> None:
        """A file that is DICOM by its bytes can be shown, a folder never."""
        self.assertTrue(may_be_shown(Entry("IM0001", False, 1, 0, is_dicom=True)))
        self.assertFalse(may_be_shown(folder("a.png")))


class LayoutTests(SynchronousTestCase):
    def test_mostly(self) -> None:
        """A folder is a gallery if more than half of its files can be shown, and two at least;
        folders do not count.
        """
        for pictures, others, folders, expected in (
            (2, 0, 0, Layout.GALLERY),
            (2, 1, 9, Layout.GALLERY),
            (2, 2, 0, Layout.LIST),
            (1, 0, 0, Layout.LIST),
            (0, 0, 5, Layout.LIST),
            (3, 2, 0, Layout.GALLERY),
            (3, 3, 0, Layout.LIST),
        ):
            entries = [file(f"{number}.png") for number in range(pictures)]
            entries += [file(f"{number}.txt") for number in range(others)]
            entries += [folder(f"{number}.png") for number in range(folders)]
            self.assertIs(layout_of(entries), expected, (pictures, others, folders))

    def test_large_folder(self) -> None:
        """Of a large folder few entries are looked at, and these from everywhere in it: neither
        what comes first nor names that alternate mislead.
        """
        for suffixes, expected in (
            (("nii.gz", "json", "nii"), Layout.GALLERY),
            (("nii.gz", "json", "txt"), Layout.LIST),
            (("json", "txt", "bval", "png"), Layout.LIST),
            (("png", "jpg", "tif", "txt"), Layout.GALLERY),
        ):
            for count in (SAMPLE + 1, 2 * SAMPLE, 3 * SAMPLE, 4 * SAMPLE, 100_003):
                names = [f"{n:06}.{suffixes[n % len(suffixes)]}" for n in range(count)]
                sample = FolderIndex(map(file, names)).sample()
                self.assertEqual(len(sample), SAMPLE)
                self.assertIs(layout_of(sample), expected, (suffixes, count))
        texts = [file(f"{n}.txt") for n in range(2 * SAMPLE)]
        pictures = [file(f"{n}.png") for n in range(4 * SAMPLE)]
        for entries in (texts + pictures, pictures + texts):
            self.assertIs(layout_of(FolderIndex(entries).sample()), Layout.GALLERY)
        self.assertEqual(FolderIndex(texts[:9]).sample(), texts[:9])


class FrameTests(SynchronousTestCase):
    def test_frames(self) -> None:
        """Pictures and DICOM files are frames of a stack; volumes and folders are none."""
        for entry, expected in (
            *(
                (file("a.png"), True),
                (file("a.DCM"), True),
                (file("a")._replace(is_dicom=True), True),
            ),
            *((file("a.nii.gz"), False), (file("a.mha"), False), (file("a.svg"), False)),
            *((file("a.txt"), False), (folder("a.png"), False)),
        ):
            self.assertEqual(is_frame(entry), expected, entry)
