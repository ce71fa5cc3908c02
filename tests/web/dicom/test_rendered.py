"""Rendered pictures and thumbnails of DICOM instances over HTTP."""

from __future__ import annotations

import io
import os

from PIL import Image

from tests.dicom_files import ct_slice, save, write_series
from tests.web.dicom.dicomweb_case import BASE, OTHER, SECOND, SERIES, STUDY, THIRD, DicomwebCase

SERIES_PATH = f"studies/{STUDY}/series/{SERIES}"
ONE = f"{SERIES_PATH}/instances/{SERIES}.2"
JPEG, PNG = "image/jpeg", "image/png"


class RenderedTests(DicomwebCase):
    def picture(self, path: str, **headers: str) -> Image.Image:
        answer = self.get(path, **headers)
        self.assertEqual(answer.status, 200, answer.body[:200])
        return Image.open(io.BytesIO(answer.body))

    def test_type(self) -> None:
        """JPEG if nothing else is asked for, PNG for whoever asks, by header or query."""
        for end in ("rendered", "frames/1/rendered", "thumbnail", "frames/1/thumbnail"):
            for query, accept, media_type in (
                ("", None, JPEG),
                ("", "*/*", JPEG),
                ("", "image/*", JPEG),
                ("", PNG, PNG),
                ("", f"{JPEG};q=0.5, {PNG}", PNG),
                ("?accept=image/png", "*/*", PNG),
            ):
                with self.subTest(end=end, accept=accept):
                    headers = {} if accept is None else {"Accept": accept}
                    answer = self.get(f"{ONE}/{end}{query}", **headers)
                    self.assertEqual(answer.headers["content-type"], media_type)
                    self.assertEqual(answer.headers["vary"], "Accept")
                    image = Image.open(io.BytesIO(answer.body))
                    self.assertEqual(image.get_format_mimetype(), media_type)

    def test_not_acceptable(self) -> None:
        """Whoever accepts neither gets a sentence."""
        for accept in ("image/gif", "text/html", 'multipart/related; type="image/jpeg"'):
            answer = self.get(f"{ONE}/rendered", Accept=accept)
            self.assertEqual(answer.status, 406)
            if accept != "text/html":
                self.assertIn("imgd renders JPEG and PNG", answer.json["detail"])

    def test_values(self) -> None:
        """The pixels are those of the slice: another one has others, a window changes them."""
        plain = self.picture(f"{ONE}/rendered", Accept=PNG)
        self.assertEqual((plain.format, plain.size), ("PNG", (9, 8)))  # 6 of 0.75 mm, 8 of 0.5
        dark = self.picture(f"{ONE}/rendered?window=30000,2,linear", Accept=PNG)
        light = self.picture(f"{ONE}/rendered?window=-30000,2,linear-exact", Accept=PNG)
        self.assertEqual((dark.getextrema(), light.getextrema()), ((0, 0), (255, 255)))

    def test_window(self) -> None:
        """The functions are DICOM's: of width 2, only the exact one has a grey between."""
        pixels = b"".join(value.to_bytes(2, "little") for value in (200, 201, 202, 203))
        more = {"PixelData": pixels, "PixelSpacing": [1, 1], "RescaleIntercept": 0}
        wide = ct_slice(study="1.5", series="1.5.1", rows=1, columns=4, more=more)
        save(wide, f"{self.folder}/w/IM1")
        self.load()
        path = "studies/1.5/series/1.5.1/instances/1.5.1.1/rendered?window=202,2"
        for function, greys in (("linear", [0, 0, 255, 255]), ("linear-exact", [0, 0, 128, 255])):
            image = self.picture(f"{path},{function}", Accept=PNG)
            self.assertEqual(list(image.tobytes()), greys)

    def test_quality(self) -> None:
        """A JPEG of less quality is smaller."""
        best, worst = (self.get(f"{ONE}/rendered?quality={n}").body for n in (100, 1))
        self.assertLess(len(worst), len(best))

    def test_viewport(self) -> None:
        """A picture fits its viewport in its own proportions, and is not enlarged."""
        for query, size in (
            ("viewport=3,100", (3, 3)),
            ("viewport=100,4", (4, 4)),
            ("viewport=500,500", (9, 8)),
        ):
            for end in ("rendered", "thumbnail"):
                for accept in (JPEG, PNG):
                    with self.subTest(query=query, end=end):
                        image = self.picture(f"{ONE}/{end}?{query}", Accept=accept)
                        self.assertEqual(image.size, size)

    def test_bad_queries(self) -> None:
        """What imgd cannot do is a 400 with a sentence."""
        for query in ("viewport=0,0", "window=1,2,sigmoid", "quality=500", "annotation=patient"):
            with self.subTest(query=query):
                self.assertEqual(self.get(f"{ONE}/rendered?{query}").status, 400)
        answer = self.get(f"{ONE}/frames/1,2/rendered")
        self.assertProblem(answer, 400, "imgd renders one frame at a time.")

    def test_frames(self) -> None:
        """Each frame of a file of many is rendered; one that is not there is a 404."""
        count, size = 3, 8 * 6
        pixels = b"".join((1000 * n).to_bytes(2, "little") * size for n in range(count))
        more = {"NumberOfFrames": count, "PixelData": pixels, "WindowWidth": "3000"}
        frames = ct_slice(study="1.6", series="1.6.1", more=more)
        save(frames, f"{self.folder}/frames/IM1")
        self.load()
        path = "studies/1.6/series/1.6.1/instances/1.6.1.1"
        greys = [self.picture(f"{path}/frames/{n}/rendered").getpixel((0, 0)) for n in (1, 2, 3)]
        self.assertEqual(sorted(set(greys)), greys)
        first, middle = self.get(f"{path}/rendered"), self.get(f"{path}/thumbnail")
        self.assertEqual(first.body, self.get(f"{path}/frames/1/rendered").body)
        self.assertNotEqual(middle.body, self.get(f"{path}/frames/1/thumbnail").body)
        for end in ("rendered", "thumbnail"):
            answer = self.get(f"{path}/frames/4/{end}")
            self.assertProblem(answer, 404, "There is no frame 4: the instance has 3.")

    def test_thumbnails(self) -> None:
        """Of a series the middle instance is shown, of a study that of its largest series."""
        of_series = self.get(f"{SERIES_PATH}/thumbnail")
        self.assertEqual(of_series.headers["content-type"], JPEG)
        self.assertEqual(of_series.body, self.get(f"{ONE}/thumbnail").body)
        self.assertEqual(self.get(f"studies/{STUDY}/thumbnail").body, of_series.body)
        other = self.get(f"studies/{STUDY}/series/{SECOND}/thumbnail")
        last = self.get(f"studies/{STUDY}/series/{SECOND}/instances/{SECOND}.2/thumbnail")
        self.assertEqual(other.body, last.body)
        self.assertEqual(self.get(f"studies/{OTHER}/thumbnail").status, 200)

    def test_without_pixels(self) -> None:
        """What has no pixels, and what is not there, is a 404 with a sentence."""
        report = ct_slice(study="1.4", series="1.4.1", more={"PixelData": None, "Rows": None})
        save(report, f"{self.folder}/report/IM1")
        self.load()
        no_pixels = "It has no pixels that could be shown."
        for path, sentence in (
            ("studies/1.4/series/1.4.1/instances/1.4.1.1/rendered", no_pixels),
            ("studies/1.4/series/1.4.1/thumbnail", no_pixels),
            ("studies/1.4/thumbnail", no_pixels),
            ("studies/9.9/thumbnail", "This collection has no such study."),
            (f"{SERIES_PATH}/instances/9/rendered", "This collection has no such instance."),
        ):
            with self.subTest(path=path):
                self.assertProblem(self.get(path), 404, sentence)

    def test_conditions(self) -> None:
        """Each picture has a tag of its own, by which a client is told that it has it."""
        tags = set()
        for query, accept in (("", JPEG), ("", PNG), ("?window=1,2,linear", JPEG)):
            path = f"{ONE}/rendered{query}"
            answer = self.get(path, Accept=accept)
            tag = answer.headers["etag"]
            tags.add(tag)
            same = self.get(path, Accept=accept, If_None_Match=tag)
            self.assertEqual((same.status, same.headers["vary"]), (304, "Accept"))
        self.assertEqual(len(tags), 3)
        head = self.get(f"{ONE}/rendered", "HEAD")
        self.assertEqual((head.status, head.body, head.headers["etag"] in tags), (200, b"", True))

    def test_kept_in_memory(self) -> None:
        """No answer that depends on Accept is given to whoever accepts another."""
        for _ in range(3):
            for accept in (PNG, JPEG):
                self.memory_site.clock.advance(10)
                answer = self.get(f"{ONE}/rendered", Accept=accept)
                self.assertEqual(answer.headers["content-type"], accept)

    def test_changed_file(self) -> None:
        """A file that is another now is not shown under the old one's UID."""
        for folder, _, _ in os.walk(self.folder):
            os.utime(folder, (0, 0))  # else their names are read again
        self.load()
        self.get(f"{ONE}/rendered")
        write_series(self.folder, 1, name="a/IM2", series="1.8.1", study="1.8", number=7)
        answer = self.get(f"{ONE}/rendered")
        sentence = "The file has changed since it was indexed. Try again in a moment."
        self.assertProblem(answer, 503, sentence)
        self.assertIn("retry-after", answer.headers)
        self.assertEqual(self.get(f"{ONE}/rendered").status, 404)
        self.assertEqual(self.get("studies/1.8/thumbnail").status, 200)

    def test_cross_origin(self) -> None:
        """A page of any origin may show what it knows the UIDs of."""
        answer = self.get(f"{ONE}/rendered", Origin="https://viewer.example")
        self.assertEqual(answer.headers["access-control-allow-origin"], "*")


class PrivateTests(DicomwebCase):
    options = {"private": True}

    def test_private(self) -> None:
        """Pictures need the token, or a link to what is above them."""
        path = f"{BASE}/studies/{OTHER}/series/{THIRD}/thumbnail"
        self.assertEqual(self.memory_site.ask(path).status, 401)
