"""The index of a collection's DICOM: made, kept, and made new."""

from __future__ import annotations

import os

from imgd.dicom.model import DicomIndex
from tests import dicom_files
from tests.dicom.site_case import DicomCase
from tests.dicom_files import write_series


def numbers(index: DicomIndex) -> list[int | None]:
    return [instance.number for instance in index.instances()]


class IndexTests(DicomCase):
    def test_series(self) -> None:
        """Studies, series and instances are there with what is known of them."""
        paths = write_series(self.folder, 3)
        index = self.index(self.load())
        self.assertEqual(list(index.studies), [dicom_files.STUDY])
        [series] = index.series()
        self.assertEqual(
            (series.uid, series.modality, series.number), (dicom_files.SERIES, "CT", 1)
        )
        self.assertEqual(
            [i.names for i in series.instances], [(os.path.basename(p),) for p in paths]
        )
        first = series.instances[0]
        with open(paths[0], "rb") as file:
            data = file.read()
        self.assertEqual(data[first.offset : first.offset + first.length][:4], b"\x64\0\x65\0")
        self.assertEqual((first.rows, first.columns, first.frames), (8, 6, 1))
