"""``/collections/NAME/dicom/`` as people get it."""

from __future__ import annotations

import os
from urllib.parse import unquote, urljoin

from imgd.core.paths import is_servable
from imgd.dicom.series_facts import SeriesFacts
from imgd.web.dicom import overview_page
from imgd.web.dicom.overview_page import OverviewQuery
from tests.dicom.site_case import DicomCase
from tests.dicom_files import SERIES, STUDY, write_series
from tests.fakes import write
from tests.web.dicom.test_known_series import index_of
from tests.web.test_pages import HOSTILE, Reader

HERE = "https://localhost:8888"
PATH = "/collections/scans/dicom/"
BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


class PageCase(DicomCase):
    def page(self, query: str = "", status: int = 200) -> Reader:
        answer = self.memory_site.ask(f"{PATH}{query}", headers=BROWSER)
        self.assertEqual(answer.status, status, answer.body)
        self.assertEqual(answer.headers["content-type"], "text/html; charset=utf-8")
        self.assertIn("default-src 'none'", answer.headers["content-security-policy"])
        self.assertIn("Accept", answer.headers["vary"])
        return Reader(answer.body)


class ContentTests(PageCase):
    def test_links(self) -> None:
        """A series has its thumbnail, its size, and links to the viewer, the volume and JSON, all
        of which lead somewhere.
        """
        write_series(self.folder, 3)
        self.load()
        reader = self.page()
        text = reader.text()
        for part in ("1 study, 1 series, 3 instances", "CT series 1", STUDY, SERIES):
            self.assertIn(part, text)
        plain = text.replace("\N{NO-BREAK SPACE}", " ").replace("\N{MULTIPLICATION SIGN}", "x")
        self.assertIn("6 x 8 x 3 · 0.75 x 0.5 x 2 mm", plain)
        targets = {urljoin(HERE + PATH, href) for href in reader.hrefs()}
        for below in (
            *(f"/-/view{PATH}{SERIES}.nii", f"{PATH}{SERIES}.nii", f"{PATH}{SERIES}.json"),
            *("/collections/scans", "/collections", "/"),
        ):
            self.assertIn(f"{HERE}{below}", targets)
        [image] = reader.all("img")
        self.assertEqual(image["loading"], "lazy")
        thumbnail = urljoin(HERE + PATH, image["src"] or "")
        self.assertTrue(thumbnail.endswith(f"/dicomweb/studies/{STUDY}/series/{SERIES}/thumbnail"))
        for url in (*targets, thumbnail):
            answer = self.memory_site.ask(url.removeprefix(HERE))
            self.assertEqual(answer.status, 200, (url, answer.body))

    def test_lines(self) -> None:
        """There are lines to copy for OHIF, DICOMweb clients and NiiVue."""
        write_series(self.folder, 3)
        self.load()
        text = self.page().text()
        for line in (f"{HERE}/collections/scans/dicomweb", f"{HERE}{PATH}{SERIES}.nii"):
            self.assertIn(line, text)
        _, _, url = text.partition("/viewer/dicomjson?url=")
        expected = f"{HERE}/collections/scans/dicom.json?StudyInstanceUID={STUDY}"
        self.assertTrue(unquote(url).startswith(expected))

    def test_no_volume(self) -> None:
        """What is no volume says why in place of its link; what has no pixels has no picture."""
        more = {"PixelData": None, "Rows": None, "SeriesNumber": None}
        write_series(self.folder, 1, modality="SR", more=more)
        self.load()
        reader = self.page()
        self.assertIn("There is no .nii of it. It has no pixels.", reader.text())
        self.assertEqual(reader.all("img"), [])
        self.assertNotIn(f"{SERIES}.nii", reader.hrefs())

    def test_unindexed(self) -> None:
        """What is not in the index is named in a list that unfolds, and its markup is text."""
        write_series(self.folder, 1)
        names = [f"{name[:200]}.dcm".replace("/", "_") for name in HOSTILE]
        for name in names:
            write(os.path.join(self.folder, name), b"none")
        self.load()
        reader = self.page()
        self.assertIn(f"{sum(map(is_servable, names))} files are not in the index", reader.text())
        self.assertEqual(reader.all("script") + reader.all("b"), [])
        self.assertNotIn("\u202e", reader.text())

    def test_none(self) -> None:
        """A collection without DICOM says so."""
        write(os.path.join(self.folder, "a.png"))
        self.load()
        self.assertIn("holds no DICOM", self.page().text())

    def test_collection_page(self) -> None:
        """A collection's page leads to it, unless no DICOM can be indexed here."""
        for options, is_there in (({}, True), ({"picture_pool": None}, False)):
            self.restart(**options)
            self.load()
            path = "/collections/scans"
            reader = Reader(self.memory_site.ask(path, headers=BROWSER).body)
            targets = {urljoin(HERE + path, href) for href in reader.hrefs()}
            self.assertEqual(f"{HERE}{PATH}" in targets, is_there)

    def test_patient(self) -> None:
        """Text of files is text, whatever it says."""
        name, text = "<script>^alert(1)", "<b>\u202e{{ 7 * 7 }}"
        more = {"PatientName": name, "StudyDescription": text, "SpecificCharacterSet": "ISO_IR 192"}
        write_series(self.folder, 1, more={**more, "SeriesDescription": text})
        self.restart(patient_data=True)
        self.load()
        reader = self.page()
        self.assertIn(name, reader.text())
        self.assertIn("{{ 7 * 7 }}", reader.text())
        self.assertEqual(reader.all("script") + reader.all("b"), [])
        self.assertNotIn("\u202e", reader.text())


class PagesTests(PageCase):
    def test_pages(self) -> None:
        """Many series are on several pages; each series is on one of them."""
        self.patch(overview_page, "PAGE_SIZE", 2)
        for number in range(5):
            more = {"SeriesNumber": number}
            write_series(self.folder, 1, name=f"{number}-{{}}", series=f"1.9.{number}", more=more)
        self.load()
        seen, query = [], ""
        for expected in ("1\N{EN DASH}2 of 5", "3\N{EN DASH}4 of 5", "5\N{EN DASH}5 of 5"):
            reader = self.page(query)
            self.assertIn(f"{expected} series", reader.text())
            self.assertIn("5 series, 5 instances", reader.text())
            seen += [href for href in reader.hrefs() if href.endswith(".json")]
            following = [link["href"] for link in reader.all("a") if link.get("rel") == "next"]
            query = following[0] or "" if following else ""
        self.assertEqual(query, "")
        self.assertEqual(seen, [f"1.9.{number}.json" for number in range(5)])
        self.assertIn("?offset=2", [link["href"] for link in self.page("?offset=4").all("a")])
        self.assertIn("No series is left", self.page("?offset=77").text())

    def test_bad_offset(self) -> None:
        """An offset that is no number is refused in a sentence."""
        self.load()
        for offset in ("-1", "x", "1e9", "9" * 40, "%C2%B2", ""):
            self.assertIn("offset must be", self.page(f"?offset={offset}", 400).text())

    def test_many(self) -> None:
        """Of a thousand series, two hundred are on a page, and all are counted."""
        index = index_of(1000, "a")
        known = SeriesFacts((5, 4, 3), None, 3)
        facts = {(series.study, series.uid): known for series in index.series()}
        body = overview_page.render("x", HERE, index, facts, OverviewQuery(400), has_links=True)
        reader = Reader(body)
        self.assertIn("1,000 series, 3,000 instances", reader.text())
        self.assertIn("401\N{EN DASH}600 of 1,000 series", reader.text())
        self.assertEqual(len(reader.all("img")), 200)
