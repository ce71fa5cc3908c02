"""What a load passed over, as the client says it."""

from __future__ import annotations

from msgspec.structs import replace
from twisted.trial.unittest import SynchronousTestCase

from imgd.client.skipped import passed_over, why_nothing
from imgd.core.messages import SkippedFiles
from tests.client.fake_imgd import collection

TEXTS = SkippedFiles(count=2, suffixes={".txt": 2})
FOLDERS = SkippedFiles(folders=3)


class WordsTests(SynchronousTestCase):
    def test_passed_over(self) -> None:
        """What was passed over, and the options that serve it, unless they were given."""
        for skipped, options, line in (
            (None, {}, ""),
            (SkippedFiles(), {}, ""),
            (TEXTS, {}, "passed over 2 files (2 .txt): --all-files serves the files"),
            (TEXTS, {"all_files": True}, "passed over 2 files (2 .txt)"),
            (FOLDERS, {}, "passed over 3 folders: --recursive serves the folders"),
            (FOLDERS, {"recursive": True}, "passed over 3 folders"),
            (
                replace(TEXTS, folders=1),
                {},
                "passed over 2 files (2 .txt), 1 folder: "
                "--all-files serves the files, --recursive serves the folders",
            ),
        ):
            told = replace(collection(), skipped=skipped, **options)
            self.assertEqual(passed_over(told), line)

    def test_why_nothing(self) -> None:
        """Why nothing was loaded: it is empty, the images lie deeper, or there are none."""
        for skipped, line in (
            (None, "Nothing was loaded: the directory is empty, or all in it is hidden"),
            (
                replace(FOLDERS, images_below=True),
                "Nothing was loaded: the images are in folders below (3 folders): use --recursive",
            ),
            (
                TEXTS,
                "Nothing was loaded: there is no image, but 2 files (2 .txt): "
                "--all-files serves the files",
            ),
        ):
            self.assertEqual(why_nothing(replace(collection(), skipped=skipped)), line)
