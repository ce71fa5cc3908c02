"""What paths of DICOMweb mean, beside those that mean nothing."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from imgd.core.dicomweb_paths import DicomwebTarget, Resource, parse

ONE = ("instances", "1.2", "3", "4")
OF_ONE = b"studies/1.2/series/3/instances/4"


class ParseTests(SynchronousTestCase):
    def test_searches(self) -> None:
        """What is searched for is the last name, below the study and the series before it."""
        for below, level, study, series in (
            (b"studies", "studies", "", ""),
            (b"studies//", "studies", "", ""),
            (b"%73tudies", "studies", "", ""),
            (b"series", "series", "", ""),
            (b"instances", "instances", "", ""),
            (b"studies/1.2/series", "series", "1.2", ""),
            (b"studies/1.2/instances", "instances", "1.2", ""),
            (b"studies/1.2/series/3/instances", "instances", "1.2", "3"),
        ):
            with self.subTest(below=below):
                target = DicomwebTarget(Resource.SEARCH, level, study, series)
                self.assertEqual(parse(below), target)

    def test_resources(self) -> None:
        """A study, a series and an instance have files, metadata and a thumbnail."""
        for below, level, uids in (
            (b"studies/1.2", "studies", ("1.2",)),
            (b"studies/1.2/series/3", "series", ("1.2", "3")),
            (OF_ONE, "instances", ("1.2", "3", "4")),
        ):
            for end, resource in (
                (b"", Resource.FILES),
                (b"/", Resource.FILES),
                (b"/metadata", Resource.METADATA),
                (b"/thumbnail", Resource.THUMBNAIL),
            ):
                with self.subTest(below=below + end):
                    self.assertEqual(parse(below + end), DicomwebTarget(resource, level, *uids))

    def test_frames(self) -> None:
        """Frames of an instance are there, rendered and as thumbnails; the instance, rendered."""
        for end, resource, frames in (
            (b"/rendered", Resource.RENDERED, ()),
            (b"/frames/1", Resource.FRAMES, (1,)),
            (b"/frames/3,1,2", Resource.FRAMES, (3, 1, 2)),
            (b"/frames/3%2C1", Resource.FRAMES, (3, 1)),
            (b"/frames/1/rendered", Resource.RENDERED, (1,)),
            (b"/frames/12/thumbnail", Resource.THUMBNAIL, (12,)),
        ):
            with self.subTest(end=end):
                target = DicomwebTarget(resource, *ONE, frames=frames)
                self.assertEqual(parse(OF_ONE + end), target)

    def test_nothing(self) -> None:
        """Everything else is no path of DICOMweb."""
        for below in (
            *(b"", b"/", b"study", b"Studies", b"studies//x", b"studies/x/series", b"studies/.1"),
            *(b"studies/1.2/x", b"studies/1.2/rendered", b"studies/1.2%2F3"),
            *(b"studies/" + b"1" * 65, b"studies/\xd9\xa1", b"studies/1.2\0", b"studies/\xff"),
            *(b"studies/1.2/series/x/metadata", b"studies/1.2/instances/4", b"series/3"),
            *(b"studies/1.2/series/3/rendered", b"studies/1.2/series/3/series", b"instances/4"),
            *(OF_ONE + b"/frames", OF_ONE + b"/frames/", OF_ONE + b"/frames/0"),
            *(OF_ONE + b"/frames/1,", OF_ONE + b"/frames/-1", OF_ONE + b"/frames/1;2"),
            *(OF_ONE + b"/frames/12345678", OF_ONE + b"/frames/1/x", OF_ONE + b"/metadata/x"),
            *(OF_ONE + b"/frames/1" + b",1" * 1000, OF_ONE + b"/frames/1/rendered/x"),
            *(OF_ONE + b"/instances", OF_ONE + b"/instances/5"),
        ):
            with self.subTest(below=below[:60]):
                self.assertIsNone(parse(below))

    def test_many_frames(self) -> None:
        """A path may name a thousand frames."""
        target = parse(OF_ONE + b"/frames/1" + b",1" * 999)
        self.assertEqual(target and len(target.frames), 1000)
