"""What requests below ``dicomweb/`` mean and accept."""

from __future__ import annotations

from tests.web.dicom.dicomweb_case import OTHER, SERIES, STUDY, DicomwebCase

SERIES_PATH = f"studies/{STUDY}/series/{SERIES}"
ENDS = ("", "/metadata", "/thumbnail")


class AskedTests(DicomwebCase):
    def test_unknown_uids(self) -> None:
        """Whatever is asked of them, UIDs that are not there are named by what they are of."""
        for path, what in (
            ("studies/1.2.3", "study"),
            (f"studies/{OTHER}/series/{SERIES}", "series"),
            (f"{SERIES_PATH}/instances/1.2.3", "instance"),
        ):
            for end in ENDS:
                with self.subTest(path=path, end=end):
                    answer = self.get(path + end)
                    self.assertProblem(answer, 404, f"This collection has no such {what}.")
        for end in ("frames/1", "frames/1/rendered", "rendered"):
            answer = self.get(f"{SERIES_PATH}/instances/1.2.3/{end}")
            self.assertProblem(answer, 404, "This collection has no such instance.")

    def test_accept(self) -> None:
        """The query counts for more than the header, and each answer says that it depends on it."""
        for end in ENDS:
            for path in (f"{SERIES_PATH}{end}", f"{SERIES_PATH}{end}?accept=*/*"):
                self.assertEqual(self.get(path, Accept="*/*").headers["vary"], "Accept")
            refused = self.get(f"{SERIES_PATH}{end}?accept=video/mp4", Accept="*/*")
            self.assertEqual((refused.status, refused.headers["vary"]), (406, "Accept"))
            taken = self.get(f"{SERIES_PATH}{end}?accept=*/*", Accept="video/mp4")
            self.assertEqual(taken.status, 200)
