"""Which names of a collection are DICOM files, and their facts."""

from __future__ import annotations

import os
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from imgd.errors import NotFound
from imgd.files import dicom_survey
from imgd.files.dicom_files import DicomFiles
from imgd.files.dicom_survey import SurveyedFile
from imgd.files.disk import Root
from imgd.host.workers import JobProgress
from tests.fakes import write

DICOM = bytes(128) + b"DICM" + b"rest"


class SurveyTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.base = os.path.realpath(self.mktemp())
        self.root = os.path.join(self.base, "root")
        os.makedirs(self.root)

    def survey(self, *names: str, **options: Any) -> list[SurveyedFile]:
        root = Root(self.root, images_only=True, dicom_files=DicomFiles(), **options)
        return dicom_survey.find(root, names, JobProgress())

    def names(self, *names: str, **options: Any) -> list[str]:
        return [file.name for file in self.survey(*names, **options)]

    def test_kinds(self) -> None:
        """What is called DICOM is, and what has its bytes under a name that says nothing."""
        for name, data in (
            ("a.dcm", b"anything"),
            ("b/IM1", DICOM),
            ("c", b"text"),
            ("d.png", DICOM),
            ("e.nii", DICOM),
            ("DICOMDIR", DICOM),
        ):
            write(os.path.join(self.root, name), data)
        found = self.names("a.dcm", "b/IM1", "c", "d.png", "e.nii", "DICOMDIR", "gone.dcm", "x/y")
        self.assertEqual(found, ["a.dcm", "b/IM1"])

    def test_facts(self) -> None:
        """A file comes with its real path and what lstat says of it now."""
        path = write(os.path.join(self.root, "b", "IM1"), DICOM)
        [file] = self.survey("b/IM1")
        st = os.stat(path)
        self.assertEqual(file.real, os.path.realpath(path))
        self.assertEqual(file.facts, (st.st_size, st.st_mtime_ns, st.st_ctime_ns, st.st_ino))

    def test_links(self) -> None:
        """A link counts if it leads to what may be served; folders are judged, too."""
        write(os.path.join(self.root, "IM1"), DICOM)
        outside = write(os.path.join(self.base, "outside", "IM2"), DICOM)
        os.symlink("IM1", os.path.join(self.root, "in"))
        os.symlink(outside, os.path.join(self.root, "out"))
        os.symlink(os.path.dirname(outside), os.path.join(self.root, "folder"))
        os.symlink("loop", os.path.join(self.root, "loop"))
        os.mkdir(os.path.join(self.root, "x.dcm"))
        names = ("in", "out", "folder/IM2", "loop", "x.dcm")
        self.assertEqual(self.names(*names), ["in"])
        followed = self.survey(*names, follow_symlinks=True)
        self.assertEqual([file.name for file in followed], ["in", "out", "folder/IM2"])
        self.assertEqual(followed[2].real, os.path.realpath(outside))

    def test_not_there(self) -> None:
        """NotFound without the root: nothing is taken for deleted while a disk is away."""
        os.rename(self.root, f"{self.root} away")
        self.assertRaises(NotFound, self.survey, "a.dcm")
